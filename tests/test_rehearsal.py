"""Every method, metric and cue as on a GPU: no tensor of the CPU gets among its own, and it seldom has to wait."""

from collections.abc import Callable
from typing import Final

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from lightning_saliency import cues, explain, follow, score
from lightning_saliency.methods import RandomMap
from lightning_saliency.swapping import SwapCues
from tests.members import METHODS, METRICS, build_method, build_metric, needs_of
from tests.models import pictures, small_cnn
from tests.rehearsal import META, rehearsing

MOST_READS: Final = 4
# Their texts say what they read, and why.
MORE_READS: Final = {"GuidedIntegratedGradients": 60, "ROAD": 40, "RCAP": 5, "Allegiance": 5}
BATCH: Final = 3


def most_reads(kind: type) -> int:
    return MORE_READS.get(kind.__name__, MOST_READS)


def random_maps() -> Tensor:
    return torch.rand(BATCH, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_a_method_gives_the_same_map_there_and_reads_little(kind: type) -> None:
    method, (images, targets) = build_method(kind), pictures(BATCH)
    expected = method(small_cnn(), images, targets)
    with rehearsing() as rehearsal:
        maps = method(rehearsal.move(small_cnn()), images.to(META), targets.to(META))
        reads = list(rehearsal.reads)
    assert maps.device == META
    assert torch.equal(rehearsal.value(maps), expected)
    assert len(reads) <= most_reads(kind), reads


ATTRIBUTIONS: Final = [
    (kind, name)
    for kind in METHODS
    for name in ("attribute", "attribute_to_biases")
    if build_method(kind).has_attribution and hasattr(kind, name)
]


@pytest.mark.parametrize(("kind", "name"), ATTRIBUTIONS)
def test_signed_attributions_are_the_same_there_and_little_is_read(kind: type, name: str) -> None:
    method, (images, targets) = build_method(kind), pictures(BATCH)
    expected = getattr(method, name)(small_cnn(), images, targets)
    with rehearsing() as rehearsal:
        result = getattr(method, name)(rehearsal.move(small_cnn()), images.to(META), targets.to(META))
        reads = list(rehearsal.reads)
    assert result.device == META
    assert torch.equal(rehearsal.value(result), expected)
    assert len(reads) <= most_reads(kind), reads


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_a_metric_gives_the_same_score_there_and_reads_little(kind: type) -> None:
    metric, (images, targets), maps = build_metric(kind), pictures(BATCH), random_maps()
    needs = needs_of(metric, maps)
    expected = score(small_cnn(), images, {"maps": maps}, targets, {"it": metric}, **needs)["maps"]["it"]
    with rehearsing() as rehearsal:
        moved = {name: each.to(META) if isinstance(each, Tensor) else each for name, each in needs.items()}
        model = rehearsal.move(small_cnn())
        arguments = (images.to(META), {"maps": maps.to(META)}, targets.to(META), {"it": metric})
        scores = score(model, *arguments, **moved)["maps"]["it"]
        reads = list(rehearsal.reads)
    assert torch.equal(rehearsal.value(scores), expected)
    assert len(reads) <= most_reads(kind), reads


@pytest.mark.parametrize("name", cues.names())
def test_a_cue_is_followed_there_as_elsewhere(name: str) -> None:
    images, labels = pictures(6, size=16)
    expected = follow(small_cnn(), images, labels, [name])
    with rehearsing() as rehearsal:
        following = follow(rehearsal.move(small_cnn()), images.to(META), labels.to(META), [name])
    for cue, record in expected.items():
        assert torch.equal(following[cue].pack(), record.pack())


def test_cues_are_swapped_there_as_elsewhere_and_nothing_is_read() -> None:
    images, labels = pictures(8, size=16)
    expected = SwapCues(probability=0.9)(images, labels)
    with rehearsing() as rehearsal:
        swapped = SwapCues(probability=0.9)(images.to(META), labels.to(META))
        assert not rehearsal.reads, rehearsal.reads
    assert torch.equal(rehearsal.value(swapped), expected)


def test_more_images_methods_and_chunks_share_what_is_read() -> None:
    images, targets = pictures(8)
    methods = {name: RandomMap(seed) for seed, name in enumerate("abcd")}
    with rehearsing() as rehearsal:
        model, images, targets = rehearsal.move(small_cnn()), images.to(META), targets.to(META)
        explain(model, images, targets, [build_method(kind) for kind in METHODS if "Guided" not in kind.__name__])
        methods_alone = len(rehearsal.reads)
        maps = {name: torch.rand(8, 8, 8).to(META) for name in methods}
        score(model, images, maps, targets, [build_metric(METRICS[0])])
        score_alone = len(rehearsal.reads) - methods_alone
        score(model, images, {"a": maps["a"]}, targets, [build_metric(METRICS[0])])
    assert score_alone <= 8
    assert methods_alone <= 60, rehearsal.reads


def test_a_device_without_double_precision_gives_maps_up_to_rounding() -> None:
    methods = {kind.__name__: build_method(kind) for kind in METHODS}
    images, targets = pictures(BATCH)
    expected = explain(small_cnn(), images, targets, methods)
    with rehearsing(has_double=False) as rehearsal:
        maps = explain(rehearsal.move(small_cnn()), images.to(META), targets.to(META), methods)
    for name, each in maps.items():
        assert_close(
            rehearsal.value(each), expected[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: name + text
        )


def test_a_device_without_double_precision_gives_scores_up_to_rounding() -> None:
    metrics = {kind.__name__: build_metric(kind) for kind in METRICS}
    (images, targets), maps = pictures(BATCH), random_maps()
    needs = {name: each for metric in metrics.values() for name, each in needs_of(metric, maps).items()}
    expected = score(small_cnn(), images, {"maps": maps}, targets, metrics, **needs)["maps"]
    with rehearsing(has_double=False) as rehearsal:
        moved = {name: each.to(META) if isinstance(each, Tensor) else each for name, each in needs.items()}
        model = rehearsal.move(small_cnn())
        scores = score(model, images.to(META), {"maps": maps.to(META)}, targets.to(META), metrics, **moved)["maps"]
    for name, each in scores.items():
        assert_close(
            rehearsal.value(each), expected[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: name + text
        )


def test_a_device_without_double_precision_follows_all_cues() -> None:
    (images, labels), names = pictures(6, size=16), [name for name in cues.names() if name != "cell"]
    expected = follow(small_cnn(), images, labels, names)
    with rehearsing(has_double=False) as rehearsal:
        following = follow(rehearsal.move(small_cnn()), images.to(META), labels.to(META), names)
    for cue, record in expected.items():
        assert torch.equal(following[cue].pack(), record.pack())


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_a_metric_is_moved_to_a_device_without_double_precision(kind: type) -> None:
    with rehearsing(has_double=False) as rehearsal:
        metric = build_metric(kind).to(META)
        metric.accumulate(torch.tensor([1.0, 3.0]).to(META))
        assert rehearsal.value(metric.compute()) == 2


def test_double_precision_is_refused_where_there_is_none() -> None:
    with rehearsing(has_double=False):
        single = torch.ones(3).to(META)
        for convert in (Tensor.double, lambda each: each.to("cpu", torch.float64)):
            with pytest.raises(TypeError, match="float64"):
                convert(single)


def test_a_tensor_of_the_cpu_is_refused_as_on_a_gpu() -> None:
    with rehearsing(), pytest.raises(RuntimeError, match="same device"):
        torch.ones(3).to(META) + torch.ones(3)


@pytest.mark.parametrize("operation", [lambda rows: rows.median(dim=1), lambda rows: rows.kthvalue(2, dim=1)])
def test_an_operation_without_a_deterministic_algorithm_is_refused(operation: Callable[[Tensor], object]) -> None:
    with rehearsing(), pytest.raises(RuntimeError, match="no deterministic algorithm"):
        operation(torch.ones(3, 3).to(META))


def test_reads_of_every_kind_are_noted() -> None:
    with rehearsing() as rehearsal:
        tensor = torch.tensor([1.0, 0.0, 2.0]).to(META)
        assert tensor.sum().item() == 3
        assert tensor.tolist() == [1, 0, 2]
        assert bool((tensor > 1).any())
        assert tensor[tensor > 0].shape == (2,)
        assert tensor.nonzero().shape == (2, 1)
        assert torch.equal(tensor.cpu(), torch.tensor([1.0, 0.0, 2.0]))
    assert len(rehearsal.reads) == 6
