"""`python -m lightning_saliency report`."""

import pytest

from lightning_saliency.__main__ import main
from tests.report.logs import write_log


def test_the_page_is_written_to_the_output_whose_name_is_printed(tmp_path, capsys):
    write_log(tmp_path / "logs")
    output = tmp_path / "new" / "page.html"
    main(["report", str(tmp_path / "logs"), "-o", str(output)])
    assert capsys.readouterr().out == f"{output}\n"
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in output.parent.iterdir()] == ["page.html"]


def test_the_page_is_report_html_by_default(tmp_path, monkeypatch):
    write_log(tmp_path)
    monkeypatch.chdir(tmp_path)
    main(["report", "."])
    assert (tmp_path / "report.html").exists()


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["report", *map(str, arguments)])
    assert stopped.value.code == 2
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1
    return sentence


def test_a_folder_that_is_missing_or_empty_is_one_sentence(tmp_path, capsys):
    for folder in (tmp_path / "missing", tmp_path):
        sentence = refusal(capsys, folder)
        assert sentence.startswith("`LOGDIR`")
        assert f"but got '{folder}'" in sentence


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    write_log(tmp_path)
    (tmp_path / "folder").mkdir()
    sentence = refusal(capsys, tmp_path, "-o", tmp_path / "folder")
    assert sentence.startswith("`--output`")
    assert f"but got '{tmp_path / 'folder'}'" in sentence
