"""Logs that were cut, mixed up or prepared are reported, or refused with a sentence."""

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_saliency.report import write_report
from tests.attack.seeds import SEED
from tests.report.events import evaluations, write_records
from tests.report.logs import write_log

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def damage(content: bytes, chance: random.Random) -> bytes:
    """Cut, flip, repeat or insert some bytes."""
    place = chance.randrange(len(content) + 1)
    kind = chance.choice(("cut", "flip", "repeat", "insert", "drop"))
    if kind == "cut":
        return content[:place]
    if kind == "flip":
        changed = bytearray(content)
        for _ in range(chance.randint(1, 20)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)
    if kind == "repeat":
        return content[:place] + content[max(0, place - 200) :]
    if kind == "insert":
        return content[:place] + chance.randbytes(chance.randint(1, 300)) + content[place:]
    return content[:place] + content[place + chance.randint(1, 300) :]


@pytest.mark.parametrize("rounds", [8, pytest.param(400, marks=pytest.mark.long)])
def test_a_damaged_log_never_stops_a_report(tmp_path: Path, rounds: int, tried: Callable[[str, int], None]) -> None:
    intact = tmp_path / "intact"
    write_log(intact, card=f"# Card\n\n{SCRIPT}", reason="{} {} {}" + SCRIPT)
    (intact / "hparams.yaml").write_text("a: 1\nb: [1, 2]\n")
    contents = {path.name: path.read_bytes() for path in intact.iterdir() if path.is_file()}
    for seed in range(SEED, SEED + rounds):
        chance = random.Random(seed)
        folder = tmp_path / f"damaged {seed}" / "run"
        folder.mkdir(parents=True)
        for name, content in contents.items():
            (folder / name).write_bytes(damage(content, chance) if chance.random() < 0.7 else content)
        write_records(folder.parent / "other", evaluations({"saliency/grad_cam/rcap": 0.5}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_report(folder.parent, folder.parent / "page.html")
        page = (folder.parent / "page.html").read_text()
        assert "<script" not in page
        assert "<img src=x" not in page
        assert "other" in page
    tried("damaged logs", rounds)


@pytest.mark.parametrize("rounds", [20, pytest.param(2000, marks=pytest.mark.long)])
def test_names_and_values_of_any_kind_stay_text(tmp_path: Path, rounds: int, tried: Callable[[str, int], None]) -> None:
    pieces = [
        "saliency/",
        "grad_cam",
        "/",
        "rcap",
        "_vs_random",
        "..",
        SCRIPT,
        "\n",
        "\x00",
        "é",
        "=1+1",
        '"',
        "'",
        "{{x}}",
    ]
    chance = random.Random(SEED)
    values = {
        "".join(chance.choices(pieces, k=chance.randint(1, 6))): chance.choice(
            [0.5, float("nan"), float("inf"), -1e308]
        )
        for _ in range(rounds)
    }
    write_records(tmp_path / "logs", evaluations(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_report(tmp_path / "logs", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    tried("hostile names of values", rounds)
