import functools
from inspect import isabstract

import lightning.pytorch.callbacks as lightning_callbacks
import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_saliency import SaliencyMonitor, methods
from lightning_saliency.methods import GuidedAbsoluteGrad, SmoothGrad
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, Patterns, assert_identical, fit, trace


class Lazy(nn.Module):
    """Makes a table at its first forward, and keeps it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", None, persistent=False)
        self.calls = 0

    def forward(self, images):
        if self.table is None or self.table.shape != images.shape[1:]:
            self.table = torch.linspace(0, 1, images[0].numel(), device=images.device).reshape(images.shape[1:])
        return images + self.table


def lazy():
    return Classifier(nn.Sequential(Lazy(), *Network()))


def in_place():
    network = Network()
    network[4] = nn.SiLU(inplace=True)
    network.insert(0, nn.Hardtanh(-9, 9, inplace=True))  # works on the images themselves
    return Classifier(network)


def with_frozen_backbone():
    module = Classifier()
    for part in list(module.network)[:-1]:
        part.requires_grad_(False)
    module.network[1].eval()
    return module


def with_compiled_part():
    module = Classifier()
    module.network[3] = torch.compile(module.network[3], backend="aot_eager")
    return module


class ManyLoaders(Classifier):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)


class Stream(IterableDataset):
    def __iter__(self):
        items = Patterns(18, augment=True)
        return (items[index] for index in range(18))


class Transferred(Data):
    """Images come as whole numbers and are made ready by the transfer hooks, two of which draw random numbers."""

    def val_dataloader(self):
        images = (Patterns(18).images * 255).to(torch.uint8)
        return DataLoader(TensorDataset(images, Patterns(18).targets), 8)

    def on_before_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        if images.dtype == torch.uint8:
            images = images / 255 + 0.01 * torch.rand(1)
        return images, labels

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return [part.to(device) for part in batch]

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return (images - MEAN) / STD + 0.01 * torch.rand(1), labels


def validated_by(loaders):
    data = Data()
    data.val_dataloader = loaders
    return data


def two():
    return [DataLoader(Patterns(18, augment=True), 8), DataLoader(Patterns(9), 4)]


MODES = {
    "plain": {},
    "validation by steps": {"val_check_interval": 4, "check_val_every_n_epoch": None},
    "bf16-true": {"precision": "bf16-true"},
    "in-place activations": {"make": in_place},
    "a buffer made at the first forward": {"make": lazy},
    "a frozen backbone": {"make": with_frozen_backbone},
    "a compiled module": {"make": lambda: torch.compile(Classifier(), backend="eager")},
    "a compiled part": {"make": with_compiled_part},
    "a list of loaders": {"make": ManyLoaders, "data": lambda: validated_by(two)},
    "a dictionary of loaders": {
        "make": ManyLoaders,
        "data": lambda: validated_by(lambda: dict(zip("ab", two(), strict=True))),
    },
    "a stream": {"data": lambda: validated_by(lambda: DataLoader(Stream(), 4))},
    "transfer hooks": {"data": Transferred},
    "workers": {"data": lambda: validated_by(lambda: DataLoader(Patterns(18, augment=True), 8, num_workers=1))},
    "no sanity run": {"num_sanity_val_steps": 0},
    "accumulation and validation in mid-epoch": {"accumulate_grad_batches": 4, "val_check_interval": 0.5},
    "validation every second epoch": {"check_val_every_n_epoch": 2},
    "bf16-mixed": {"precision": "bf16-mixed"},
}


def fit_in(mode, callbacks=()):
    options = dict(MODES[mode])
    return fit(callbacks, data=options.pop("data", Data)(), **options)


@functools.cache
def untouched(mode):
    return trace(*fit_in(mode))


def monitor(*args, **options):
    return SaliencyMonitor(*args, **{"num_images": 6, "mean": MEAN, "std": STD, "log": ("*",), **options})


# What Lightning and the compiler warn of, with and without the monitor.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf", "ignore:.*eval mode at the")
@pytest.mark.parametrize("mode", MODES)
def test_training_is_bit_identical_with_and_without_the_monitor(mode):
    run, module = fit_in(mode, [monitor()])
    for method in ("guided_absolute_grad", "grad_cam"):
        assert 0 < run.callback_metrics[f"saliency/{method}/rcap"] < 1
    assert_identical(trace(run, module), untouched(mode))


class TwoParts(Classifier):
    def validation_step(self, batch, batch_idx):
        assert len(batch) == 2


@pytest.mark.parametrize("index", [0, 1])
def test_a_part_of_a_combined_batch_is_watched_without_a_trace(index):
    options = {"data": validated_by(lambda: CombinedLoader(two(), "min_size")), "max_epochs": 1}
    watcher = monitor(["gradient"], cues=(), dataloader_idx=index)
    assert_identical(trace(*fit([watcher], TwoParts, **options)), trace(*fit(make=TwoParts, **options)))
    assert len(watcher.history) == 1


def exported_methods():
    return [
        getattr(methods, name)
        for name in methods.__all__
        if isinstance(getattr(methods, name), type) and name != "Method" and not isabstract(getattr(methods, name))
    ]


def test_all_methods_leave_no_trace():
    watched = [method() for method in exported_methods()]
    run, module = fit([monitor(watched, cues=())])
    assert len(watched) > 30
    assert all(f"saliency/{method.name}/rcap" in run.callback_metrics for method in watched)
    assert_identical(trace(run, module), untouched("plain"))


def test_an_explanation_that_raises_leaves_no_trace():
    calls = []

    def moody(model, images, targets):
        model(images.requires_grad_()).sum()
        torch.rand(1)
        calls.append(len(images))
        raise RuntimeError("not today")

    watcher = monitor({"moody": moody, "smooth_grad": SmoothGrad(num_samples=2)})
    with pytest.warns(UserWarning, match="RuntimeError: not today"):
        run, module = fit([watcher])
    assert len(calls) == 3
    assert not any(name.startswith("saliency/moody") for name in run.callback_metrics)
    assert_identical(trace(run, module), untouched("plain"))


def test_a_monitor_told_to_raise_stops_and_gives_everything_back():
    def broken(model, images, targets):
        raise RuntimeError("broken")

    module = Classifier()
    module.network[1].weight.requires_grad_(False)
    with pytest.raises(RuntimeError, match="broken"):
        fit([monitor({"broken": broken}, on_error="raise")], lambda: module)
    assert [p.requires_grad for p in module.network.parameters()].count(False) == 1
    assert not any(part._forward_hooks for part in module.modules())


def test_an_averaged_model_is_what_is_explained_and_training_does_not_notice():
    averaging = getattr(lightning_callbacks, "EMAWeightAveraging", None)
    if averaging is None:
        pytest.skip("this Lightning has no weight averaging")
    alone = trace(*fit([averaging(decay=0.9)]))
    scores = []
    for order in (1, -1):
        run, module = fit([monitor([GuidedAbsoluteGrad(num_samples=2)]), averaging(decay=0.9)][::order])
        scores.append(run.callback_metrics["saliency/guided_absolute_grad/rcap"])
        assert_identical(trace(run, module), alone)
    assert scores[0] == scores[1]
