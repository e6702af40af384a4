"""Networks and data of many kinds: what is explained is what the user trains."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP, Allegiance
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, Patterns, fit, trainer


def spying(**options):
    """Make a monitor that hands out what methods get: images and targets."""
    received = []

    def spy(model, images, targets):
        received.append((images.clone(), targets.clone(), model(images).detach()))
        return images.mean(dim=1)

    return received, SaliencyMonitor({"spy": spy}, **{"num_images": 6, "mean": MEAN, "std": STD, **options}, cues=())


class Binary(Classifier):
    """One logit: bright upper left corners or not."""

    def __init__(self):
        network = Network()
        network[-1] = nn.Linear(8, 1)
        super().__init__(network)

    def loss(self, batch):
        images, labels = batch
        return functional.binary_cross_entropy_with_logits(self(images)[:, 0], labels.flatten().float())

    def training_step(self, batch, batch_idx):
        return self.loss((batch[0], batch[1] == 0))

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))


def labelled(labels):
    data = Data()
    images = (Patterns(18).images - MEAN) / STD
    data.val_dataloader = lambda: DataLoader(TensorDataset(images, labels), 6)
    return data


@pytest.mark.parametrize("column", [False, True], ids=["labels (B,)", "labels (B, 1) of floats"])
def test_a_binary_network_of_one_logit_is_explained_for_both_classes(column):
    labels = (Patterns(18).targets == 0).long()
    received, monitor = spying(num_images=18)
    run, _ = fit([monitor], Binary, labelled(labels[:, None].float() if column else labels), max_epochs=1)
    _, targets, logit = received[-1]
    assert sorted(targets.tolist()) == [0] * 12 + [1] * 6
    assert logit.shape == (18, 1)
    assert 0 < run.callback_metrics["saliency/random/rcap"] < 1


def test_the_binary_scores_are_those_of_the_network_with_two_logits():
    class Two(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, images):
            logit = self.network(images)
            return torch.cat([-logit / 2, logit / 2], dim=1)

    labels = (Patterns(18).targets == 0).long()
    scores = []
    for model in (None, lambda module, images: Two(module.network)(images)):
        torch.manual_seed(5)
        run = trainer([SaliencyMonitor([Gradient()], num_images=18, mean=MEAN, std=STD, model=model, cues=())])
        run.validate(Binary(), labelled(labels), verbose=False)
        scores.append({name: v.item() for name, v in run.callback_metrics.items() if not name.endswith("seconds")})
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


class ManyLabels(Binary):
    """Three answers that may hold at once."""

    def __init__(self):
        super().__init__()
        self.network[-1] = nn.Linear(8, 3)

    def loss(self, batch):
        images, labels = batch
        rows = labels if labels.ndim == 2 else functional.one_hot(labels.long(), 3)
        return functional.binary_cross_entropy_with_logits(self(images), rows.float())


def first_true(logits, labels):
    return labels.argmax(dim=1)


@pytest.mark.parametrize(("target", "expected"), [(1, [1]), (first_true, [0, 1, 2]), ("predicted", None)])
def test_a_network_with_several_labels_at_once_is_explained_for_a_chosen_class(target, expected):
    labels = functional.one_hot(Patterns(18).targets, 3).float()
    received, monitor = spying(target=target, metrics=[RCAP(activation="sigmoid"), Allegiance()])
    run, _ = fit([monitor], ManyLabels, labelled(labels), max_epochs=1)
    _, targets, logits = received[-1]
    assert sorted(set(targets.tolist())) == (expected or sorted(set(logits.argmax(dim=1).tolist())))
    assert 0 < run.callback_metrics["saliency/random/rcap"] < 1


def test_confidence_is_that_of_the_metrics_activation():
    labels = functional.one_hot(Patterns(18).targets, 3).float()
    used = []
    for activation in ("softmax", "sigmoid"):
        metrics = [RCAP(activation=activation)]
        _, monitor = spying(target=0, metrics=metrics, min_confidence=0.4, num_images=18)
        torch.manual_seed(5)
        run = trainer([monitor])
        module = ManyLabels()
        run.validate(module, labelled(labels), verbose=False)
        used.append(run.callback_metrics["saliency/used"].item())
        images = (Patterns(18).images - MEAN) / STD
        logits = module.eval()(images)
        shares = {"softmax": logits.softmax(1), "sigmoid": logits.sigmoid()}
        assert used[-1] == pytest.approx((shares[activation][:, 0] >= 0.4).float().mean().item())
    assert used[0] != used[1]


def test_labels_of_several_classes_are_no_target():
    labels = functional.one_hot(Patterns(18).targets, 3).float()
    _, monitor = spying()
    with pytest.raises(ValueError, match=r"one class for each of 2 images, but got torch.float32 of shape \(2, 3\)"):
        fit([monitor], ManyLabels, labelled(labels))


class Dressed(Data):
    """Whole numbers become images in the transfer hooks."""

    def val_dataloader(self):
        images = (Patterns(18).images * 100).to(torch.uint8)
        return DataLoader(TensorDataset(images, Patterns(18).targets), 8)

    def on_before_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return (images / 100 if images.dtype == torch.uint8 else images), labels

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return (images - MEAN) / STD, labels


def test_images_come_through_the_transfer_hooks_of_the_data_module():
    received, monitor = spying(num_images=18)
    fit([monitor], data=Dressed(), max_epochs=1)
    images, _, _ = received[-1]
    raw = (Patterns(18).images * 100).to(torch.uint8) / 100
    order = {tuple(image.flatten().tolist()): index for index, image in enumerate(raw)}
    assert images.min() < -1
    back = ((images * STD + MEAN) * 100).round() / 100
    assert sorted(order[tuple(image.flatten().tolist())] for image in back) == list(range(18))


def test_images_come_through_the_transfer_hooks_of_the_module_where_the_data_module_has_none():
    class Doubling(Classifier):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            images, labels = batch
            return images * 2, labels

    normalization = []
    for module in (Classifier(), Doubling()):
        received, monitor = spying()
        data = Data()
        trainer([monitor], max_epochs=1).fit(module, data.train_dataloader(), data.val_dataloader())
        normalization.append(received[-1][0])
    assert torch.equal(normalization[1], 2 * normalization[0])


class Two(Classifier):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        """Validate nothing."""


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize(("index", "brightness"), [(0, 0.5), (1, 0.25)])
def test_one_of_several_loaders_is_watched_whatever_holds_them(kind, index, brightness):
    bright, dark = (
        DataLoader(TensorDataset(level + torch.rand(9, 1, 8, 8) / 100, torch.zeros(9, dtype=torch.int64)), 4)
        for level in (0.5, 0.25)
    )
    data = Data()
    data.val_dataloader = lambda: [bright, dark] if kind is list else {"bright": bright, "dark": dark}
    received, monitor = spying(dataloader_idx=index)
    fit([monitor], Two, data, max_epochs=1)
    assert received[-1][0].mean().item() == pytest.approx(brightness, abs=0.01)
