"""The common part of all metrics: exact means, collections, reset, processes, refusals, plots."""

import math
import warnings

import pytest
import torch
from matplotlib import pyplot as plt
from torch import distributed
from torch.multiprocessing import start_processes
from torchmetrics import MetricCollection

from lightning_saliency.metrics import RCAP, Allegiance, Deletion, Infidelity, Insertion, Sparseness
from tests.callbacks.processes import FRESH
from tests.metrics.samples import batch, curved, maps_of


def updated(metric, part=slice(None)):
    images, targets = batch()
    metric.update(curved(), images[part], maps_of(images, ties=False)[part], targets[part])
    return metric


def test_sums_are_kept_in_double_precision():
    metric = Sparseness()
    metric.accumulate(torch.full((1,), 2.0**25))
    for _ in range(4):
        metric.accumulate(torch.ones(1))
    assert metric.compute().item() == (2**25 + 4) / 5


def test_scores_that_are_not_finite_are_left_out_and_counted():
    metric = RCAP()
    scores = torch.tensor([0.5, math.nan, 0.7, math.inf])
    metric.accumulate(scores, scores[:, None].expand(4, 5))
    assert metric.compute().item() == pytest.approx(0.6)
    assert metric.curve()[1].tolist() == pytest.approx([0.6] * 5)
    assert (metric.num_scored, metric.num_excluded) == (2, 2)


def test_nothing_scored_is_an_error_and_not_a_nan():
    metric = RCAP()
    metric.accumulate(torch.empty(0), torch.empty(0, 5))
    for value in (metric.compute, metric.standard_error, metric.curve):
        with pytest.raises(ValueError, match="Expected at least one scored image in RCAP, but got none: update it"):
            value()
    assert updated(metric).num_scored == 5


def test_collection_keeps_instances_of_one_class_apart():
    members = {
        "rcap": RCAP(),
        "high": RCAP(0.7),
        "fine": RCAP(0.5, 0.05),
        "white": RCAP(canvas="white"),
        "sigmoid": RCAP(activation="sigmoid"),
        "deletion": Deletion(),
        "deletion_white": Deletion(canvas="white"),
        "deletion_preset": Deletion(preset="guided_absolute_grad"),
        "insertion": Insertion(),
        "insertion_preset": Insertion(preset="guided_absolute_grad"),
        "infidelity": Infidelity(),
        "yeh": Infidelity(normalize=False),
        "raw": Infidelity(normalize=False, scale=False),
        "allegiance": Allegiance(),
    }
    collection = MetricCollection({name: metric.clone() for name, metric in members.items()})
    images, targets = batch()
    maps = maps_of(images, ties=False)
    for part in (slice(0, 2), slice(2, 5)):
        collection.update(curved(), images[part], maps[part], targets[part])
    together = collection.compute()
    assert len({round(value.item(), 9) for value in together.values()}) == len(members)
    for name, metric in members.items():
        torch.testing.assert_close(together[name], updated(metric).compute())


def test_call_returns_the_score_of_its_batch_and_keeps_the_sum():
    metric = RCAP()
    images, targets = batch()
    maps = maps_of(images, ties=False)
    first = metric(curved(), images[:2], maps[:2], targets[:2])
    metric(curved(), images[2:], maps[2:], targets[2:])
    torch.testing.assert_close(first, updated(RCAP(), slice(0, 2)).compute())
    torch.testing.assert_close(metric.compute(), updated(RCAP()).compute())


def test_state_dict_and_pickle_keep_the_sums():
    metric = updated(RCAP())
    metric.persistent(True)
    other = RCAP()
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.accumulate(torch.empty(0), torch.empty(0, 5))
    torch.testing.assert_close(other.compute(), metric.compute())
    torch.testing.assert_close(metric.clone().standard_error(), metric.standard_error())


def test_metric_without_a_curve_has_none():
    assert not hasattr(Sparseness(), "curve")


def test_plot_draws_the_curve_the_value_or_the_values_given():
    metric = updated(RCAP())
    figure, ax = metric.plot()
    assert ax.lines[0].get_xydata().shape == (5, 2)
    assert ax.get_xlabel() == "quantile"
    same, _ = metric.plot(ax=ax)
    assert same is figure
    updated(Sparseness()).plot()
    _, ax = metric.plot([metric.compute(), metric.compute()])
    assert len(ax.lines[0].get_xydata()) == 2
    plt.close("all")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"maps": torch.rand(5, 3, 3)},
            ValueError,
            r"to have shape \(5, 6, 7\), .* but got \(5, 3, 3\): reduce channels",
        ),
        ({"maps": torch.full((5, 6, 7), math.nan)}, ValueError, "to be finite, but got NaN or infinity in 5 of 5 maps"),
        ({"images": torch.zeros(5, 2, 6, 7, dtype=torch.uint8)}, TypeError, "Expected `images` to be floating point"),
        ({"targets": torch.zeros(4, dtype=torch.int64)}, ValueError, r"Expected `targets` to have shape \(5,\)"),
        ({"targets": torch.full((5,), 3)}, ValueError, r"Expected `targets` to lie in \[0, 2\].* but got 3"),
        ({"max_batch_size": 0}, ValueError, "Expected `max_batch_size` to be at least 1, but got 0"),
    ],
)
def test_wrong_arguments_are_refused(change, error, message):
    images, targets = batch()
    arguments = {"images": images, "maps": images[:, 0], "targets": targets} | change
    with pytest.raises(error, match=message):
        RCAP().update(curved(), **arguments)


PARTS = [(slice(0, 3), slice(3, 5)), (slice(0, 5), None)]
"""Which images each of two processes scores, in two cases."""


def report(rank, folder):
    """Score the parts of one process of two and save what the metrics say."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for case, parts in enumerate(PARTS):
        for dtype in (torch.float64, torch.float32):
            metrics = [part_of(metric, parts[rank], dtype) for metric in (RCAP(), Sparseness(), RCAP(0.7))]
            torch.save([values_of(metric) for metric in metrics], f"{folder}/{case}_{rank}_{dtype}")
    nothing = part_of(RCAP(), None)
    warnings.simplefilter("ignore")  # torchmetrics tells that nothing was scored, too
    for value in (nothing.compute, nothing.standard_error):
        with pytest.raises(ValueError, match="Expected at least one scored image"):
            value()
    distributed.destroy_process_group()


def part_of(metric, part, dtype=torch.float64):
    metric.set_dtype(dtype)
    return metric if part is None else updated(metric, part)


def values_of(metric):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        values = [metric.compute(), metric.standard_error(), torch.tensor(metric.num_scored)]
    values += [metric.curve()[1]] if metric.points else []
    metric.sync_on_compute = False
    return values, metric.num_scored


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    start_processes(report, args=(str(folder),), nprocs=2, start_method=FRESH.get_start_method())
    return folder


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_two_processes_agree_with_one_also_if_one_scores_nothing(two_processes, dtype):
    folder = two_processes
    alone = [values_of(updated(metric))[0] for metric in (RCAP(), Sparseness(), RCAP(0.7))]
    tolerance = 1e-12 if dtype is torch.float64 else 1e-5
    for case, parts in enumerate(PARTS):
        for rank, part in enumerate(parts):
            results = torch.load(folder / f"{case}_{rank}_{dtype}")
            for (values, num_local), expected in zip(results, alone, strict=True):
                for value, other in zip(values, expected, strict=True):
                    torch.testing.assert_close(value.double(), other.double(), atol=tolerance, rtol=0)
                assert num_local == (len(range(5)[part]) if part else 0), "local states come back afterwards"


def test_half_precision_scores_are_those_of_full_precision_nearly():
    images, targets = batch()
    maps = maps_of(images, ties=False)
    for metric in (RCAP(), Deletion(), Insertion(), Infidelity()):
        full, half = metric.clone(), metric.clone()
        full.update(curved(), images, maps, targets)
        half.update(curved().bfloat16(), images.bfloat16(), maps, targets)
        assert half.compute().item() == pytest.approx(full.compute().item(), abs=0.03)
