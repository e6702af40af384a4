PYTHON ?= python3
DEVICE ?= cpu
BIN := .venv/bin
# Directories of tests with a target of their own. `QUICK=1` leaves out what takes minutes.
PARTS := integrations studies documents attack
# A test that waits for ever is stopped; a process that has crashed is not replaced, which can wait for ever, too.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal --timeout 600 --max-worker-restart 0 $(if $(QUICK),-m 'not long')

.PHONY: help demo shortcuts test lint types imports unit integrations studies docs docs-serve attack bench clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -m venv .venv

# `make test` needs more than the demo. Both install into one environment.
.venv/.installed: pyproject.toml setup.py constraints.txt | .venv/bin/python
	@echo "Installing the package and what its tests need into .venv (several minutes, once)."
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	@touch $@ .venv/.demo

.venv/.demo: pyproject.toml setup.py constraints.txt | .venv/bin/python
	@echo "Installing the package and what the demo needs into .venv (a few minutes, once)."
	@$(BIN)/python -m pip install --quiet --editable '.[demo]' --constraint constraints.txt
	@touch $@

demo: .venv/.demo  ## Train a classifier on handwritten digits and watch its explanations
	@$(BIN)/python examples/digits.py

shortcuts: .venv/.installed  ## Alarms of trained networks with planted signs (needs LIGHTNING_SALIENCY_DATA)
	$(BIN)/python examples/shortcuts/bundled.py

test: lint types imports unit  ## Style, types, imports, and all tests that are not in a part below

lint: .venv/.installed  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed  ## Types
	$(BIN)/mypy

imports: .venv/.installed  ## Layers import only from the layers below
	$(BIN)/lint-imports

unit: .venv/.installed  ## Tests and the examples of every docstring
	$(PYTEST) $(PARTS:%=--ignore=tests/%)

integrations: .venv/.installed  ## Tests with launchers, sharded models, browsers, Ray, Optuna and installed wheels
	$(PYTEST) tests/integrations

studies: .venv/.installed  ## Examples, studies and benchmarks in small
	$(PYTEST) tests/studies

.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]' --constraint constraints.txt
	@touch $@

# The notice of MkDocs Material is about a later version of MkDocs.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1

docs: .venv/.docs  ## Build the site into site/; its links, and the code, links and words of the documents
	$(BIN)/python -m mkdocs build --quiet --strict
	$(PYTEST) tests/documents

docs-serve: .venv/.docs  ## Show the site at http://127.0.0.1:8000, built anew when a page changes
	$(BIN)/python -m mkdocs serve

attack: .venv/.installed  ## Odd arguments, faults, kills, damaged logs, long runs, from SEED=0 on; says how many
	$(PYTEST) tests/attack

.venv/.bench: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]' --constraint constraints.txt
	@touch $@

bench: .venv/.bench  ## Costs of explaining and scoring, relative to their passes and to alternatives
	$(BIN)/python examples/benchmarks/main.py --device $(DEVICE)

clean:  ## Remove what the targets made
	rm -rf .venv runs site
