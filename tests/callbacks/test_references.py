"""References that the monitor draws for methods, with their classes."""

from typing import ClassVar

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import ExpectedGradCAM, ExpectedGradients
from lightning_saliency.passes.references import References
from tests.callbacks.training import CLASSES, MEAN, STD, Classifier, Data, Patterns, trainer


class Recorded(ExpectedGradients):
    """Keeps the references that it is given."""

    kept: ClassVar[list[References]] = []

    def with_references(self, images):
        self.kept.append(images)
        return super().with_references(images)


def monitor(*methods):
    return SaliencyMonitor(
        list(methods), ["complexity"], num_images=6, num_panels=0, num_drifted=0, mean=MEAN, std=STD, cues=()
    )


@pytest.mark.parametrize("classes", ["same", "other"])
def test_references_are_balanced_over_classes_and_known_by_them(classes):
    Recorded.kept.clear()
    methods = (
        Recorded(2 * CLASSES, 3, reference_classes=classes),
        ExpectedGradCAM(references=2 * CLASSES, num_samples=3, reference_classes=classes),
    )
    watcher = monitor(*methods)
    trainer([watcher]).validate(Classifier(), Data(num_val=40), verbose=False)
    (references,) = {id(each): each for each in Recorded.kept}.values()
    assert references.labels.bincount().tolist() == [2] * CLASSES
    scores = watcher.last.scores
    assert torch.isfinite(scores["expected_gradients", "complexity"]).all()
    assert torch.isfinite(scores["expected_grad_cam", "complexity"]).all()


class Unlabelled(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return Patterns(12)[index][0]


class Alone(Classifier):
    def validation_step(self, batch, batch_idx):
        """Do nothing."""


def test_without_labels_other_classes_are_refused():
    watcher = SaliencyMonitor(
        [ExpectedGradients(4, 2, reference_classes="other")], ["complexity"], num_images=4, cues=(), target="predicted"
    )
    with pytest.raises(ValueError, match="must have labels"):
        trainer([watcher]).validate(Alone(), DataLoader(Unlabelled(), 4), verbose=False)
