"""The page compares the runs of a folder."""

import re

from tests.report.logs import METHODS, write, write_log
from tests.report.pages import chart_of, page_of


def scores(values, method="grad_cam", metric="rcap", errors=None, epochs=True):
    """List the scalars of a monitor with one score, by tag and step."""
    tags = {
        "saliency/seconds": dict.fromkeys(values, 1.0),
        f"saliency/{method}/invalid": dict.fromkeys(values, 0.0),
        f"saliency/{method}/{metric}": values,
    }
    if errors:
        tags[f"saliency/{method}/{metric}_stderr"] = errors
    return tags | ({"epoch": {step: place for place, step in enumerate(values)}} if epochs else {})


def table(page):
    """Return the cells of the comparison, and the best among them."""
    (text,) = re.findall('<table class="runs">.*?</table>', page.source, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*?</tr>", text, re.DOTALL)]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in cells], re.findall('class="best">(.*?)<', text)


def dots(page, title):
    return [dot.findtext("title") for dot in chart_of(page, title).iterfind(".//circle")]


def test_last_scores_are_in_one_table_and_the_best_is_marked(tmp_path):
    write(tmp_path / "version_2", scores({9: 0.5, 19: 0.25}, errors={19: 0.125}))
    write(tmp_path / "version_10", scores({9: 0.125, 19: 0.375}))
    cells, best = table(page_of(tmp_path))
    assert cells == [
        ["", "rcap of grad_cam"],
        ["version_2", "0.250 ± 0.125"],
        ["version_10", "0.375"],
    ]
    assert best == ["0.375"]


def test_lower_is_best_for_some_metrics_and_unknown_for_others(tmp_path):
    for name, score in (("a", 0.25), ("b", 0.5)):
        write(tmp_path / name, scores({9: score}, metric="allegiance") | scores({9: score}, metric="mine"))
    assert table(page_of(tmp_path))[1] == ["0.250"]


def test_curves_of_all_runs_lie_over_epochs_in_one_chart(tmp_path):
    write(tmp_path / "a", scores({9: 0.5, 19: 0.25}, errors={19: 0.125}))
    write(tmp_path / "b", scores({4: 0.125, 9: 0.375, 14: 0.5}))
    page = page_of(tmp_path)
    assert dots(page, "rcap of grad_cam") == [
        "a, epoch 0: 0.500",
        "a, epoch 1: 0.250 ± 0.125",
        "b, epoch 0: 0.125",
        "b, epoch 1: 0.375",
        "b, epoch 2: 0.500",
    ]
    styles = [group.get("class") for group in chart_of(page, "rcap of grad_cam").iterfind(".//g")]
    assert len(set(styles)) == 2


def test_they_lie_over_steps_where_a_run_has_no_epochs(tmp_path):
    write(tmp_path / "a", scores({9: 0.5, 19: 0.25}))
    write(tmp_path / "b", scores({5: 0.125, 7: 0.375}, epochs=False))
    assert dots(page_of(tmp_path), "rcap of grad_cam") == [
        "a, step 9: 0.500",
        "a, step 19: 0.250",
        "b, step 5: 0.125",
        "b, step 7: 0.375",
    ]


def test_runs_may_have_other_methods(tmp_path):
    write(tmp_path / "a", scores({9: 0.5}))
    write(tmp_path / "b", scores({9: 0.25}, method="gradient"))
    page = page_of(tmp_path)
    cells, best = table(page)
    assert cells == [["", "rcap of grad_cam", "rcap of gradient"], ["a", "0.500", "-"], ["b", "-", "0.250"]]
    assert best == []
    assert dots(page, "rcap of gradient") == ["b, epoch 0: 0.250"]


def test_a_row_leads_to_its_run_also_where_others_are_left_out(tmp_path):
    write(tmp_path / "a", {"val_loss": {1: 0.5}})
    for name in ("b", "c"):
        write(tmp_path / name, scores({9: 0.5}))
    page = page_of(tmp_path)
    assert page.values("href") == ["#run-0", "#run-1", "#run-2", "#run-1", "#run-2"]
    assert [row[0] for row in table(page)[0]] == ["", "b", "c"]


def test_several_monitors_are_told_apart_and_controls_are_left_out(tmp_path):
    for run in ("a", "b"):
        for monitor in ("saliency", "watch"):
            write_log(tmp_path / run, name=monitor)
    cells, _ = table(page_of(tmp_path))
    assert cells[0][1:] == [f"{monitor}/{method}/rcap" for monitor in ("saliency", "watch") for method in METHODS]


def test_one_run_is_compared_with_nothing(tmp_path):
    write_log(tmp_path / "a")
    write(tmp_path / "b", {"val_loss": {1: 0.5}})
    assert "Comparison of runs" not in page_of(tmp_path).text


def test_names_of_runs_are_escaped(tmp_path):
    for name in ("<b>a", "b"):
        write(tmp_path / name, scores({9: 0.5}))
    page = page_of(tmp_path)
    assert "<b>" not in page.source
    assert "&lt;b&gt;a, epoch 0: 0.500" in page.source
