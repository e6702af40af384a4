PYTHON ?= python3
DEVICE ?= cpu
BIN := .venv/bin

.PHONY: help demo shortcuts test lint types imports unit bench clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-9s %s\n", $$1, $$2}'

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	@touch $@

demo: .venv/.installed  ## Train a classifier on handwritten digits and watch its explanations
	$(BIN)/python examples/digits.py

shortcuts: .venv/.installed  ## Alarms of trained networks with planted signs (needs LIGHTNING_SALIENCY_DATA)
	$(BIN)/python examples/shortcuts/bundled.py

test: lint types imports unit  ## Everything that has to pass before a change lands

lint: .venv/.installed  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed  ## Types
	$(BIN)/mypy

imports: .venv/.installed  ## Layers import only from the layers below
	$(BIN)/lint-imports

unit: .venv/.installed  ## Tests and the examples of every docstring
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

.venv/.bench: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]' --constraint constraints.txt
	@touch $@

bench: .venv/.bench  ## Costs of explaining and scoring, relative to their passes and to alternatives
	$(BIN)/python examples/benchmarks/main.py --device $(DEVICE)

clean:  ## Remove what the targets made
	rm -rf .venv runs
