from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import GradCAM, Gradient, GuidedAbsoluteGrad
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trace, trainer

DDP = {"strategy": "ddp", "devices": 2}
ODD = 7


def data():
    source = Data()
    source.val_dataloader = lambda: DataLoader(Patterns(18), 5)
    return source


def monitor(**options):
    methods = [GuidedAbsoluteGrad(num_samples=4), GradCAM()]
    everything = {"drift": [*DRIFT_MEASURES], "best": "grad_cam/rcap", "log": ("*",)}
    return SaliencyMonitor(methods, **{"num_images": ODD, "mean": MEAN, "std": STD, **everything, **options}, cues=())


def validated(**options):
    """Scores of a network of fixed weights, so that they can be compared whatever the number of processes."""
    torch.manual_seed(3)
    run = trainer([monitor()], **options)
    run.validate(Classifier(), data(), verbose=False)
    return {name: value.item() for name, value in run.callback_metrics.items() if name != "saliency/seconds"}


class Disagreeing(Callback):
    """Logs a score that keeps the bound on one process only."""

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("score", float(trainer.global_rank), sync_dist=False)


def scenario(folder):
    broken_on = []

    def broken(model, images, targets):
        broken_on.append(len(images))
        if torch.distributed.get_rank() == 1:
            raise RuntimeError("out of luck")
        return images.mean(dim=1)

    def image_with_nan(model, images, targets):
        maps = images.mean(dim=1)
        if torch.distributed.get_rank() == 1:
            maps[0] = torch.nan
        return maps

    results = {
        "alone": trace(*fit(data=data(), **DDP)),
        "watched": trace(*fit([monitor()], data=data(), **DDP)),
        "scores": validated(**DDP),
        "few": SaliencyMonitor(
            {"mean": lambda model, images, targets: images.mean(dim=1)}, num_images=1, mean=MEAN, std=STD, cues=()
        ),
    }
    few, _ = fit([results.pop("few")], data=data(), **DDP)
    results["few"] = few.callback_metrics["saliency/mean/blank"].item()

    faulty = monitor()
    faulty.settings.methods["broken"] = broken
    run, module = fit([faulty], data=data(), **DDP)
    results["faulty"] = trace(run, module)
    results["faulty scores"] = [name for name in run.callback_metrics if name.startswith("saliency")]

    odd = monitor(max_batch_size=3)
    odd.settings.methods["odd"] = image_with_nan
    run, _ = fit([odd], data=data(), num_sanity_val_steps=0, **DDP)
    results["invalid"] = run.callback_metrics["saliency/odd/invalid"].item()

    strict = monitor(on_error="raise")
    strict.settings.methods["broken"] = broken
    try:
        fit([strict], data=data(), num_sanity_val_steps=0, **DDP)
    except RuntimeError as error:
        results["raised"] = str(error)

    gate = GatedCheckpoint(folder, gates={"score": ">= 0.5"}, save_last=True, save_top_k=-1)
    fit([Disagreeing(), gate], data=data(), **DDP)
    results["decisions"] = [decision.passed for decision in gate.decisions]
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    results = spawn(partial(scenario, str(folder / "gate")), folder)
    return folder, results


def test_training_on_two_processes_is_bit_identical_with_and_without_the_monitor(ranks):
    for rank in ranks[1]:
        assert_identical(rank["watched"], rank["alone"])


def test_two_processes_find_the_scores_of_one(ranks):
    one = validated()
    first, second = (rank["scores"] for rank in ranks[1])
    assert first == second
    assert first.keys() == one.keys()
    assert one["saliency/grad_cam/rcap"] > 0
    for name, value in one.items():
        assert first[name] == pytest.approx(value, rel=1e-5, abs=1e-7)


def test_a_process_without_an_image_waits_for_nothing(ranks):
    assert [rank["few"] for rank in ranks[1]] == [0, 0]


def test_a_fault_on_one_process_skips_the_evaluation_on_all(ranks):
    for rank in ranks[1]:
        assert rank["faulty scores"] == []
        assert_identical(rank["faulty"], rank["alone"])


def test_an_invalid_image_on_one_process_is_counted_on_all(ranks):
    # The second process has three of the seven images, in one batch.
    assert [rank["invalid"] for rank in ranks[1]] == [1, 1]


def test_a_fault_on_one_process_raises_on_all_when_told_to(ranks):
    first, second = (rank["raised"] for rank in ranks[1])
    assert first == "RuntimeError: out of luck on rank 1"
    assert second == "out of luck"


def test_ranks_that_disagree_are_refused_on_both(ranks):
    folder, results = ranks
    assert [rank["decisions"] for rank in results] == [[False, False], [False, False]]
    assert not (folder / "gate").exists()


def of_three():
    """Seven images on three processes, of which one has no memory for two images at once and one fails at first."""

    def greedy(model, images, targets):
        if torch.distributed.get_rank() == 1 and len(images) > 1:
            raise torch.OutOfMemoryError("no room")
        return Gradient()(model, images, targets)

    results = {"scores": validated(strategy="ddp", devices=3)}
    hungry = monitor(max_batch_size="auto")
    hungry.settings.methods["greedy"] = greedy
    torch.manual_seed(3)
    run = trainer([hungry], strategy="ddp", devices=3)
    run.validate(Classifier(), data(), verbose=False)
    results["greedy"] = run.callback_metrics["saliency/greedy/rcap"].item()

    def broken(model, images, targets):
        if torch.distributed.get_rank() == 2:
            raise RuntimeError("out of luck")
        return images.mean(dim=1)

    strict = monitor(on_error="raise")
    strict.settings.methods["broken"] = broken
    try:
        fit([strict], data=data(), strategy="ddp", devices=3)
    except RuntimeError as error:
        results["raised"] = str(error), strict.memory.maps
    trained = monitor(max_batch_size="auto")
    trained.settings.methods["greedy"] = greedy
    results["watched"] = trace(*fit([trained], data=data(), strategy="ddp", devices=3))
    results["batch"] = trained.settings.max_batch_size
    results["alone"] = trace(*fit(data=data(), strategy="ddp", devices=3))
    return results


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return spawn(of_three, tmp_path_factory.mktemp("three"), world_size=3)


def test_three_processes_with_uneven_shares_find_the_scores_of_one(three):
    one = validated()
    for rank in three:
        assert rank["scores"].keys() == one.keys()
        for name, value in one.items():
            assert rank["scores"][name] == pytest.approx(value, rel=1e-5, abs=1e-7)


def test_a_process_that_runs_out_of_memory_halves_its_batches_and_finds_the_same(three):
    torch.manual_seed(3)
    alone = monitor()
    alone.settings.methods["greedy"] = Gradient()
    run = trainer([alone])
    run.validate(Classifier(), data(), verbose=False)
    expected = run.callback_metrics["saliency/greedy/rcap"].item()
    assert [rank["greedy"] for rank in three] == [pytest.approx(expected, rel=1e-5)] * 3


def test_batches_are_the_same_on_all_processes_afterwards(three):
    assert [rank["batch"] for rank in three] == [1, 1, 1]
    for rank in three:
        assert_identical(rank["watched"], rank["alone"])


def test_a_fault_of_one_process_in_the_sanity_run_stops_all(three):
    messages = [rank["raised"] for rank in three]
    assert messages == [("RuntimeError: out of luck on rank 2", {})] * 2 + [("out of luck", {})]
