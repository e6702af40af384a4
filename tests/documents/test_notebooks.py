"""The notebooks run from their first cell to their last one."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
# Lines that a notebook prints if it shows what it promises.
RESULTS = {
    "finished_checkpoints": {"state of the alarm: 0 ", "[]"},
    "first_run": set(),
    "shortcut": {
        "state of the alarm: 2",
        "checkpoints that passed: 0",
        "state of the alarm after the cure: 0",
        "state of the alarm without marks: 0",
    },
    "your_own_model": set(),
}


@pytest.fixture
def formats():
    return pytest.importorskip("nbformat", reason="comes with the extra `docs`, as for `make docs`")


def test_all_have_expected_results():
    assert [path.stem for path in NOTEBOOKS] == sorted(RESULTS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_results(formats, path):
    notebook = formats.read(path, as_version=4)
    formats.validate(notebook)
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Raised inside of Jupyter, about its own folders.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_runs_and_its_progress_bars_show(formats, tmp_path, monkeypatch, path):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = formats.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    results = [result for cell in notebook.cells if cell.cell_type == "code" for result in cell.outputs]
    texts = "\n".join(str(result.get("text", result.get("data", ""))) for result in results)
    # Lightning's bar is a widget of Jupyter, whose last state is kept beside the cells.
    assert "Epoch" in str(notebook.metadata["widgets"])
    assert RESULTS[path.stem] <= set(texts.splitlines())
    assert not [result for result in results if result.output_type == "error"]
