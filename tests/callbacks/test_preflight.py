"""Before training a user learns what will be explained, where, and at which cost."""

import queue
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

import lightning_saliency
from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GradCAM, Gradient, ScoreCAM, SmoothGrad
from tests.callbacks.test_dashboard import read, text_of
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, fit
from tests.traces import assert_no_trace, trace_of

OPTIONS: dict[str, Any] = {"num_images": 6, "mean": MEAN, "std": STD}


class Named(Patterns):
    """Patterns whose classes have names."""

    classes = ("north", "east", "south")


class Counter(nn.Module):
    """A network that counts the images that go through it, in a queue, since its state and its class's are restored."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.passes: queue.Queue[int] = queue.Queue()

    def forward(self, images: Tensor) -> Tensor:
        self.passes.put(len(images))
        return self.network(images)

    def images(self) -> int:
        """Return how many images have gone through since the last call."""
        return sum(self.passes.get() for _ in range(self.passes.qsize()))


def monitor(methods: Any = None, metrics: Any = ("rcap",), **options: Any) -> SaliencyMonitor:
    return SaliencyMonitor(methods or [Gradient(), GradCAM()], list(metrics), **{**OPTIONS, **options}, cues=())


def test_it_tells_layer_normalization_target_and_classes():
    preflight = monitor([Gradient(), GradCAM(), ScoreCAM(layer="network.3")]).check(
        Classifier(), DataLoader(Named(12), 4)
    )
    assert preflight.network == "Classifier"
    assert preflight.layers == {"grad_cam": ("network.4",), "score_cam": ("network.3",)}
    assert preflight.normalization is not None
    assert (preflight.normalization.mean, preflight.normalization.std) == ((MEAN,), (STD,))
    assert preflight.target == "label"
    assert preflight.class_names == ("north", "east", "south")
    for part in ("network.4", "network.3", "0.25", "label", "3 classes from north to south", "6 images"):
        assert part in str(preflight)


@pytest.mark.parametrize("data", [Data(), Data().val_dataloader(), [(torch.rand(4, 1, 8, 8), torch.arange(4) % 3)]])
def test_data_modules_loaders_and_streams_will_do(data):
    assert monitor().check(Classifier(), data).target == "label"


def test_images_without_labels_are_explained_for_the_predicted_class():
    loader = DataLoader(torch.rand(4, 1, 8, 8), 2)
    assert monitor().check(Classifier(), loader).target == "predicted"


def test_no_images_are_refused():
    with pytest.raises(ValueError, match=r"`data` .* none"):
        monitor().check(Classifier(), DataLoader(Patterns(0)))


def test_passes_are_those_that_an_evaluation_makes():
    counter = Counter(Classifier().network)
    module = Classifier(counter)
    preflight = monitor([SmoothGrad(num_samples=5)], controls=()).check(module, DataLoader(Patterns(6), 2))
    assert preflight.backwards == 5
    counted = counter.images()
    lightning_saliency.evaluate(
        module,
        DataLoader(Patterns(6), 2),
        methods=[SmoothGrad(num_samples=5)],
        metrics=["rcap"],
        controls=(),
        mean=MEAN,
        std=STD,
        num_images=6,
        cues=(),
    )
    # Besides, two images show whether the outputs are logits.
    assert preflight.forwards * 6 == counter.images() - 2
    assert 2 * preflight.forwards == counted - 2


def test_the_estimate_is_of_all_images():
    few, many = (monitor(num_images=number).check(Classifier(), Data(64)) for number in (8, 64))
    assert (few.num_images, many.num_images) == (8, 64)
    assert many.seconds > few.seconds


def test_it_leaves_no_trace():
    module, watcher, data = Classifier(), monitor(), Data()
    before = trace_of(module)
    watcher.check(module, data)
    assert_no_trace(module, before)


def test_a_wrong_argument_is_refused_before_training():
    with pytest.raises(ValueError, match="'nowhere'"):
        monitor([GradCAM(layer="nowhere")]).check(Classifier(), Data())


def test_the_sanity_run_tells_it_and_costs_no_evaluation(caplog):
    caplog.set_level("INFO")
    watcher = monitor()
    fit([watcher], max_epochs=1)
    told = [record.message for record in caplog.records if "grad_cam reads network.4" in record.message]
    assert len(told) == 1
    assert "'saliency'" in told[0]
    assert len(watcher.history) == 1


@pytest.mark.parametrize("sanity_steps", [0, 2])
def test_the_card_says_the_same_with_versions_and_a_fingerprint(tmp_path: Path, sanity_steps: int):
    cards = []
    for run, size in (("a", 12), ("b", 12), ("c", 13)):
        logger = TensorBoardLogger(tmp_path / run)
        fit([monitor()], data=Data(size), logger=logger, max_epochs=1, num_sanity_val_steps=sanity_steps)
        cards += text_of(read(logger), "saliency/card")
    for part in ("network.4", f"torch {version('torch')}", "timm", "Fingerprint"):
        assert part in cards[0]
    marks = [card.partition("Fingerprint of these images: ")[2][:8] for card in cards]
    assert marks[0] == marks[1] != marks[2]


def test_the_last_evaluation_is_at_hand_without_a_logger():
    watcher = monitor()
    assert watcher.last is None
    fit([watcher], max_epochs=1)
    assert watcher.last is not None
    assert watcher.last.summary()["saliency/gradient/rcap"].value == watcher.history[-1].value("saliency/gradient/rcap")
    assert set(watcher.last.maps) == {"gradient", "grad_cam"}
    assert set(watcher.last.maps["gradient"]) == set(watcher.last.indices.tolist())
    assert len(watcher.last.pictures()) > 0
