"""Whole fits of monitor and gate in several processes, watched as on a group that knows no tensors of the CPU."""

import os
import time
from functools import partial
from unittest import mock

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.callbacks import _distributed
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import GradCAM, Gradient, SmoothGrad
from tests.callbacks.collectives import as_on_nccl
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trainer

DDP = {"strategy": "ddp", "devices": 2}
VOLATILE = ("seconds", "fraction_of_epoch")


def data(num_val=18):
    source = Data()
    source.val_dataloader = lambda: DataLoader(Patterns(num_val), 5)
    source.test_dataloader = source.val_dataloader
    return source


def monitor(methods=None, **options):
    everything = {"drift": [*DRIFT_MEASURES], "log": ("*",)}
    options = {"num_images": 7, "mean": MEAN, "std": STD, **everything, **options}
    return SaliencyMonitor(methods or [Gradient(), GradCAM()], **options, cues=())


def scores_of(run, prefix="saliency/"):
    metrics = {name: value.item() for name, value in run.callback_metrics.items() if name.startswith(prefix)}
    return {name: value for name, value in metrics.items() if not name.endswith(VOLATILE)}


def assert_close(scores, expected, tolerance=1e-6):
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name


def ten_methods():
    return {f"method_{place}": SmoothGrad(num_samples=2, seed=place) for place in range(10)}


def count(collectives):
    sizes = sum(collective.carries_sizes for collective in collectives)
    return len(collectives) - sizes, sizes


def on_nccl(folder):
    """Train with a gate and pictures, and count what one evaluation and one decision cost."""
    results = {}
    for name, methods in (("two", None), ("ten", ten_methods())):
        first = next(iter(methods or {"gradient": 0}))
        gate = GatedCheckpoint(folder / name, gates={f"saliency/{first}/rcap": ">= 0"})
        logger = CSVLogger(folder, name="", version=f"log {name}")
        with as_on_nccl() as ledger:
            run, module = fit([monitor(methods), gate], data=data(), logger=logger, **DDP)
        started = [
            entry for entry in ledger.collectives if entry.hook != "on_validation_end" or not entry.carries_sizes
        ]
        results[name] = {
            "scores": scores_of(run),
            "passed": [decision.passed for decision in gate.decisions],
            "evaluations": 2,
            "all": count(ledger.collectives),
            "hooks": sorted({entry.hook for entry in started}),
            "received": sum(entry.received for entry in ledger.collectives),
        }
    with as_on_nccl() as ledger:
        run.validate(module, data(), verbose=False)
    results["validate"] = {"all": count(ledger.collectives), "scores": scores_of(run)}
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nccl")
    return folder, spawn(partial(on_nccl, folder), folder)


def test_scores_are_logged_and_gates_decide_on_a_group_that_knows_no_tensors_of_the_cpu(ranks):
    folder, results = ranks
    for rank in results:
        assert "saliency/gradient/rcap" in rank["two"]["scores"]
        assert rank["two"]["passed"] == [True, True]
    assert results[0]["two"]["scores"] == results[1]["two"]["scores"]
    assert list((folder / "two").glob("*.ckpt"))
    assert list((folder / "log two").rglob("*.png"))


def test_an_evaluation_takes_few_collectives_whatever_the_number_of_methods(ranks):
    for rank in ranks[1]:
        assert rank["two"]["all"] == rank["ten"]["all"]
        contents, sizes = rank["two"]["all"]
        # Beside two evaluations: the sanity run's fault, and two gates' decisions and folders.
        assert 0 < contents <= 5 * 2 + 2 + 2 * 2 + 1
        assert 0 < sizes <= 6 * 2 + 2 + 1


def test_collectives_are_started_in_no_hook_of_a_batch(ranks):
    for rank in ranks[1]:
        for name in ("two", "ten"):
            assert rank[name]["hooks"]
            assert not any("batch" in hook for hook in rank[name]["hooks"])


def test_a_process_that_is_not_the_first_receives_little(ranks):
    first, second = (rank["ten"]["received"] for rank in ranks[1])
    assert 4 * second < first


def test_a_validation_shares_buffers_with_one_more_collective(ranks):
    for rank in ranks[1]:
        contents, sizes = rank["validate"]["all"]
        # Two of them compare the data of the processes, once a run.
        assert contents <= 8
        assert sizes <= 8
    assert ranks[1][0]["validate"]["scores"] == ranks[1][1]["validate"]["scores"]


def test_what_is_exchanged_is_moved_to_the_strategys_device():
    sent, device = mock.Mock(), torch.device("cuda", 1)
    sent.__len__ = lambda self: 3
    with mock.patch.object(distributed, "all_to_all_single") as primitive:
        received = _distributed.exchange(sent, [3, 4], device)
    sent.to.assert_called_once_with(device)
    moved = sent.to.return_value
    moved.new_empty.assert_called_once_with(7)
    primitive.assert_called_once_with(moved.new_empty.return_value, moved, [3, 4], [3, 0])
    assert received is moved.new_empty.return_value.cpu.return_value


class Shifted(Classifier):
    """A different network for every seed."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        super().__init__()


def validated(seed, **options):
    run = trainer([monitor(metrics=["rcap"])], **options)
    run.validate(Shifted(seed), data(), verbose=False)
    return scores_of(run)


def one_network_each():
    """Validate one network a process, in a group that could not send a single tensor of the CPU."""
    rank, size = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    distributed.init_process_group("cuda:gloo", rank=rank, world_size=size)
    with pytest.raises(RuntimeError, match="No backend type associated with device type cpu"):
        distributed.all_reduce(torch.zeros(1))
    with as_on_nccl() as ledger:
        scores = validated(rank, accelerator="cpu", devices=1)
        gate = GatedCheckpoint(gates={"saliency/gradient/rcap": ">= 0"}, save_top_k=0)
        fit([monitor(), gate], data=data(), devices=1)
    return scores, len(ledger.collectives), [decision.passed for decision in gate.decisions]


def test_trainers_of_one_device_log_the_scores_of_their_own_network(tmp_path):
    results = spawn(one_network_each, tmp_path)
    for seed, (scores, collectives, decisions) in enumerate(results):
        assert scores == validated(seed)
        assert collectives == 0
        assert decisions == [True, True]
    assert results[0][0] != results[1][0]


def first_alone():
    run, module = fit([monitor()], data=data(), **DDP)
    if run.is_global_zero:
        alone = trainer([monitor()], devices=1)
        alone.test(module, data(), verbose=False)
        return scores_of(alone, "test_saliency/")
    return None


def test_the_first_process_can_test_alone_after_training(tmp_path):
    first, second = spawn(first_alone, tmp_path)
    assert "test_saliency/gradient/rcap" in first
    assert second is None


class Uneven(Classifier):
    """Sees other data on every process, so that running statistics differ, as DDP's do."""

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return super().training_step((images * (1 + self.global_rank) + self.global_rank, labels), batch_idx)


class Saved(Callback):
    """Notes the network around an evaluation, as a checkpoint would save it, after other processes have theirs."""

    def __init__(self, disturbs=False):
        self.disturbs = disturbs
        self.before = {}
        self.after = {}

    def on_validation_start(self, trainer, pl_module):
        if self.disturbs:
            pl_module.network[1].running_mean += trainer.global_rank
        self.before = {name: value.clone() for name, value in pl_module.state_dict().items()}

    def on_validation_end(self, trainer, pl_module):
        self.after = {name: value.clone() for name, value in pl_module.state_dict().items()}


def with_statistics():
    results = {}
    for name, options in {"plain": {}, "accumulating": {"accumulate_grad_batches": 4, "val_check_interval": 2}}.items():
        saved = Saved()
        run, module = fit([monitor(), saved], Uneven, data(), max_epochs=1, **options, **DDP)
        results[name] = scores_of(run), saved.after
    saved = Saved(disturbs=True)
    run = trainer([saved, monitor()], **DDP)
    run.validate(module, data(), verbose=False)
    results["validated"] = scores_of(run), saved.after
    results["restored"] = saved.before, saved.after
    separate = {"strategy": DDPStrategy(broadcast_buffers=False), "devices": 2}
    _, module = fit([monitor()], Uneven, data(), max_epochs=1, **separate)
    results["apart"] = module.network[1].running_mean.clone()
    return results


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    return spawn(with_statistics, tmp_path_factory.mktemp("statistics"))


@pytest.mark.parametrize("name", ["plain", "accumulating", "validated"])
def test_all_processes_explain_the_network_that_the_first_would_save(statistics, name):
    module = Uneven()
    module.load_state_dict(statistics[0][name][1])
    run = trainer([monitor()])
    run.validate(module, data(), verbose=False)
    for rank in statistics:
        assert_close(rank[name][0], scores_of(run))


def test_a_process_gets_its_own_statistics_back(statistics):
    for rank in statistics:
        assert_identical(*rank["restored"])
    first, second = (rank["restored"][0]["network.1.running_mean"] for rank in statistics)
    assert not torch.equal(first, second)


def test_an_accumulating_process_has_statistics_that_ddp_has_not_shared(statistics):
    first, second = (rank["accumulating"][1]["network.1.running_mean"] for rank in statistics)
    assert not torch.equal(first, second)


def test_statistics_that_are_not_to_be_shared_stay_apart(statistics):
    first, second = (rank["apart"] for rank in statistics)
    assert not torch.equal(first, second)


class Timed(SaliencyMonitor):
    """Counts the CPU seconds of the main thread that hooks outside of passes take, evaluation by evaluation."""

    def __init__(self, **options):
        super().__init__(**options)
        self.evaluations = []

    def _timed(self, hook, arguments):
        started = time.thread_time()
        hook(*arguments)
        self.evaluations[-1] += time.thread_time() - started

    def on_validation_epoch_start(self, *arguments):
        self.evaluations.append(0.0)
        self._timed(super().on_validation_epoch_start, arguments)

    def on_validation_epoch_end(self, *arguments):
        self._timed(super().on_validation_epoch_end, arguments)

    def on_validation_end(self, *arguments):
        self._timed(super().on_validation_end, arguments)


def cpu_seconds(devices):
    """Return the least time of an evaluation, which a busy machine disturbs least."""
    timed = Timed(mean=MEAN, std=STD, cues=())
    options = {"strategy": "ddp", "devices": devices} if devices > 1 else {}
    fit([timed], data=data(96), max_epochs=6, num_sanity_val_steps=0, **options)
    return min(timed.evaluations[1:])


def test_no_process_of_four_spends_more_outside_of_passes_than_one_alone(tmp_path):
    alone = cpu_seconds(1)
    # On a quiet machine four processes spend .02 s more than one, all together; a busy one multiplies CPU seconds.
    assert max(spawn(partial(cpu_seconds, 4), tmp_path, world_size=4)) < 1.5 * alone + 0.05


def with_a_logger_on_the_first_only(folder):
    rank = int(os.environ["LOCAL_RANK"])
    logger = CSVLogger(folder, name="", version="log") if rank == 0 else False
    run, _ = fit([monitor()], data=data(), logger=logger, **DDP)
    return scores_of(run)


def test_processes_may_have_different_loggers(tmp_path):
    first, second = spawn(partial(with_a_logger_on_the_first_only, tmp_path), tmp_path)
    assert first == second
    assert list((tmp_path / "log").rglob("*.png"))


class Wide(Patterns):
    """The same patterns on 64 x 64 pixels."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image.repeat_interleave(8, 1).repeat_interleave(8, 2), label


def received_of_wide():
    source = data()
    source.val_dataloader = lambda: DataLoader(Wide(18), 5)
    with as_on_nccl() as ledger:
        fit([monitor(ten_methods(), num_images=16)], data=source, max_epochs=1, num_sanity_val_steps=0, **DDP)
    return sum(entry.received for entry in ledger.collectives)


def test_the_first_process_receives_less_than_twice_the_content(tmp_path):
    first, second = spawn(received_of_wide, tmp_path)
    maps = 16 * 10 * 64 * 64 * 2
    assert maps / 2 < first < 2 * maps
    assert second < 20_000
