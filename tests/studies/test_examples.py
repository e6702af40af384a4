"""Every example runs in small, and the demo is started as a user would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = os.environ.get("LIGHTNING_SALIENCY_DATA")


def run(name, *options):
    """Run an example with one thread and return what it printed."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, options)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def width_of(path):
    with Image.open(path) as picture:
        return picture.width


def test_the_demo_prints_scores_and_decisions_and_ends_with_what_to_open(tmp_path):
    picture = tmp_path / "strip.png"
    printed = run(
        "digits.py", "--epochs", 1, "--num-images", 4, "--gate", ">= 1", "--log-dir", tmp_path, "--picture", picture
    )
    assert re.search(r"refused: .*val_accuracy is .*, required >= 1", printed)
    assert "Checkpoints on disk: none" in printed
    assert printed.startswith("Training resnet10t on handwritten digits for 1 epochs.")
    assert f"tensorboard --logdir {tmp_path}" in printed
    page = Path(re.search(r"Open this page in a browser to see the explanations: (.*)\n$", printed)[1])
    assert "guided_absolute_grad" in page.read_text(encoding="utf-8")
    assert width_of(picture) >= 326
    assert not list(tmp_path.rglob("*.ckpt"))


def test_the_demo_explains_every_option(run_here, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_here("digits.py", "--help")
    assert stopped.value.code == 0
    assert "bound on validation accuracy" in capsys.readouterr().out


def test_the_shortcut_is_refused_and_cured(tmp_path):
    picture = tmp_path / "story.png"
    printed = run("shortcut.py", "--epochs", 3, "--log-dir", tmp_path, "--picture", picture)
    assert width_of(picture) == 1300
    marked, cured = printed.split("The same marks, swapped after the alarm:")
    cured, clean = cured.split("No marks:")
    *_, last, sentence = (line for line in marked.strip().splitlines() if line)
    assert "frame" in sentence
    assert "none of the cues" in clean
    last = last.split()
    assert float(last[1]) > 0.99, "validation looks perfect"
    assert float(last[2]) < 0.3, "the test set does not"
    assert last[-1] == "refused"
    assert clean.strip().splitlines()[3].split()[-1] == "kept"
    *_, confirmed, swapped, sentence = (line.split() for line in cured.strip().splitlines() if line)
    assert "none" in sentence
    assert (confirmed[-1], swapped[-1]) == ("refused", "kept")
    assert float(confirmed[2]) < 0.3
    assert min(map(float, swapped[2:4])) > 0.8, "one epoch is enough, with wrong marks and without marks"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("captum_method.py", "lime"),
        ("saturation.py", "accounts for"),
    ],
)
def test_short_examples_run(run_here, name, word):
    assert word in run_here(name)


def test_the_study_tabulates_and_plots(run_here, tmp_path):
    options = ("--networks", "resnet10t", "--epochs", 1, "--train-images", 64, "--num-images", 4)
    printed = run_here("study.py", *options, "--output", tmp_path)
    assert "| resnet10t |" in printed
    assert "guided_absolute_grad" in (tmp_path / "study.csv").read_text()
    assert width_of(tmp_path / "study.png") > 500


@pytest.mark.cifar10
@pytest.mark.skipif(DATA is None, reason="LIGHTNING_SALIENCY_DATA is not set")
def test_cifar10_runs_on_an_image_folder(run_here, tmp_path):
    for part in ("train", "test"):
        for folder in (Path(str(DATA)) / "cifar10" / part).iterdir():
            few = tmp_path / part / folder.name
            few.mkdir(parents=True)
            for image in sorted(folder.iterdir())[:8]:
                (few / image.name).symlink_to(image)
    options = ("--epochs", 1, "--network", "resnet10t", "--num-images", 4, "--batch-size", 16)
    methods = ("--methods", "gradient", "guided_absolute_grad", "grad_cam")
    folders = ("--data-dir", tmp_path, "--log-dir", tmp_path / "logs")
    printed = run_here("cifar10.py", *folders, *options, *methods, "--accelerator", "cpu")
    assert "tensorboard --logdir" in printed


@pytest.mark.long
@pytest.mark.cifar10
@pytest.mark.skipif(DATA is None, reason="LIGHTNING_SALIENCY_DATA is not set")
def test_expected_grad_cam_beats_grad_cam_where_the_head_is_curved(run_here, tmp_path):
    table = tmp_path / "rows.csv"
    options = ("--num-images", 32, "--few", 2, "--layers", "layer2", "--no-ablations", "--output", table)
    curved = run_here("cam_study.py", "--data-dir", DATA, *options)
    assert len(table.read_text().splitlines()) == 1 + 8 * 5
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in curved.splitlines()]
    rows = {cells[0]: cells[1:] for cells in lines if len(cells) > 1}

    def value(method, column):
        mean, _, error = rows[method][column].split()
        return float(mean), float(error)

    # Insertion and infidelity, by two standard errors of the difference as if the two were independent.
    for column, sign in ((0, 1), (2, -1)):
        (better, error), (worse, other) = value("Expected Grad-CAM", column), value("Grad-CAM", column)
        assert sign * (better - worse) > 2 * (error**2 + other**2) ** 0.5


def test_fine_tuning_runs_without_the_network(run_here, tmp_path):
    for part in ("train", "val"):
        for label in ("a", "b"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(4):
                pixels = torch.randint(0, 255, (40, 40, 3), dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(folder / f"{number}.png")
    options = ("--network", "resnet10t", "--epochs", 1, "--image-size", 32, "--num-images", 4, "--batch-size", 4)
    printed = run_here("finetune_timm.py", "--data-dir", tmp_path, *options, "--log-dir", tmp_path / "logs")
    assert "tensorboard --logdir" in printed
