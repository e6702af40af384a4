"""The page shows scores by class, from the table of scores beside the event files."""

import csv
import re

import pytest

from tests.report.logs import write, write_log
from tests.report.pages import page_of

ORIGIN = ["schema", "stage", "run", "step", "epoch"]
COLUMNS = [*ORIGIN, "index", "target", "predicted", "class_name", "method", "metric", "score"]


def rows(scores, method="grad_cam", metric="rcap", stage="fit", run="r1", step=30, schema=1, names=()):
    """List the rows of (target, score) of the images of one evaluation."""
    return [
        [schema, stage, run, step, step // 10 - 1, index, target, 0, dict(names).get(target, ""), method, metric, score]
        for index, (target, score) in enumerate(scores)
    ]


def write_table(folder, *evaluations, name="saliency", columns=COLUMNS):
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *(row for rows in evaluations for row in rows)])


def tables(page):
    """Return the cells of each table by class, by its caption."""
    return {
        re.search("<caption>(.*?)</caption>", table)[1]: [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*?</tr>", table, re.DOTALL)
        ]
        for table in re.findall('<table class="classes">.*?</table>', page.source, re.DOTALL)
    }


def test_classes_have_means_with_errors_and_the_worst_comes_first(tmp_path):
    write_log(tmp_path)
    better, worse = [(7, 0.5), (7, 0.7), (3, 0.25)], [(7, 0.5), (7, 0.25), (3, 0.125)]
    control = rows([(7, 0.125)], "random")
    write_table(tmp_path, rows(better), control, rows(worse, metric="allegiance"))
    assert tables(page_of(tmp_path)) == {
        "rcap": [
            ["class", "images", "grad_cam", "random"],
            ["3", "1", "0.250", "-"],
            ["7", "2", "0.600 ± 0.100", "0.125"],
        ],
        "allegiance": [["class", "images", "grad_cam"], ["7", "2", "0.375 ± 0.125"], ["3", "1", "0.125"]],
    }


def test_classes_have_the_names_that_the_data_set_gives_them(tmp_path):
    write_log(tmp_path)
    names = {3: "cat, sitting", 7: "<b>Löwe</b>"}
    write_table(tmp_path, rows([(7, 0.5), (3, 0.25), (1, 0.75)], names=names))
    table = tables(page_of(tmp_path))["rcap"]
    assert [cells[0] for cells in table[1:]] == ["cat, sitting", "&lt;b&gt;Löwe&lt;/b&gt;", "1"]


def test_classes_are_in_order_where_the_direction_is_not_known_by_the_name(tmp_path):
    write_log(tmp_path, metric="mine")
    write_table(tmp_path, rows([(10, 0.1), (9, 0.2), (2, 0.3)], metric="mine"))
    (table,) = tables(page_of(tmp_path)).values()
    assert [cells[0] for cells in table[1:]] == ["2", "9", "10"]


def test_the_last_evaluation_of_the_last_training_counts(tmp_path):
    write_log(tmp_path)
    write_table(
        tmp_path,
        rows([(0, 0.1)], run="r1", step=90),
        rows([(0, 0.2)], run="r2", step=10),
        rows([(0, 0.3)], run="r2", step=20),
        rows([(0, 0.4)], run="r2", step=20, stage="validate"),
    )
    assert tables(page_of(tmp_path))["rcap"][1] == ["0", "1", "0.300"]


def test_a_folder_where_nothing_was_trained_shows_its_last_validation(tmp_path):
    write_log(tmp_path)
    write_table(tmp_path, rows([(0, 0.4)], stage="validate", step=0))
    assert tables(page_of(tmp_path))["rcap"][1] == ["0", "1", "0.400"]


def test_drift_is_no_score(tmp_path):
    write_log(tmp_path)
    write_table(tmp_path, rows([(0, 0.4)]), rows([(0, 0.9)], metric="drift_spearman_first"))
    assert list(tables(page_of(tmp_path))) == ["rcap"]


def test_monitors_have_tables_of_their_own(tmp_path):
    write_log(tmp_path, name="watch")
    write_log(tmp_path, name="watch/edge")
    (tmp_path / "watch").mkdir()
    write_table(tmp_path, rows([(1, 0.4)]), name="watch")
    write_table(tmp_path, rows([(2, 0.4)], metric="insertion"), name="watch/edge")
    page = page_of(tmp_path)
    assert {metric: table[1][0] for metric, table in tables(page).items()} == {"rcap": "1", "insertion": "2"}
    assert {"Scores by class: watch", "Scores by class: watch/edge"} <= set(page.headings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "step,epoch\n1,2\n",
        ",".join(COLUMNS) + "\n",
        ",".join(COLUMNS) + "\n1,fit,r1\n",
        ",".join(COLUMNS) + "\n1,fit,r1,0,0,0,cat,0,,grad_cam,rcap,0.5\n",
        ",".join(COLUMNS) + "\n2,fit,r1,0,0,0,1,0,,grad_cam,rcap,0.5\n",
        "\udcff",
    ],
)
def test_a_table_of_another_form_leaves_the_page_without_classes(tmp_path, text):
    write_log(tmp_path)
    (tmp_path / "saliency.csv").write_bytes(text.encode(errors="surrogateescape"))
    page = page_of(tmp_path)
    assert tables(page) == {}
    assert "Scores by class" not in page.headings


def test_no_file_outside_the_folder_of_the_run_is_read(tmp_path):
    folder = tmp_path / "logs" / "run"
    write(folder, {"../secret/seconds": {9: 1.0}, "../secret/grad/invalid": {9: 0.0}})
    write_table(tmp_path / "logs", rows([(0, 0.5)], method="grad"), name="secret")
    page = page_of(tmp_path / "logs")
    assert "Where it stands" in page.headings
    assert tables(page) == {}
