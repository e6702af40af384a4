"""Event files that are damaged, resumed or oddly named."""

import os
import re

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from lightning_saliency.report import NoEventFilesError, write_report
from tests.report.logs import write, write_log
from tests.report.pages import chart_of, page_of


def event_file(folder):
    (file,) = folder.glob("*tfevents*")
    return file


def points(folder):
    """List the points of a chart as the browser names them."""
    page = page_of(folder)
    if "val_loss" not in page.text:
        return []
    return [dot.findtext("title") for dot in chart_of(page, "val_loss").iterfind(".//circle")]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_of_a_truncated_file_all_before_the_cut_is_read(tmp_path, share):
    values = {step: step / 100 for step in range(50)}
    write(tmp_path, {"val_loss": values})
    complete = points(tmp_path)
    assert len(complete) == 50
    file = event_file(tmp_path)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    part = points(tmp_path)
    assert part == complete[: len(part)]
    assert len(part) == pytest.approx(50 * share, abs=3)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_read_up_to_the_damage(tmp_path, seed):
    write_log(tmp_path, epochs=2)
    file = event_file(tmp_path)
    content = bytearray(file.read_bytes())
    place = int(torch.randint(len(content), (), generator=torch.Generator().manual_seed(seed)))
    content[place] ^= 0xFF
    file.write_bytes(content)
    assert "</html>" in page_of(tmp_path).source


def test_a_file_without_events_spoils_no_other_run(tmp_path):
    write_log(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "events.out.tfevents.1").write_bytes(b"not an event file" * 100)
    text = page_of(tmp_path).text
    assert text.count("Nothing could be read here.") == 1
    assert text.count("Where it stands") == 1


def test_several_files_of_a_run_are_one_log_in_which_the_later_entry_of_a_step_counts(tmp_path):
    for name, first, value in (("a", 0, 0.25), ("b", 2, 0.5)):
        with SummaryWriter(tmp_path, filename_suffix=name) as writer:
            for step in range(first, first + 3):
                writer.add_scalar("val_loss", value, step)
        # Files are read in the order of their names, which begin with the second of their writing.
        (file,) = tmp_path.glob(f"*tfevents*{name}")
        file.rename(tmp_path / f"events.out.tfevents.1.{name}")
    values = {0: "0.250", 1: "0.250", 2: "0.500", 3: "0.500", 4: "0.500"}
    assert points(tmp_path) == [f"val_loss, step {step}: {value}" for step, value in values.items()]


@pytest.mark.parametrize("name", ["a 'b' \"c\"", "[x]*?", "<b>&amp;", "é ü", "events.out.tfevents.run", "line\nbreak"])
def test_folders_may_have_any_name(tmp_path, name):
    write_log(tmp_path / name)
    text = page_of(tmp_path).text
    assert " ".join(name.split()) in text
    assert "3 evaluations, the last at epoch 2" in text


def test_names_that_are_not_valid_text_do_not_spoil_the_page(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/run\xff")
    write_log(tmp_path / "run")
    (tmp_path / "run").rename(folder)
    text = page_of(tmp_path).text
    assert "run?" in text
    assert "3 evaluations, the last at epoch 2" in text


def test_the_folder_of_a_run_itself_may_be_given(tmp_path):
    write_log(tmp_path / "version_3")
    page = page_of(tmp_path / "version_3")
    assert re.findall("<h2>(.*?)</h2>", page.source) == ["version_3"]


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_folder_without_event_files_is_refused(tmp_path, kind):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("text")
    if kind == "empty":
        place.mkdir()
    with pytest.raises(NoEventFilesError, match=r"`LOGDIR` must .*, but got '.*place'"):
        write_report(place, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_crash_leaves_the_old_page_and_no_draft(tmp_path, monkeypatch):
    write_log(tmp_path)
    page_of(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="disk full"):
        page_of(tmp_path)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
