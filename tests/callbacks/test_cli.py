"""Everything can be said in YAML."""

from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from examples.cli import main
from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import IDGI, GradCAM, Gradient, GuidedAbsoluteGrad, IntegratedGradients

CONFIG = Path(__file__).parents[2] / "examples" / "config.yaml"
QUICK = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.enable_progress_bar=false"]


def second_class(logits, labels):
    return torch.full((len(logits),), 1)


# Lightning calls jsonargparse by names that are going to change.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*(JSONARGPARSE_DEPRECATION|removed in v5)")


def built(yaml):
    parser = ArgumentParser()
    parser.add_class_arguments(SaliencyMonitor, "monitor")
    parsed = parser.parse_string(yaml)
    return parser.instantiate_classes(parsed).monitor.settings


def test_the_example_trains_watches_and_gates_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["cli.py"])
    cli = main(["fit", "--config", str(CONFIG), *QUICK, "--trainer.accelerator=cpu"])
    (monitor,) = [callback for callback in cli.trainer.callbacks if isinstance(callback, SaliencyMonitor)]
    (gate,) = [callback for callback in cli.trainer.callbacks if isinstance(callback, GatedCheckpoint)]
    methods = monitor.settings.methods
    assert list(methods) == ["grad_cam", "guided_absolute_grad", "idgi"]
    assert methods["grad_cam"] == GradCAM()
    assert methods["guided_absolute_grad"] == GuidedAbsoluteGrad(num_samples=10)
    assert methods["idgi"] == IDGI(IntegratedGradients(num_steps=16))
    assert [len(decision.reasons) for decision in gate.decisions] == [2]
    for name in methods:
        assert cli.trainer.callback_metrics[f"saliency/{name}/rcap"].isfinite()
    assert len(list(tmp_path.rglob("saliency.csv"))) == 1
    assert list(tmp_path.rglob("pictures/**/*.png"))
    assert list(tmp_path.rglob("last.ckpt"))


def test_methods_and_metrics_may_be_mappings_short_names_and_class_paths():
    settings = built(
        """
        monitor:
          methods:
            plain: gradient
            wide: {class_path: lightning_saliency.methods.GradCAM, init_args: {name: other}}
          metrics:
            mine: {class_path: lightning_saliency.metrics.RCAP, init_args: {activation: sigmoid}}
            theirs: Deletion
        """
    )
    assert settings.methods == {"plain": Gradient(), "wide": GradCAM(name="other")}
    assert {name: metric.higher_is_better for name, metric in settings.metrics.items()} == {
        "mine": True,
        "theirs": False,
    }
    assert settings.activation == "softmax"  # the two do not agree


def test_where_images_labels_and_logits_are_is_said_by_names():
    settings = built(
        """
        monitor:
          model: net.backbone
          output: logits
          batch: [image, label]
          mean: [0.5, 0.4, 0.3]
          std: [0.2, 0.2, 0.2]
          target: predicted
          max_batch_size: auto
          max_seconds: 5
          max_fraction_of_epoch: 0.05
          controls: [edges]
          name: mine
        """
    )
    assert (settings.model, settings.output, list(settings.batch)) == ("net.backbone", "logits", ["image", "label"])
    assert (settings.target, settings.halves_batches, settings.controls) == ("predicted", True, ("edges",))
    assert (settings.max_seconds, settings.max_fraction_of_epoch) == (5, 0.05)
    assert tuple(settings.normalization.mean) == (0.5, 0.4, 0.3)


@pytest.mark.parametrize(
    ("arguments", "expected"), [("1", 1), ("label", "label"), ("tests.callbacks.test_cli.second_class", second_class)]
)
def test_targets_are_a_class_a_word_or_a_function_by_its_path(arguments, expected):
    assert built(f"monitor: {{target: {arguments}}}").target == expected
