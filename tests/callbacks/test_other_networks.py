"""Networks without layers for the default methods, with probabilities or features for outputs: what a user meets."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import RandomMap
from lightning_saliency.metrics import RCAP, Insertion
from tests.callbacks.training import (
    CLASSES,
    MEAN,
    STD,
    Classifier,
    Data,
    Network,
    Patterns,
    assert_identical,
    fit,
    trace,
)

COLOURS = {"mean": MEAN, "std": STD}


def features():
    return nn.Sequential(*list(Network())[:-1])


class FullyConnected(Classifier):
    """A network without positions."""

    def __init__(self):
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, CLASSES)))


class Frozen(Classifier):
    """A backbone that runs without gradients, and a head."""

    def __init__(self):
        super().__init__(features())
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images):
        with torch.no_grad():
            features = self.network(images)
        return self.head(features)


class Recurrent(Classifier):
    """Reads the image row by row."""

    def __init__(self):
        super().__init__(nn.GRU(8, 16, batch_first=True))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images):
        return self.head(self.network(images[:, 0])[0][:, -1])


def warnings_of(**options):
    """Fit, and return the monitor's warnings, the trainer and the module."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run, module = fit(**options)
    return [str(each.message) for each in caught if "SaliencyMonitor" in str(each.message)], run, module


@pytest.mark.parametrize("sanity_steps", [0, 2])
@pytest.mark.parametrize("kind", [FullyConnected, Recurrent])
def test_a_default_method_without_a_layer_is_left_out_with_one_warning(kind, sanity_steps):
    messages, run, module = warnings_of(
        callbacks=[SaliencyMonitor(num_images=6, **COLOURS, cues=())], make=kind, num_sanity_val_steps=sanity_steps
    )
    assert len(messages) == 1
    assert "Left out default methods" in messages[0]
    assert "'grad_cam'" in messages[0]
    assert "guided_absolute_grad'" not in messages[0]
    names = run.callback_metrics
    assert "saliency/guided_absolute_grad/rcap" in names
    assert not any("grad_cam" in name for name in names)
    alone, twin = fit(make=kind, num_sanity_val_steps=sanity_steps)
    assert_identical(trace(run, module), trace(alone, twin))


def test_where_no_default_method_fits_training_goes_on_with_one_warning():
    messages, run, module = warnings_of(callbacks=[SaliencyMonitor(num_images=6, **COLOURS, cues=())], make=Frozen)
    assert len(messages) == 1
    assert "Skipped the explanations" in messages[0]
    assert "outside of `no_grad`" in messages[0]
    assert_identical(trace(run, module), trace(*fit(make=Frozen)))


def test_the_cues_of_a_plain_monitor_do_not_stop_a_training_that_has_no_gradients():
    messages, run, module = warnings_of(callbacks=[SaliencyMonitor(num_images=6, **COLOURS)], make=Frozen)
    assert any("Skipped the explanations" in message and "'guided_absolute_grad'" in message for message in messages)
    assert_identical(trace(run, module), trace(*fit(make=Frozen)))


def test_cues_that_need_no_map_are_followed_where_there_are_no_gradients():
    watcher = SaliencyMonitor([RandomMap()], num_images=6, **COLOURS)
    messages, _, _ = warnings_of(callbacks=[watcher], make=Frozen)
    assert [message for message in messages if "Left out default cues that need maps" in message]
    followed = {name for name in watcher.history[-1].values if name.startswith("saliency/cues/")}
    assert "saliency/cues/level" in followed
    assert "saliency/cues/window" not in followed


def test_a_cue_that_the_user_named_is_refused_where_there_are_no_gradients():
    with pytest.raises(ValueError, match=r"differentiable path.*by `model`, a function"):
        fit([SaliencyMonitor([RandomMap()], num_images=6, cues=["window"], **COLOURS)], make=Frozen)


class Counts(Patterns):
    """Numbers of objects, of which two could be classes."""

    def __getitem__(self, index):
        image, _ = super().__getitem__(index)
        return image, torch.tensor(float(index % 3))


class Counting(Classifier):
    """A regression with one column."""

    def __init__(self):
        super().__init__(nn.Sequential(features(), nn.Linear(8, 1)))

    def training_step(self, batch, batch_idx):
        return functional.mse_loss(self(batch[0])[:, 0], batch[1])

    validation_step = training_step


def test_a_regression_of_which_some_labels_are_0_or_1_is_told_to_name_its_target():
    data = Data()
    data.train_dataloader = data.val_dataloader = lambda: DataLoader(Counts(18), 6)
    messages, _, _ = warnings_of(
        callbacks=[SaliencyMonitor(num_images=18, **COLOURS, cues=())], make=Counting, data=data
    )
    assert any(
        "the target is 2, and the model has 2 classes (of one output; for a regression pass `target`)" in message
        for message in messages
    )


def test_the_remedy_for_a_frozen_backbone_works():
    def forward(module, images):
        return module.head(module.network(images))

    messages, run, _ = warnings_of(
        callbacks=[SaliencyMonitor(num_images=6, model=forward, **COLOURS, cues=())], make=Frozen, max_epochs=1
    )
    assert not messages
    assert "saliency/grad_cam/rcap" in run.callback_metrics


def test_a_method_that_was_named_raises_with_a_remedy_that_works():
    with pytest.raises(ValueError, match=r"needs no layer, such as `Gradient`") as refusal:
        fit([SaliencyMonitor(["grad_cam"], num_images=6, **COLOURS, cues=())], FullyConnected)
    assert "`GuidedAbsoluteGrad`" in str(refusal.value)
    run, _ = fit([SaliencyMonitor(["gradient"], num_images=6, **COLOURS, cues=())], FullyConnected, max_epochs=1)
    assert "saliency/gradient/rcap" in run.callback_metrics


class Probable(Classifier):
    """Ends in a softmax or a sigmoid, and trains on its probabilities."""

    def __init__(self, end=None):
        super().__init__()
        self.end = end or nn.Softmax(dim=1)

    def forward(self, images):
        return self.end(self.network(images))

    def training_step(self, batch, batch_idx):
        loss = functional.nll_loss(self(batch[0]).clamp(min=1e-6).log(), batch[1])
        self.losses.append(loss.item())
        return loss


def scores_of(monitor, make):
    _, run, _ = warnings_of(callbacks=[monitor], make=make, max_epochs=1)
    return {
        name: value.item()
        for name, value in run.callback_metrics.items()
        if name.startswith("saliency/") and not name.endswith(("seconds", "fraction_of_epoch"))
    }


def options_of(metric):
    return {"methods": ["gradient", "grad_cam"], "metrics": [metric], "num_images": 12, "log": ["*"], **COLOURS}


def test_probabilities_of_a_softmax_are_noticed_and_scored_as_such():
    monitor = SaliencyMonitor(**options_of(Insertion()), cues=())
    messages, _, _ = warnings_of(callbacks=[monitor], make=Probable)
    assert len(messages) == 1
    assert "returns probabilities, those of a softmax" in messages[0]
    scores = scores_of(SaliencyMonitor(**options_of(Insertion()), cues=()), Probable)
    for remedy in ({"output": torch.log}, {"model": lambda module, images: module.network(images)}):
        monitor = SaliencyMonitor(**options_of(Insertion()), **remedy, cues=())
        messages, _, _ = warnings_of(callbacks=[monitor], make=Probable, max_epochs=1)
        assert not messages
        repaired = scores_of(SaliencyMonitor(**options_of(Insertion()), **remedy, cues=()), Probable)
        # Maps of the logit itself differ, but not the scores of maps that ignore the network.
        for name in scores if "output" in remedy else ("saliency/random/insertion",):
            assert scores[name] == pytest.approx(repaired[name], abs=1e-5)


def test_probabilities_of_a_sigmoid_are_noticed_and_scored_by_themselves():
    def make():
        return Probable(nn.Sigmoid())

    messages, _, _ = warnings_of(callbacks=[SaliencyMonitor(num_images=12, **COLOURS, cues=())], make=make)
    assert len(messages) == 1
    assert "those of a sigmoid" in messages[0]
    assert "output=torch.logit" in messages[0]
    scores = scores_of(SaliencyMonitor(methods=["gradient"], num_images=12, **COLOURS, cues=()), make)
    remedy = SaliencyMonitor(
        ["gradient"], [RCAP(activation="sigmoid")], num_images=12, output=torch.logit, **COLOURS, cues=()
    )
    assert scores == pytest.approx(scores_of(remedy, make), abs=1e-4)


def test_logits_are_not_taken_for_probabilities():
    class Bounded(Classifier):
        """Logits in [0, 1]."""

        def forward(self, images):
            return self.network(images).clamp(0, 1)

    messages, _, _ = warnings_of(
        callbacks=[SaliencyMonitor(num_images=12, **COLOURS, cues=())], make=Bounded, max_epochs=1
    )
    assert not any("probabilities" in message for message in messages)


class Named(Patterns):
    """A data set that names its classes."""

    classes = ("upper left", "upper right", "lower left")


class Wide(Classifier):
    """Trains a head that `forward` leaves out."""

    def __init__(self):
        super().__init__(features())
        self.head = nn.Linear(8, CLASSES)

    def training_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self.head(self(batch[0])), batch[1])
        self.losses.append(loss.item())
        return loss


def named_data():
    data = Data()
    data.val_dataloader = lambda: DataLoader(Named(18), 6)
    return data


def test_features_are_not_taken_for_logits():
    with pytest.raises(
        ValueError, match=r"data's 3 classes, but got 8 outputs.*features, while a layer with 3 outputs"
    ):
        fit([SaliencyMonitor(num_images=6, **COLOURS, cues=())], Wide, named_data())
    remedy = SaliencyMonitor(num_images=6, model=lambda module, images: module.head(module(images)), **COLOURS, cues=())
    messages, run, _ = warnings_of(callbacks=[remedy], make=Wide, data=named_data(), max_epochs=1)
    assert not messages
    assert "saliency/grad_cam/rcap" in run.callback_metrics


def test_features_without_a_head_are_refused_too():
    with pytest.raises(
        ValueError, match=r"data's 3 classes, but got 8 outputs, which seem to be features: pass `model`"
    ):
        fit([SaliencyMonitor(num_images=6, **COLOURS, cues=())], lambda: Classifier(features()), named_data())


def test_a_head_of_more_classes_than_the_data_have_is_only_mentioned():
    """As in fine-tuning with the head of ImageNet's thousand classes."""

    def make():
        network = Network()
        network[-1] = nn.Linear(8, 10)
        return Classifier(network)

    messages, run, _ = warnings_of(
        callbacks=[SaliencyMonitor(num_images=6, **COLOURS, cues=())], make=make, data=named_data(), max_epochs=1
    )
    assert len(messages) == 1
    assert "10 outputs and the data have 3 classes" in messages[0]
    assert "saliency/grad_cam/rcap" in run.callback_metrics


def test_labels_of_several_classes_lead_to_sigmoids():
    labels = functional.one_hot(Patterns(18).targets, 3).float()
    labels[:, 0] = 1
    data = Data()
    data.val_dataloader = lambda: DataLoader(TensorDataset((Patterns(18).images - MEAN) / STD, labels), 6)

    class Several(Classifier):
        def validation_step(self, batch, batch_idx):
            """Validate nothing."""

    def scores(metrics):
        monitor = SaliencyMonitor(["gradient"], metrics, target=1, num_images=6, **COLOURS, cues=())
        messages, run, _ = warnings_of(callbacks=[monitor], make=Several, data=data, max_epochs=1)
        return messages, run.callback_metrics["saliency/gradient/rcap"].item()

    messages, by_default = scores(None)
    assert not messages
    assert scores([RCAP(activation="sigmoid"), "allegiance"]) == ([], by_default)
    messages, softmax = scores(["rcap"])
    assert len(messages) == 1
    assert 'Pass `activation="sigmoid"`' in messages[0]
    assert softmax != by_default


@pytest.mark.parametrize("end", [nn.Softmax(dim=1), nn.LogSoftmax(dim=1)])
def test_a_network_of_more_classes_than_the_data_is_none_of_features_after_a_softmax(end):
    class Named(Patterns):
        classes = ("a", "b", "c")

    class Wide(Classifier):
        def __init__(self):
            super().__init__(nn.Sequential(features(), nn.Linear(8, 20), end))

    preflight = SaliencyMonitor(num_images=6, **COLOURS, cues=()).check(Wide(), DataLoader(Named(18), 6))
    assert preflight.class_names == Named.classes
