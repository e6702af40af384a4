"""The examples of extensions run with an installed wheel, outside of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("own_*.py"))
RESULTS = {
    "own_drift.py": r"epoch 1: peaks moved by \d+\.\d\d pixels\nepoch 2: peaks moved by \d+\.\d\d pixels",
    "own_logger.py": r"text saliency/card: # saliency\npicture saliency/gradient/image_\d+: \d+ x \d+ pixels",
    "own_method.py": r"320 images were passed forward|336 images were passed forward",
    "own_metric.py": r"gradient: survival \d\.\d{3}, on dark grey \d\.\d{3}",
    "own_rule.py": r"gamma 0 and the epsilon rule differ by 0e\+00",
}
# Reports where the package lies before the examples run, one after the other, and ends each by a line.
END = "the end of an example"
RUN = f"""
import runpy, sys, lightning_saliency
print(lightning_saliency.__file__)
for example in sys.argv[1:]:
    runpy.run_path(example, run_name="__main__")
    print({END!r})
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build a wheel from a copy of the sources, install it into a folder, and return the folder."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    shutil.copytree(ROOT / "lightning_saliency", sources / "lightning_saliency")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index", "--quiet"]
    run([*pip, "wheel", *alone, "--no-build-isolation", "--wheel-dir", folder / "dist", sources], folder)
    (wheel,) = (folder / "dist").iterdir()
    run([*pip, "install", *alone, "--target", folder / "site", wheel], folder)
    return folder / "site"


def run(command, folder, **variables):
    """Run a command in a folder, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_there_is_one_for_each_door():
    assert [path.name for path in EXAMPLES] == sorted(RESULTS)


def test_examples_run_with_the_wheel_and_leave_no_files(installed, tmp_path):
    examples = [shutil.copy(path, tmp_path) for path in EXAMPLES]
    variables = {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    printed = run([sys.executable, "-B", "-c", RUN, *examples], tmp_path, **variables)
    place, _, rest = printed.partition("\n")
    assert Path(place).is_relative_to(installed)
    for path, part in zip(EXAMPLES, rest.split(END)[:-1], strict=True):
        assert re.search(RESULTS[path.name], part), part
    assert sorted(tmp_path.iterdir()) == sorted(map(Path, examples))
