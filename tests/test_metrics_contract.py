"""Promises that every exported metric makes."""

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lightning_saliency import score
from lightning_saliency.metrics import ExplanationMetric
from tests.members import METRICS, bounds_of, build_metric, needs_of
from tests.models import digits, pictures, small_cnn, trained_on_digits
from tests.traces import assert_no_trace, mixed_modes, trace_of

Kind = type[ExplanationMetric]


@pytest.fixture(params=METRICS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def random_maps(batch: int) -> Tensor:
    return torch.rand(batch, 8, 8, generator=torch.Generator().manual_seed(1))


def scored(
    metric: ExplanationMetric, model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor, chunk: int = 64
) -> Tensor:
    needs = needs_of(metric, maps)
    return score(model, images, {"maps": maps}, targets, {"it": metric}, max_batch_size=chunk, **needs)["maps"]["it"]


def needs_alone(metric: ExplanationMetric, maps: Tensor) -> dict[str, Any]:
    """Give `update` and `scores` what the metric needs, by the names of their arguments."""
    needs = needs_of(metric, maps)
    methods = needs.pop("methods", None)
    return needs if methods is None else needs | {"method": methods["maps"]}


def updated(metric: ExplanationMetric, model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor) -> None:
    metric.update(model, images, maps, targets, **needs_alone(metric, maps))


TWINS: dict[str | tuple[str, str], Any] = {
    ("Infidelity", "normalize"): False,
    "activation": "sigmoid",
    "canvas": "white",
    "channels": (0,),
    "fractions": (0.3, 0.6),
    "interval": 0.05,
    "lower_bound": 0.3,
    "mean": -3.0,
    "noise_level": 0.4,
    "normalize": "intact",
    "num_images": 3,
    "num_samples": 6,
    "num_stages": 2,
    "perturbation": "gaussian",
    "preset": "guided_absolute_grad",
    "radius": 0.1,
    "root": True,
    "scale": False,
    "seed": 5,
    "similarity": "ssim",
    "std": 0.05,
    "steps": 5,
    "threshold": 0.7,
}
"""Another value of every hyper-parameter, by its name, or by class and name."""

SITUATIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("Infidelity", "noise_level"): {"perturbation": "gaussian"},
} | {
    (kind.__name__, name): {"canvas": "black", "mean": 0.2, "std": 0.5} for kind in METRICS for name in ("mean", "std")
}
"""Other hyper-parameters under which one matters, by class and name."""

PARAMETERS = [(kind, field.name) for kind in METRICS for field in fields(kind.Spec)]
# The digits have one channel.
PARAMETERS_OF_DIGITS = [pair for pair in PARAMETERS if pair[1] != "channels"]


def twins(kind: Kind, parameter: str) -> dict[str, ExplanationMetric]:
    """Make two metrics that differ in one hyper-parameter alone."""
    situation = SITUATIONS.get((kind.__name__, parameter), {})
    value = TWINS.get((kind.__name__, parameter), TWINS.get(parameter))
    return {
        "one": build_metric(kind, **situation),
        "other": build_metric(kind, **(situation | {parameter: value})),
    }


@pytest.mark.parametrize(
    ("kind", "parameter"), PARAMETERS_OF_DIGITS, ids=lambda value: getattr(value, "__name__", value)
)
def test_two_that_differ_in_one_hyper_parameter_score_together_as_alone(kind: Kind, parameter: str) -> None:
    model, (images, targets) = trained_on_digits(), (part[:60] for part in digits())
    maps, metrics = images[:, 0] * random_maps(60), twins(kind, parameter)
    targets = (targets + 1) % 10  # classes of which the model is not sure
    everything = {**needs_of(metrics["one"], maps), **needs_of(metrics["other"], maps)}
    together = score(model, images, {"maps": maps}, targets, metrics, **everything)["maps"]
    for name, metric in metrics.items():
        alone = scored(metric, model, images, maps, targets)
        torch.testing.assert_close(together[name], alone, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert not torch.equal(together["one"], together["other"]), "the hyper-parameter has no effect"


@pytest.mark.parametrize(("kind", "parameter"), PARAMETERS, ids=lambda value: getattr(value, "__name__", value))
def test_a_collection_keeps_two_that_differ_in_one_hyper_parameter_apart(kind: Kind, parameter: str) -> None:
    metrics = twins(kind, parameter)
    assert metrics["one"].spec != metrics["other"].spec
    assert not set(metrics["one"].metric_state) & set(metrics["other"].metric_state)
    collection = MetricCollection(metrics)
    for value, other in ((0.5, 0.5), (0.25, 1.0)):  # equal at first, which is when collections merge
        collection["one"].accumulate(torch.tensor([value]))
        collection["other"].accumulate(torch.tensor([other]))
    assert {name: mean.item() for name, mean in collection.compute().items()} == {"one": 0.375, "other": 0.75}


def test_hyper_parameters_are_read_only_and_compared_by_value(kind: Kind) -> None:
    metric = build_metric(kind)
    assert metric.spec == build_metric(kind).spec
    assert hash(metric.spec) == hash(build_metric(kind).spec)
    for field in fields(metric.spec):
        assert getattr(metric, field.name) == getattr(metric.spec, field.name)
        with pytest.raises(AttributeError):
            setattr(metric, field.name, TWINS[field.name])
        with pytest.raises(FrozenInstanceError):
            setattr(metric.spec, field.name, TWINS[field.name])


def test_it_scores_every_image_with_a_finite_number_in_range(kind: Kind) -> None:
    images, targets = pictures(6)
    scores = scored(build_metric(kind), small_cnn(), images, random_maps(6), targets)
    assert scores.shape == (6,)
    assert scores.is_floating_point()
    assert scores.isfinite().all()
    low, high = bounds_of(build_metric(kind))
    assert ((scores >= low - 1e-6) & (scores <= high + 1e-6)).all()


def test_images_differ_on_a_trained_network(kind: Kind) -> None:
    if kind.__name__ == "ChannelShare":
        pytest.skip("digits have one channel, whose share is 1")
    images, labels = digits()
    maps = images[:30, 0] * random_maps(30)
    scores = scored(build_metric(kind), trained_on_digits(), images[:30], maps, labels[:30])
    assert scores.unique().numel() > 1


def test_scores_are_the_same_every_time(kind: Kind) -> None:
    model, (images, targets), metric = small_cnn(), pictures(4), build_metric(kind)
    expected = scored(metric, model, images, random_maps(4), targets)
    torch.rand(1)
    assert torch.equal(scored(metric, model, images, random_maps(4), targets), expected)
    assert torch.equal(scored(build_metric(kind), model, images, random_maps(4), targets), expected)


def test_a_score_is_the_same_alone_in_a_batch_and_in_another_position(kind: Kind) -> None:
    model, (images, targets), maps, metric = small_cnn(), pictures(5), random_maps(5), build_metric(kind)
    together = scored(metric, model, images, maps, targets)
    ones = zip(images.split(1), maps.split(1), targets.split(1), strict=True)
    torch.testing.assert_close(torch.cat([scored(metric, model, *one) for one in ones]), together, rtol=1e-5, atol=1e-6)
    order = torch.tensor([3, 0, 4, 2, 1])
    moved = scored(metric, model, images[order], maps[order], targets[order])
    torch.testing.assert_close(moved, together[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_the_size_of_chunks_does_not_matter(kind: Kind, precision: torch.dtype, tolerance: float) -> None:
    (images, targets), maps, metric = pictures(5), random_maps(5), build_metric(kind)
    arguments = small_cnn().to(precision), images.to(precision), maps.to(precision), targets
    expected = scored(metric, *arguments)
    for chunk in (1, 3, 16):
        torch.testing.assert_close(scored(metric, *arguments, chunk), expected, rtol=tolerance, atol=tolerance)


def test_the_model_and_the_callers_tensors_are_given_back(kind: Kind) -> None:
    model, (images, targets), maps = mixed_modes(small_cnn()), pictures(3), random_maps(3)
    kept, before = [tensor.clone() for tensor in (images, targets, maps)], trace_of(model)
    scores = scored(build_metric(kind), model, images, maps, targets)
    assert_no_trace(model, before)
    assert all(torch.equal(*pair) for pair in zip((images, targets, maps), kept, strict=True))
    assert torch.equal(scored(build_metric(kind), small_cnn().eval(), images, maps, targets), scores)


@pytest.mark.parametrize("ambient", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off_and_on_tensors_made_there(
    kind: Kind, ambient: Callable[[], torch.no_grad]
) -> None:
    model, (images, targets), maps = small_cnn(), pictures(3), random_maps(3)
    expected = scored(build_metric(kind), model, images, maps, targets)
    metric = build_metric(kind)
    with ambient():
        made = [tensor.clone() for tensor in (images, maps, targets)]
        assert torch.equal(scored(metric, model, *made), expected)
        updated(metric, model, *made)
    assert torch.equal(scored(metric, model, *made), expected)
    updated(metric, model, *made)
    torch.testing.assert_close(metric.compute(), expected.double().mean())
    assert metric.num_scored == 6


def test_a_specification_is_unchanged_by_score(kind: Kind) -> None:
    metric, (images, targets) = build_metric(kind), pictures(3)
    before = pickle.dumps({name: value for name, value in vars(metric).items() if not callable(value)})
    scored(metric, small_cnn(), images, random_maps(3), targets)
    assert pickle.dumps({name: value for name, value in vars(metric).items() if not callable(value)}) == before
    assert metric.num_scored == 0
    with pytest.raises(ValueError, match=f"at least one scored image in {kind.__name__}, but got none: update it"):
        metric.standard_error()


def test_what_it_needs_is_asked_for_by_name(kind: Kind) -> None:
    metric, (images, targets) = build_metric(kind), pictures(2)
    given = needs_of(metric, random_maps(2))
    for need in metric.needs:
        with pytest.raises(ValueError, match=f"Expected `{need}` for metric 'it', but got None"):
            score(small_cnn(), images, {"maps": random_maps(2)}, targets, {"it": metric}, **(given | {need: None}))


def test_update_accumulates_its_own_scores(kind: Kind) -> None:
    model, (images, targets), maps = small_cnn(), pictures(5), random_maps(5)
    metric, by_hand = build_metric(kind), build_metric(kind)
    scores = scored(metric, model, images, maps, targets)
    updated(metric, model, images, maps, targets)
    by_hand.accumulate(scores)
    torch.testing.assert_close(metric.compute(), by_hand.compute())
    torch.testing.assert_close(metric.standard_error(), by_hand.standard_error())
    torch.testing.assert_close(metric.compute(), scores.double().mean())
    assert metric.num_scored == 5


def test_the_standard_error_is_the_textbooks(kind: Kind) -> None:
    metric = build_metric(kind)
    scores = torch.tensor([0.2, 0.9, 0.4, 0.4, 0.7], dtype=torch.float64)
    for part in scores.split(2):
        metric.accumulate(part)
    torch.testing.assert_close(metric.standard_error(), scores.std(correction=1) / math.sqrt(5))
    torch.testing.assert_close(metric.compute(), scores.mean())
    metric.reset()
    metric.accumulate(scores[:1])
    assert metric.standard_error() == math.inf
    metric.accumulate(scores[:1])
    assert metric.standard_error() == 0


def test_scores_that_are_not_finite_are_left_out_and_counted(kind: Kind) -> None:
    metric = build_metric(kind)
    metric.accumulate(torch.tensor([0.25, math.nan, 0.75, math.inf]))
    assert metric.compute() == 0.5
    assert (metric.num_scored, metric.num_excluded) == (2, 2)
    assert metric.standard_error().isfinite()


def test_accumulating_after_computing_is_not_hidden_by_a_cache(kind: Kind) -> None:
    metric = build_metric(kind)
    metric.accumulate(torch.tensor([1.0]))
    assert metric.compute() == 1
    metric.accumulate(torch.tensor([0.0]))
    assert metric.compute() == 0.5


def test_reset_forgets_everything(kind: Kind) -> None:
    metric, (images, targets) = build_metric(kind), pictures(3)
    updated(metric, small_cnn(), images, random_maps(3), targets)
    metric.reset()
    assert (metric.num_scored, metric.num_excluded) == (0, 0)
    metric.accumulate(torch.tensor([0.5, 0.25]))
    assert metric.compute() == 0.375


def test_synchronising_without_scores_gives_local_states_back(kind: Kind) -> None:
    metric = build_metric(kind, dist_sync_fn=lambda state, group: [state, state], distributed_available_fn=lambda: True)
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="but got none: update it"):
        metric.compute()
    with pytest.raises(ValueError, match="but got none: update it"):
        metric.standard_error()
    metric.accumulate(torch.tensor([0.5, 0.5]))
    assert metric.num_scored == 4
    assert metric.compute() == 0.5


@pytest.mark.parametrize(
    "fill",
    [
        torch.zeros_like,
        lambda maps: torch.full_like(maps, 3.5),
        lambda maps: (maps > 0.5).float(),
        lambda maps: maps.clamp(0.2, 0.6),
        lambda maps: (maps == maps.amax()).float(),
        lambda maps: -maps,
        lambda maps: maps * 1e-42,
        lambda maps: (maps - 0.5) * 3e38 * 2,
        lambda maps: (maps > 0.5).long(),
    ],
    ids=["zeros", "constant", "binary", "saturated", "spike", "negative", "subnormal", "huge", "whole"],
)
def test_degenerate_maps_never_give_nan(kind: Kind, fill: Callable[[Tensor], Tensor]) -> None:
    images, targets = pictures(3)
    scores = scored(build_metric(kind), small_cnn(), images, fill(random_maps(3)), targets)
    assert scores.isfinite().all()
    low, high = bounds_of(build_metric(kind))
    assert ((scores >= low - 1e-6) & (scores <= high + 1e-6) | (scores == 0)).all()


def test_constant_images_never_give_nan(kind: Kind) -> None:
    for images in (torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)):
        scores = scored(build_metric(kind), small_cnn(), images, random_maps(2), torch.tensor([0, 1]))
        assert scores.isfinite().all()


def test_it_scores_alone_as_it_does_in_score(kind: Kind) -> None:
    model, (images, targets), maps, metric = small_cnn(), pictures(5), random_maps(5), build_metric(kind)
    alone = metric.scores(model, images, maps, targets, max_batch_size=3, **needs_alone(metric, maps))
    torch.testing.assert_close(alone, scored(metric, model, images, maps, targets), rtol=1e-5, atol=1e-6)
    assert metric.num_scored == 0


def test_a_precision_that_is_set_stays(kind: Kind) -> None:
    metric = build_metric(kind)
    metric.set_dtype(torch.float32)
    metric.accumulate(torch.tensor([0.5, 0.25]), torch.ones(2, len(metric.points)) if metric.points else None)
    assert {state.dtype for state in metric.metric_state.values()} == {torch.float32}
    assert metric.compute() == 0.375


def test_it_pickles_copies_and_goes_on_from_where_it_was(kind: Kind) -> None:
    metric = build_metric(kind)
    metric.accumulate(torch.tensor([0.5, 1.0]))
    for twin in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone()):
        twin.accumulate(torch.tensor([0.0]))
        assert twin.compute() == 0.5
        assert twin.num_scored == 3
    assert metric.num_scored == 2


def test_it_declares_name_and_direction(kind: Kind) -> None:
    metric = build_metric(kind)
    assert metric.name.isidentifier()
    assert isinstance(metric.higher_is_better, bool)
    assert set(metric.needs) <= {"methods", "masks"}
    names = [build_metric(other).name for other in METRICS]
    assert names.count(metric.name) == 1


def test_it_can_be_written_in_a_configuration_file(kind: Kind) -> None:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--metrics", type=list[ExplanationMetric])
    written = {"class_path": f"lightning_saliency.metrics.{kind.__name__}", "init_args": {"name": "mine"}}
    parsed = parser.parse_object({"metrics": [written]})
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    (metric,) = instantiate(parsed).metrics
    assert type(metric) is kind
    assert metric.name == "mine"
