"""Event files as they are found: damaged, resumed, oddly named."""

import os

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from lightning_saliency.report import NoEventFilesError, write_report
from lightning_saliency.report._reading import read_run, read_runs
from tests.report.logs import write_log
from tests.report.pages import page_of


def event_file(folder):
    (file,) = folder.glob("*tfevents*")
    return file


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_of_a_truncated_file_all_before_the_cut_is_read(tmp_path, share):
    write_log(tmp_path, epochs=2)
    whole = read_run(tmp_path, "run")
    file = event_file(tmp_path)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    part = read_run(tmp_path, "run")
    assert part.scalars.keys() <= whole.scalars.keys()
    assert all(whole.scalars[tag].items() >= values.items() for tag, values in part.scalars.items())
    assert "</html>" in page_of(tmp_path).source


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_read_up_to_the_damage(tmp_path, seed):
    write_log(tmp_path, epochs=2)
    file = event_file(tmp_path)
    content = bytearray(file.read_bytes())
    place = int(torch.randint(len(content), (), generator=torch.Generator().manual_seed(seed)))
    content[place] ^= 0xFF
    file.write_bytes(content)
    assert "</html>" in page_of(tmp_path).source


def test_a_file_that_is_none_spoils_no_other_run(tmp_path):
    write_log(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "events.out.tfevents.1").write_bytes(b"not an event file" * 100)
    text = page_of(tmp_path).text
    assert text.count("Nothing could be read here.") == 1
    assert text.count("Where it stands") == 1


def test_several_files_of_a_run_are_one_log_in_which_the_later_entry_stands(tmp_path):
    for name, first, value in (("a", 0, 0.25), ("b", 2, 0.5)):
        with SummaryWriter(tmp_path, filename_suffix=name) as writer:
            for step in range(first, first + 3):
                writer.add_scalar("val_loss", value, step)
        # Files are read in the order of their names, which else begin with the second they were made in.
        (file,) = tmp_path.glob(f"*tfevents*{name}")
        file.rename(tmp_path / f"events.out.tfevents.1.{name}")
    assert read_run(tmp_path, "run").scalars["val_loss"] == {0: 0.25, 1: 0.25, 2: 0.5, 3: 0.5, 4: 0.5}


@pytest.mark.parametrize("name", ["a 'b' \"c\"", "[x]*?", "<b>&amp;", "é ü", "events.out.tfevents.run", "line\nbreak"])
def test_folders_may_have_any_name(tmp_path, name):
    write_log(tmp_path / name)
    (run,) = read_runs(tmp_path)
    assert run.name == name
    assert run.scalars["saliency/seconds"] == {9: 2.5, 19: 2.5, 29: 2.5}


def test_names_that_are_no_text_do_not_spoil_the_page(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/run\xff")
    write_log(tmp_path / "run")
    (tmp_path / "run").rename(folder)
    text = page_of(tmp_path).text
    assert "run?" in text
    assert "Nothing could be read here." in text


def test_the_folder_of_a_run_itself_may_be_given(tmp_path):
    write_log(tmp_path / "version_3")
    (run,) = read_runs(tmp_path / "version_3")
    assert run.name == "version_3"


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_folder_without_event_files_is_refused(tmp_path, kind):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("text")
    if kind == "empty":
        place.mkdir()
    with pytest.raises(NoEventFilesError, match=r"Expected LOGDIR to .* TensorBoard event files, but .*place"):
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
