"""Logs that an attacker prepared, and outputs that are no plain files."""

import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
import torch
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import scalar

from lightning_saliency.__main__ import main
from lightning_saliency.names import EVALUATION_COLUMNS, SCORE_COLUMNS
from lightning_saliency.report import write_report
from tests.attack.seeds import SEED
from tests.report.events import FILE, evaluations, event, repeat, summary, write_records
from tests.report.logs import write_log
from tests.report.pages import Page, chart_of, page_of

SECRET = "the reader's secret"
EVENT, HPARAMS, SCORES, TABLE = FILE, "hparams.yaml", "saliency.csv", "evaluations.csv"


def values_of(folder, title="val_loss"):
    """Return the last words on the points of a chart."""
    page = page_of(folder)
    return [dot.findtext("title").split()[-1] for dot in chart_of(page, title).iterfind(".//circle")]


def link(place, secret):
    place.symlink_to(secret)


def pipe(place, secret):
    os.mkfifo(place)


def device(place, secret):
    place.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [link, pipe, device])
@pytest.mark.parametrize("name", ["events.out.tfevents.0", HPARAMS, SCORES, TABLE])
def test_what_is_no_plain_file_is_not_read_and_the_page_says_so(tmp_path, make, name):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    folder = tmp_path / "logs"
    write_log(folder)
    make(folder / name, secret)
    faults = write_report(folder, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text())
    assert SECRET not in page.source
    assert "3 evaluations, the last at epoch 2" in page.text
    assert any(f"`{name}` was not read" in fault for fault in faults)
    assert f"`{name}` was not read" in page.text


def test_a_table_behind_a_link_to_another_folder_is_not_read(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.csv").write_text(SECRET)
    write_log(tmp_path / "logs", name="inner/x")
    (tmp_path / "logs" / "inner").symlink_to(tmp_path / "outside")
    assert "`x.csv` was not read" in page_of(tmp_path / "logs").text


def test_a_gate_is_not_judged_by_a_file_behind_a_link(tmp_path, capsys):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / TABLE).symlink_to(tmp_path / "secret")
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(tmp_path / "logs"), "--gate", "saliency/grad_cam/rcap >= 0.2"])
    assert stopped.value.code == 2
    output = capsys.readouterr()
    assert SECRET not in output.out + output.err
    assert "was not read, because it is a link" in output.out


@pytest.mark.parametrize("name", ["report.html", ".report.html.draft"])
def test_a_link_with_the_name_of_the_page_or_its_draft_is_not_followed(tmp_path, name):
    (tmp_path / "mine").write_text(SECRET)
    write_log(tmp_path / "logs")
    (tmp_path / "logs" / name).symlink_to(tmp_path / "mine")
    page_of(tmp_path / "logs")
    assert (tmp_path / "mine").read_text() == SECRET
    assert stat.S_ISREG((tmp_path / "logs" / "report.html").lstat().st_mode)


def test_the_page_is_as_readable_as_any_new_file(tmp_path):
    write_log(tmp_path)
    (tmp_path / "other").write_text("")
    page_of(tmp_path)
    assert (tmp_path / "report.html").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path, capsys):
    write_log(tmp_path / "logs")
    place, parts = tmp_path / "pipe", []
    os.mkfifo(place)
    reader = threading.Thread(target=lambda: parts.append(place.read_text()))
    reader.start()
    main(["report", str(tmp_path / "logs"), "-o", str(place)])
    reader.join()
    assert parts[0].startswith("<!doctype html>")
    assert stat.S_ISFIFO(place.lstat().st_mode)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("target", ["pipe", "file"])
def test_the_page_on_stdout_is_only_the_page(tmp_path, target):
    write_log(tmp_path / "logs")
    before = os.readlink("/dev/stdout")
    with (tmp_path / "page").open("w") as file:
        options = {"stdout": subprocess.PIPE if target == "pipe" else file}
        command = [sys.executable, "-m", "lightning_saliency", "report", str(tmp_path / "logs"), "-o", "/dev/stdout"]
        done = subprocess.run(command, check=True, **options)
    text = done.stdout.decode() if target == "pipe" else (tmp_path / "page").read_text()
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert os.readlink("/dev/stdout") == before


@pytest.mark.parametrize("name", [FILE, HPARAMS, SCORES])
def test_files_of_the_logs_are_not_replaced_by_the_page(tmp_path, capsys, name):
    write_records(tmp_path, [event()])
    before = (tmp_path / FILE).read_bytes()
    (tmp_path / name).write_bytes(before)
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(tmp_path), "-o", str(tmp_path / name)])
    assert stopped.value.code == 2
    assert "must not be a file of logs" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == before


def test_a_page_below_links_in_a_circle_is_refused_with_a_sentence(tmp_path, capsys):
    write_records(tmp_path / "logs", [event()])
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(tmp_path / "logs"), "-o", str(tmp_path / "a" / "page.html")])
    assert stopped.value.code == 2
    assert "must be a file that can be written" in capsys.readouterr().err


def test_devices_stay_devices(tmp_path):
    write_log(tmp_path)
    write_report(tmp_path, "/dev/null")
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)


def test_a_run_that_was_restarted_from_an_earlier_step_is_shown_as_it_went_on(tmp_path):
    with SummaryWriter(tmp_path, filename_suffix=".a") as writer:
        for step in range(6):
            writer.add_scalar("val_loss", 1.0, step)
    with SummaryWriter(tmp_path, filename_suffix=".b", purge_step=3) as writer:
        writer.add_scalar("val_loss", 2.0, 4)
    for place, file in enumerate(sorted(tmp_path.glob("*tfevents*"), key=lambda file: file.suffix)):
        file.rename(tmp_path / f"events.out.tfevents.{place}")
    assert values_of(tmp_path) == ["1.000", "1.000", "1.000", "2.000"]


def test_a_restart_whose_step_is_absurd_hides_no_other_run(tmp_path):
    start = SessionLog(status=SessionLog.START)
    for place, step in enumerate((-(2**63), 2**63 - 1)):
        write_records(tmp_path / f"bad{place}", [event(), Event(step=step, session_log=start).SerializeToString()])
    write_log(tmp_path / "good")
    assert page_of(tmp_path).text.count("Where it stands") == 1


@pytest.mark.parametrize("dtype", ["DT_FLOAT", "DT_DOUBLE", "DT_INT32", "DT_INT64"])
@pytest.mark.parametrize("is_packed", [True, False], ids=["bytes", "fields"])
def test_scalars_that_are_stored_as_tensors_are_read(tmp_path, dtype, is_packed):
    field, kind = {
        "DT_FLOAT": ("float_val", torch.float32),
        "DT_DOUBLE": ("double_val", torch.float64),
        "DT_INT32": ("int_val", torch.int32),
        "DT_INT64": ("int64_val", torch.int64),
    }[dtype]
    values = {"tensor_content": torch.tensor(3, dtype=kind).numpy().tobytes()} if is_packed else {field: [3]}
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    first = Summary.Value(tag="val_loss", metadata=metadata, tensor=TensorProto(dtype=dtype, **values))
    # TensorFlow names the plugin with the first value only.
    second = Summary.Value(tag="val_loss", tensor=TensorProto(dtype=dtype, **values))
    write_records(tmp_path, [summary(first, 0), summary(second, 1)])
    assert values_of(tmp_path) == ["3.000", "3.000"]


def test_new_scalars_of_torch_are_read(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.file_writer.add_summary(scalar("val_loss", 0.25, new_style=True), step)
    assert values_of(tmp_path) == ["0.250"] * 3


def test_a_tensor_that_claims_to_be_huge_fills_no_memory(tmp_path):
    shape = {"dim": [{"size": 2**40}]}
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    tensor = TensorProto(dtype="DT_FLOAT", tensor_shape=shape, float_val=[0.5, 0.5])
    write_records(tmp_path, [event(), summary(Summary.Value(tag="x", metadata=metadata, tensor=tensor))])
    assert "Left out: 1 scalars that are no numbers." in page_of(tmp_path).text


def test_a_damaged_record_is_left_out_with_a_sentence(tmp_path, capsys):
    path = write_records(tmp_path, [event(step, value=step / 8) for step in range(3)])
    content = bytearray(path.read_bytes())
    content[len(content) // 3 + 20] ^= 0xFF  # inside the second record
    path.write_bytes(content)
    main(["report", str(tmp_path), "-o", str(tmp_path / "report.html")])
    assert "Left out: 1 damaged records." in capsys.readouterr().err
    assert values_of(tmp_path) == ["0.000", "0.250"]
    assert "Left out: 1 damaged records." in page_of(tmp_path).text


@pytest.mark.parametrize("place", [-1, -20, 0, 5])
def test_a_file_that_was_cut_off_or_damaged_says_up_to_where_it_was_read(tmp_path, place):
    path = write_records(tmp_path, [event(step) for step in range(3)])
    content = bytearray(path.read_bytes())
    content = content[:place] if place < 0 else content[:place] + b"\xff" * 8 + content[place + 8 :]
    path.write_bytes(content)
    (fault,) = write_report(tmp_path, tmp_path / "report.html")
    read = "0" if place >= 0 else f"{2 * (len(event()) + 16):,}"
    assert re.search(rf"`{FILE}` was cut off or is damaged after \d+ of {len(content)} bytes", fault)
    assert place < 0 or f"after {read} of" in fault


def test_a_gate_on_a_damaged_log_comes_with_a_sentence(tmp_path, capsys):
    path = write_records(tmp_path, evaluations({"saliency/grad_cam/rcap": 0.5}, range(3)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(tmp_path), "--gate", "saliency/grad_cam/rcap >= 0.2"])
    assert stopped.value.code in (0, 2)
    assert "was cut off or is damaged after" in capsys.readouterr().err


def png(width, height):
    """Write the first bytes of a picture."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(16)


@pytest.mark.parametrize("content", [png(60_000, 60_000), png(0, 5), b"<svg onload='alert(1)'>" * 9, b"", b"GIF89a"])
def test_pictures_that_a_browser_should_not_decode_are_left_out(tmp_path, content):
    image = Summary.Image(encoded_image_string=content)
    picture = summary(Summary.Value(tag="saliency/grad_cam/image_1", image=image))
    write_records(tmp_path, [*evaluations({}), picture])
    page = page_of(tmp_path)
    assert "img" not in page.tags
    assert "Left out: 1 pictures that are no PNG" in page.text


def test_pictures_that_are_too_large_together_are_shown_of_fewer_evaluations(tmp_path):
    image = Summary.Image(encoded_image_string=png(100, 100) + bytes(9_000_000))
    value = Summary.Value(tag="saliency/grad_cam/image_1", image=image)
    file = write_records(tmp_path / "a", [*evaluations({}, (0, 1)), summary(value, 0), summary(value, 1)])
    for run in "bcdef":
        shutil.copytree(file.parent, tmp_path / run)
    page = page_of(tmp_path)
    assert page.tags["img"] == 6
    assert page.text.count("(1 of 2 evaluations)") == 6
    for run in "gh":
        shutil.copytree(file.parent, tmp_path / run)
    page = page_of(tmp_path)
    assert page.tags["img"] == 7
    assert "Left out: 1 pictures, since the page would be too large." in page.text


def test_small_pictures_of_very_many_pixels_are_left_out_when_a_browser_would_fill_its_memory(tmp_path):
    image = Summary.Image(encoded_image_string=png(5_000, 6_000))
    tags = [f"saliency/grad_cam/image_{place}" for place in range(20)]
    write_records(tmp_path, [*evaluations({}), *(summary(Summary.Value(tag=tag, image=image)) for tag in tags)])
    page = page_of(tmp_path)
    assert page.tags["img"] == 8
    assert "Left out: 12 pictures, since the page would be too large." in page.text


def test_names_texts_and_settings_are_bounded_with_sentences(tmp_path):
    write_log(tmp_path, card="word " * 30_000, settings={"x": "y" * 50_000, **dict.fromkeys(map(str, range(2000)), 1)})
    write_records(tmp_path, [event(tag="t" * 100_000), *(event(tag=f"t{place}") for place in range(6_000))], f"{FILE}9")
    page = page_of(tmp_path)
    for sentence in (
        "1 entries whose name has more than 500 characters",
        "entries, since a run has more than 5,000 names",
        "charts of other values",
        "1,001 hyper-parameters",
        "more characters were left out",
    ):
        assert sentence in page.text
    assert len(page.source) < 10e6


def test_very_many_runs_are_not_all_shown(tmp_path):
    for place in range(203):
        write_records(tmp_path / f"run_{place}", [event()])
    page = page_of(tmp_path)
    assert "The first 200 of 203 runs are shown." in page.text
    assert page.tags["section"] == 200


def test_very_many_values_are_thinned_and_the_last_one_stays(tmp_path):
    def values(step):
        scalars = [Summary.Value(tag=f"t{place}", simple_value=float(step)) for place in range(1_000)]
        return Event(step=step, summary=Summary(value=scalars)).SerializeToString()

    write_records(tmp_path, [values(step) for step in range(1_100)])
    page = page_of(tmp_path)
    assert "values between others, since there are very many" in page.text
    axis = [text.text for text in chart_of(page, "t0").iterfind(".//text")]
    assert "1000" in axis


HOSTILE_STEPS = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1]
HOSTILE_VALUES = [0.0, float("nan"), float("inf"), -3.4e38, 3.4e38, 1e-45]


@pytest.mark.parametrize("seed", range(SEED, SEED + 6))
def test_absurd_steps_and_values_hide_no_other_run(tmp_path, seed):
    draw = torch.Generator().manual_seed(seed)

    def pick(choices):
        return choices[int(torch.randint(len(choices), (), generator=draw))]

    tags = ["epoch", "saliency/seconds", "saliency/m/invalid", "saliency/m/rcap", "saliency/m/rcap_stderr"]
    tags += ["saliency/m/rcap_vs_random", "saliency/m/drift_spearman", "gate/passed", "/seconds", "", "/", "a\nb\0"]
    records = [event(pick(HOSTILE_STEPS), pick(tags), pick(HOSTILE_VALUES)) for _ in range(100)]
    write_records(tmp_path / "bad", records)
    write_log(tmp_path / "good")
    assert page_of(tmp_path).text.count("3 evaluations, the last at epoch 2") == 1


def test_names_of_runs_do_not_command_the_terminal(tmp_path, capsys):
    folder = tmp_path / "run\x1b]0;title\x07\nline"
    path = write_records(folder, [event()])
    path.write_bytes(path.read_bytes()[:-1])
    main(["report", str(tmp_path), "-o", str(tmp_path / "report.html")])
    sentence = capsys.readouterr().err
    assert "\x1b" not in sentence
    assert sentence.count("\n") == 1


def test_a_long_file_is_read_with_a_bar(tmp_path):
    repeat(write_records(tmp_path, [event(tag=f"t{place}") for place in range(10)]), 50_000)
    command = [sys.executable, "-m", "lightning_saliency", "report", str(tmp_path), "-o", str(tmp_path / "page.html")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert re.search(r"Reading: +\d+%", done.stderr)
    assert "MB" in done.stderr or "M/" in done.stderr


def test_a_quick_report_has_no_bar(tmp_path, capsys):
    write_log(tmp_path)
    write_report(tmp_path, tmp_path / "page.html")
    assert capsys.readouterr().err == ""


def test_reading_takes_no_more_than_a_third_of_the_time_of_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    repeat(write_records(tmp_path, [event(tag=f"train/loss_{place}") for place in range(10)]), 6_000)
    write_report(tmp_path, tmp_path / "page.html")  # everything is imported
    start = time.process_time()
    write_report(tmp_path, tmp_path / "page.html")
    ours = time.process_time() - start
    start = time.process_time()
    EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    assert 3 * ours < time.process_time() - start


def test_a_row_without_an_end_fills_no_memory(tmp_path, capsys):
    """A file of zeros takes no room on a disk; nor is one row of very many small cells kept."""
    for number, name in enumerate((SCORES, TABLE) * 2):
        folder = tmp_path / f"run {number}"
        write_log(folder)
        header = ",".join(SCORE_COLUMNS if name == SCORES else EVALUATION_COLUMNS) + "\n"
        (folder / name).write_text(header + ('"\n",' * 4_000_000 if number > 1 else ""))
        if number < 2:
            os.truncate(folder / name, 2**31)
    tracemalloc.start()
    faults = write_report(tmp_path, tmp_path / "page.html")
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(tmp_path), "--gate", "saliency/grad_cam/rcap >= 0"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25
    assert stopped.value.code == 2
    assert [name for name in (SCORES, TABLE) * 2 if not any(name in fault for fault in faults)] == []
    assert len(faults) == 4
    assert "a row must have at most 200,000 characters" in capsys.readouterr().out


def test_folders_may_be_deeper_than_a_program_can_call_itself(tmp_path):
    write_log(tmp_path / "run")
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.fchdir(before)
        os.close(before)
    write_report(tmp_path, tmp_path / "page.html")
    assert "guided_absolute_grad" in (tmp_path / "page.html").read_text()
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(tmp_path), "--gate", "saliency/grad_cam/rcap >= -1"])
    assert stopped.value.code == 0
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
