"""A page shows everything that a log holds."""

from lightning.pytorch.loggers import TensorBoardLogger

from tests.report.logs import METHODS, write, write_log
from tests.report.pages import page_of

WATCHED = {"saliency/seconds": {9: 1.0}, "saliency/grad/invalid": {9: 0.0}}
CONTROL = {"saliency/random/rcap": {9: 0.25}}


def test_everything_that_was_logged_is_shown(tmp_path):
    write_log(tmp_path / "digits" / "version_0", settings={"learning_rate": 0.001, "network": "resnet10t"})
    page = page_of(tmp_path)
    for name in (*METHODS, "random", "rcap", "rcap over random", "spearman since the best", "image_22", "drifted_0"):
        assert name in page.text
    assert "digits/version_0" in page.text
    assert "3 evaluations, the last at epoch 2 · gate passed in 2 of 3 validations · 8 s spent" in page.text
    assert "saliency/grad_cam/rcap is 2, required >= 0.2" in page.text
    assert "Subset: 22, 38, 141." in page.text
    assert "learning_rate 0.001 network resnet10t" in page.text
    assert "val_loss" in page.text


def test_the_table_says_where_each_method_stands(tmp_path):
    write_log(tmp_path)
    text = page_of(tmp_path).text
    assert "rcap 0.300 ± 0.020 +5.0 SE over random 0.400 ± 0.020 -5.0 SE over random 0.100 ± 0.010" in text
    assert "drift: spearman 0.900 ± 0.010 0.800 ± 0.010 -" in text


def test_a_margin_without_an_error_is_shown_as_it_is(tmp_path):
    write(tmp_path, WATCHED | {"saliency/grad/rcap": {9: 0.5}, "saliency/grad/rcap_vs_random": {9: 0.25}} | CONTROL)
    assert "rcap 0.500 +0.250 over random" in page_of(tmp_path).text


def test_a_value_that_the_last_evaluation_lacks_says_its_age(tmp_path):
    seconds = {"saliency/seconds": {9: 1.0, 19: 1.0}, "epoch": {9: 0, 19: 1}}
    write(tmp_path, WATCHED | seconds | {"saliency/grad/rcap": {9: 0.5}})
    assert "rcap 0.500 at epoch 0" in page_of(tmp_path).text


def test_values_that_are_not_finite_are_left_out_of_charts_and_said(tmp_path):
    nan, inf = float("nan"), float("inf")
    values = {"saliency/grad/rcap": {9: nan, 19: 0.5, 29: inf}, "saliency/grad/rcap_stderr": {19: nan}}
    write(tmp_path, WATCHED | values | {"saliency/seconds": {9: nan, 29: 2.0}, "lost": {1: nan}, "epoch": {9: nan}})
    page = page_of(tmp_path)
    coordinates = [value for _, name, value in page.attributes if name in ("d", "cx", "cy", "x", "y", "y1")]
    assert coordinates
    assert not any("nan" in value or "inf" in value for value in coordinates)
    assert "2 not finite, left out" in page.text
    assert "1 not finite, left out" in page.text
    assert "rcap not finite" in page.text
    assert "2 s spent" in page.text


def test_controls_are_grey_and_methods_coloured(tmp_path):
    write_log(tmp_path)
    page = page_of(tmp_path)
    assert {"control k0", "c0 round0", "c1 round0"} <= set(page.values("class"))


def test_pictures_of_all_evaluations_are_there_and_the_last_is_shown(tmp_path):
    write_log(tmp_path)
    page = page_of(tmp_path)
    # Two strips of two methods, and one curve, in three evaluations.
    assert page.tags["img"] == (2 * 2 + 1) * 3
    assert page.tags["input"] == (2 + 1) * 3
    assert page.values("checked") == [""] * 3
    assert "image_22, grad_cam, epoch 2" in page.values("alt")
    assert len(set(page.values("id"))) == len(page.values("id"))


def test_of_very_many_evaluations_some_pictures_are_shown_and_that_is_said(tmp_path):
    write_log(tmp_path, methods=("grad_cam",), epochs=50)
    page = page_of(tmp_path)
    assert "20 of 50 evaluations" in page.text
    assert {"image_22, grad_cam, epoch 0", "image_22, grad_cam, epoch 49"} <= set(page.values("alt"))
    assert page.tags["img"] == 3 * 20


def test_decisions_are_placed_at_the_evaluations_they_are_on(tmp_path):
    write_log(tmp_path)
    page = page_of(tmp_path)
    assert (
        "epoch step decision reasons 2 30 passed saliency/grad_cam/rcap is 2, required >= 0.2 1 20 passed" in page.text
    )
    assert "0 10 refused saliency/grad_cam" in page.text
    assert page.source.count("epoch 0: gate refused") == 1
    assert page.source.count("epoch 2: gate passed") == 1


def test_a_gate_without_reasons_is_a_list_of_decisions(tmp_path):
    write(tmp_path, WATCHED | {"gate/passed": {10: 1.0}})
    assert "epoch step decision - 10 passed" in page_of(tmp_path).text


def test_several_gates_have_a_table_each(tmp_path):
    decided = {"gate/passed": {10: 1.0, 20: 0.0}, "strict/passed": {10: 0.0, 20: 0.0}, "other/passed": {10: 1.0}}
    write(tmp_path, WATCHED | decided, texts={"strict/decisions": {10: "**refused**", 20: "**refused**"}})
    page = page_of(tmp_path)
    assert "gate passed in 1 of 2 validations · strict passed in 0 of 2 validations" in page.text
    assert "Gate: gate" in page.text
    assert "Gate: strict" in page.text
    assert "Gate: other" not in page.text, "a value of others"


def test_a_run_without_a_monitor_is_said_to_be_one(tmp_path):
    write(tmp_path, {"timer/seconds": {1: 2.0}, "val_loss": {1: 0.5}})
    page = page_of(tmp_path)
    assert page.text.count("No SaliencyMonitor has logged here.") == 1
    assert "Where it stands" not in page.text
    assert "val_loss" in page.text


def test_two_monitors_are_told_apart_even_if_one_is_named_inside_the_other(tmp_path):
    write_log(tmp_path, name="watch", methods=("grad_cam",))
    write_log(tmp_path, name="watch/edge", methods=("smooth_grad",), metric="insertion")
    page = page_of(tmp_path)
    assert "Where it stands: watch grad_cam random rcap" in page.text
    assert "Where it stands: watch/edge smooth_grad random insertion" in page.text


def test_runs_are_in_the_order_of_their_numbers_with_a_way_to_each(tmp_path):
    for number in (10, 2):
        write(tmp_path / f"version_{number}", {"val_loss": {1: 0.5}})
    page = page_of(tmp_path)
    assert page.text.index("version_2") < page.text.index("version_10")
    assert page.values("href") == ["#run-0", "#run-1"]
    assert {"run-0", "run-1"} <= set(page.values("id"))


def test_the_file_of_hyper_parameters_is_shown_where_the_log_has_none(tmp_path):
    write(tmp_path, {"val_loss": {1: 0.5}})
    assert "Hyper-parameters" not in page_of(tmp_path).text
    (tmp_path / "hparams.yaml").write_text("widths:\n- 8\n- <16>\n")
    assert "hparams.yaml widths: - 8 - <16>" in page_of(tmp_path).text


def test_the_logger_of_lightning_is_understood(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="digits")
    logger.log_hyperparams({"network": "resnet", "sizes": [8, 16], "head": {"bias": True}})
    logger.log_metrics({"val_loss": 0.5, "epoch": 0}, step=3)
    logger.save()
    text = page_of(tmp_path).text
    assert "digits/version_0" in text
    assert "head/bias 1 network resnet sizes [8, 16]" in text
    assert "val_loss" in text
    assert "hp_metric" not in text


def test_the_same_log_gives_the_same_page(tmp_path):
    write_log(tmp_path)
    assert page_of(tmp_path).source == page_of(tmp_path).source
