"""The documented way to write a metric is right beside a twin with another value, and short."""

import inspect
import runpy
from pathlib import Path

import pytest
import torch
from torchmetrics import MetricCollection

from lightning_saliency import score
from lightning_saliency.metrics import ExplanationMetric
from tests.models import digits, trained_on_digits

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_metric.py"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE))


def test_two_with_different_parameters_score_together_as_alone(example):
    survival = example["Survival"]
    images, labels = (part[:60] for part in digits())
    model, maps = trained_on_digits(), {"maps": torch.rand(60, 8, 8)}
    metrics = {"grey": survival(), "dark": survival(grey=0.0)}
    together = score(model, images, maps, labels, metrics)["maps"]
    for name, metric in metrics.items():
        assert torch.equal(together[name], metric.scores(model, images, maps["maps"], labels))
    assert not torch.equal(together["grey"], together["dark"])
    collection = MetricCollection({name: metric.clone() for name, metric in metrics.items()})
    for part in (slice(0, 20), slice(20, 60)):
        collection.update(model, images[part], maps["maps"][part], labels[part])
    for name, mean in collection.compute().items():
        torch.testing.assert_close(mean, together[name].double().mean())


def test_a_metric_with_its_own_change_takes_few_lines_and_one_import():
    source = EXAMPLE.read_text()
    imports = [line for line in source.splitlines() if "lightning_saliency.extend" in line and "import" in line]
    assert len(imports) == 1
    classes = source[source.index("class TenthShown") : source.index("def main")]
    assert len([line for line in classes.splitlines() if line.strip()]) + 1 <= 25
    assert issubclass(runpy.run_path(str(EXAMPLE))["Survival"], ExplanationMetric)
    assert inspect.signature(runpy.run_path(str(EXAMPLE))["Survival"]).parameters["grey"].default == 0.5
