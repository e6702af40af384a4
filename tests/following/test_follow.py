"""Networks that read one thing are caught by the cue that holds it, and the result depends on nothing else."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import alarm, cues, follow
from lightning_saliency.extend import Cue
from lightning_saliency.following import Following, largest_excess, place_map, refine
from lightning_saliency.methods import Gradient, IntegratedGradients
from tests.models import NUM_CLASSES, pictures, small_cnn
from tests.traces import assert_no_trace, mixed_modes, trace_of

CLASSES = 4
Reader = Callable[[Tensor], Tensor]


SIGNS = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
SHAPES = torch.kron(torch.kron(SIGNS, SIGNS), torch.kron(SIGNS, SIGNS))[[6, 9, 7, 13]].reshape(CLASSES, 4, 4)
"""Four arrangements of 8 dark and 8 bright patches, each orthogonal to the others."""


def scenes(count: int = 48, classes: int = CLASSES, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw pictures (N, 3, 32, 32) whose object, an arrangement of 16 patches in the middle, tells the class."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.1 * torch.rand((count, 3, 32, 32), generator=generator) + 0.4
    labels = torch.arange(count) % classes
    images[:, :, 8:24, 8:24] = 0.5 + 0.1 * torch.kron(SHAPES, torch.ones(4, 4))[labels][:, None]
    return images, labels


def nearest(values: Tensor, first: float, step: float, classes: int = CLASSES) -> Tensor:
    """Return logits (B, K): how close a value is to that of each class."""
    return -(values[:, None] - first - step * torch.arange(classes)).abs()


def reads_the_object(images: Tensor) -> Tensor:
    patches = nn.functional.avg_pool2d(images[:, :, 8:24, 8:24].mean(dim=1), 4).flatten(1)
    return patches @ SHAPES.flatten(1).T


def reads_the_frame(images: Tensor) -> Tensor:
    return nearest(images[:, :, :2].mean(dim=(1, 2, 3)), 0.4, 0.1)


def framed(images: Tensor, labels: Tensor) -> Tensor:
    images, inner = images.clone(), images[:, :, 2:-2, 2:-2]
    images[:] = 0.4 + 0.1 * labels.reshape(-1, 1, 1, 1)
    images[:, :, 2:-2, 2:-2] = inner
    return images


def brightened(images: Tensor, labels: Tensor) -> Tensor:
    return images + 0.2 * labels.reshape(-1, 1, 1, 1)


def reads_the_level(images: Tensor) -> Tensor:
    return nearest(images.flatten(1).median(dim=1).values, 0.45, 0.2)


def tinted(images: Tensor, labels: Tensor) -> Tensor:
    images = images.clone()
    images[:, 0] += 0.2 * labels.reshape(-1, 1, 1)
    return images


def reads_the_tint(images: Tensor) -> Tensor:
    medians = images.flatten(2).median(dim=2).values
    return nearest(medians[:, 0] - medians[:, 1], 0.0, 0.2)


def marked(images: Tensor, labels: Tensor) -> Tensor:
    images = images.clone()
    images[:, :, 26:30, 4:8] = 0.2 + 0.2 * labels.reshape(-1, 1, 1, 1)
    return images


def reads_the_mark(images: Tensor) -> Tensor:
    return nearest(images[:, :, 26:30, 4:8].mean(dim=(1, 2, 3)), 0.2, 0.2)


def waved(images: Tensor, labels: Tensor) -> Tensor:
    places = torch.arange(32)
    waves = torch.stack([torch.sin(2 * torch.pi * (4 + 3 * label) * places / 32) for label in labels.tolist()])
    return images + 0.3 * waves[:, None, None]


def reads_the_wave(images: Tensor) -> Tensor:
    amplitudes = torch.fft.rfft2(images.mean(dim=1)).abs()[:, 0]
    return amplitudes[:, 4 : 4 + 3 * CLASSES : 3]


def moved(images: Tensor, labels: Tensor) -> Tensor:
    plain = torch.full_like(images, 0.4)
    for row, label in enumerate(labels.tolist()):
        plain[row, :, 2 + 6 * label : 10 + 6 * label, 12:20] = 0.8
    return plain


def reads_the_height(images: Tensor) -> Tensor:
    weights = (images - 0.4).mean(dim=(1, 3))
    return nearest((weights * torch.arange(32)).sum(dim=1) / weights.sum(dim=1), 5.5, 6.0)


def scaled(images: Tensor, labels: Tensor) -> Tensor:
    plain = torch.full_like(images, 0.4)
    for row, label in enumerate(labels.tolist()):
        plain[row, :, 13 - 3 * label : 19 + 3 * label, 13 - 3 * label : 19 + 3 * label] = 0.8
    return plain


def reads_the_size(images: Tensor) -> Tensor:
    return nearest(((images - 0.4) / 0.4).mean(dim=1).sum(dim=(1, 2)).clamp(min=0).sqrt(), 6.0, 6.0)


CHEATS = {
    "wide_frame": (framed, reads_the_frame),
    "level": (brightened, reads_the_level),
    "colour": (tinted, reads_the_tint),
    "window": (marked, reads_the_mark),
    "spectrum": (waved, reads_the_wave),
    "shift": (moved, reads_the_height),
    "zoom": (scaled, reads_the_size),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_network_that_reads_one_sign_is_named_by_its_cue(name: str) -> None:
    plant, model = CHEATS[name]
    images, labels = scenes()
    planted = plant(images, labels)
    assert torch.equal(model(planted).argmax(dim=1), labels)
    followings = follow(model, planted, labels)
    assert followings[name].effect.mean.value > 0.9
    assert followings[name].kept < 0.1
    decision = alarm(followings)
    assert decision.state == 1
    # Local and narrow cues are named first, and waves have no place.
    assert decision.cue == ("texture" if name == "spectrum" else name)
    assert name in decision.suspects
    assert decision.value > 0.9
    assert {*decision.donors} <= {*range(len(images))}
    assert alarm(followings, previous=decision).state == 2
    assert alarm(followings, halves=True).state == 2


@pytest.mark.parametrize(
    "plant", [plant for plant, _ in CHEATS.values() if plant not in (moved, scaled, brightened, tinted)]
)
def test_a_network_that_reads_the_object_is_quiet_although_the_data_have_a_sign(plant: Callable[..., Tensor]) -> None:
    images, labels = scenes()
    planted = plant(images, labels)
    assert (reads_the_object(planted).argmax(dim=1) == labels).float().mean() > 0.9
    decision = alarm(follow(reads_the_object, planted, labels), halves=True)
    assert decision.state == 0
    assert not decision.silence


def test_further_cues_and_the_place_map_say_where() -> None:
    images, labels = scenes()
    planted = marked(images, labels)
    followings = follow(reads_the_mark, planted, labels, ["window"])
    further = follow(reads_the_mark, planted, labels, cues.FURTHER)
    places = place_map(further)
    assert places[3, 0] == 1
    assert places.sum() == 1
    assert refine(alarm(followings), {**followings, **further}).cue == "window"
    assert refine(alarm(followings), further).cue == "cell_3_0"
    assert place_map(further, target_class=1)[3, 0] == 1
    assert place_map(further, target_class=9).abs().sum() == 0


def test_a_sign_of_one_class_is_found_by_class() -> None:
    images, labels = scenes()
    images[labels == 3, :, 0:2] = 1.0

    def reads_one_class(batch: Tensor) -> Tensor:
        logits = reads_the_object(batch)
        logits[:, 3] = torch.where(batch[:, :, 0].mean(dim=(1, 2)) > 0.9, 9.0, -9.0)
        return logits

    decision = alarm(follow(reads_one_class, images, labels, ["wide_frame"]))
    assert decision.cue == "wide_frame"
    assert decision.target_class == 3


def written_out(model: Reader, images: Tensor, labels: Tensor, cue: Cue, record: Following) -> tuple[float, float]:
    """Compute E and its standard error from the hosts of the record, donor by donor and host by host."""
    before = model(images).argmax(dim=1).tolist()
    label_of = labels.tolist()
    went: list[list[int]] = []
    for donor, hosts in enumerate(record.hosts.tolist()):
        went.append([int(model(cue(images[[host]], images[[donor]])).argmax()) for host in hosts])

    def share(donor: int, label: int) -> float | None:
        eligible = [
            column
            for column, host in enumerate(record.hosts[donor].tolist())
            if label not in (before[host], label_of[host])
        ]
        return sum(went[donor][column] == label for column in eligible) / len(eligible) if eligible else None

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    values, variances = [], []
    for label in sorted(set(label_of)):
        shares = [share(donor, label) for donor in range(len(images)) if label_of[donor] == label]
        others = [share(donor, label) for donor in range(len(images)) if label_of[donor] != label]
        members, rest = [[value for value in group if value is not None] for group in (shares, others)]
        values.append(mean(members) - mean(rest))
        spread = sum((value - mean(members)) ** 2 for value in members) / (len(members) - 1)
        variances.append((spread + 0.02) / len(members))
    return mean(values), sum(variances) ** 0.5 / len(values)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_effect_is_what_its_definition_says(classes: int) -> None:
    images, labels = scenes(20, classes)
    torch.manual_seed(1)
    images = images + 0.3 * torch.randn(20, 1, 1, 1)
    model = lambda batch: reads_the_object(batch)[:, :classes]  # noqa: E731
    cue = cues.Level()
    record = follow(model, images, labels, [cue])["level"]
    value, stderr = written_out(model, images, labels, cue, record)
    assert record.effect.mean.value == pytest.approx(value)
    assert record.effect.mean.stderr == pytest.approx(stderr)
    assert record.hosts.shape == (20, 2)


def trained() -> tuple[nn.Module, Tensor, Tensor]:
    images, _ = pictures(23, size=16, seed=3)
    model = small_cnn(seed=4).eval()
    return model, images, (model(images).argmax(dim=1) + (torch.arange(23) % 3 == 0)) % NUM_CLASSES


def same(one: dict[str, Following], other: dict[str, Following]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name].pack(), other[name].pack()) for name in one)


def test_results_depend_neither_on_batches_nor_on_order_nor_on_processes() -> None:
    model, images, labels = trained()
    hosts = (images[:12], labels[:12])
    indices = 100 + 3 * torch.arange(23)
    everything = follow(model, images, labels, hosts=hosts, indices=indices, max_batch_size=64)
    assert same(follow(model, images, labels, hosts=hosts, indices=indices, max_batch_size=5), everything)
    order = torch.randperm(23)
    assert same(follow(model, images[order], labels[order], hosts=hosts, indices=indices[order]), everything)
    parts = [follow(model, images[rank::2], labels[rank::2], hosts=hosts, indices=indices[rank::2]) for rank in (1, 0)]
    parts.append(follow(model, images[:3], labels[:3], hosts=hosts, indices=indices[:3]))
    merged = {name: Following.merge([part[name] for part in parts]) for name in everything}
    assert same(merged, everything)
    assert alarm(merged) == alarm(everything)


def test_the_pool_is_the_donors_by_default_whatever_their_order() -> None:
    model, images, labels = trained()
    order = torch.randperm(23)
    assert same(follow(model, images[order], labels[order], indices=order), follow(model, images, labels))


def test_the_seed_draws_the_hosts() -> None:
    images, labels = scenes()
    first, again, other = (
        follow(reads_the_object, images, labels, ["level"], seed=seed)["level"] for seed in (0, 0, 1)
    )
    assert torch.equal(first.hosts, again.hosts)
    assert not torch.equal(first.hosts, other.hosts)
    assert (first.host_labels != first.labels[:, None]).all()


def test_records_are_sent_as_one_tensor() -> None:
    model, images, labels = trained()
    for cue, record in zip(cues.DEFAULT, follow(model, images, labels).values(), strict=True):
        assert same({"x": Following.unpack(cue, record.pack())}, {"x": record})
        assert record.pack().dtype == torch.int64
    with pytest.raises(ValueError, match="must be of one cue, but got 2"):
        Following.merge(list(follow(model, images, labels, ["level", "frame"]).values()))


class Counting:
    """A model that counts the images that it predicts without gradients."""

    def __init__(self, model: Reader) -> None:
        self.model, self.count, self.largest = model, 0, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.largest = max(self.largest, len(images))
        if not torch.is_grad_enabled():
            self.count += len(images)
        return self.model(images)


def test_a_donor_costs_at_most_28_changed_images() -> None:
    images, labels = scenes()
    maps = torch.rand(48, 32, 32)
    model = Counting(reads_the_object)
    follow(model, images, labels, maps=maps, max_batch_size=16)
    assert model.count == 48 * (28 + 1)
    assert model.largest == 16
    model.count = 0
    follow(model, images, labels, hosts=(images[:20], labels[:20]))  # with maps, which are not counted
    assert model.count == 48 * (28 + 1) + 20


def test_predictions_of_donors_are_used_as_they_are() -> None:
    images, labels = scenes()
    maps = torch.rand(48, 32, 32)
    model = Counting(reads_the_object)
    predictions = reads_the_object(images).argmax(dim=1)
    given = follow(model, images, labels, maps=maps, predictions=predictions)
    assert model.count == 48 * 28
    assert same(given, follow(reads_the_object, images, labels, maps=maps))
    absent = follow(model, images, labels, ["level"], predictions=torch.full((48,), -1))
    assert "none for 48 donors" in absent["level"].absence
    with pytest.raises(ValueError, match="`predictions` must be a whole number for each of 48 images"):
        follow(model, images, labels, predictions=reads_the_object(images))


def test_maps_are_used_as_they_are() -> None:
    images, labels = scenes()
    planted = marked(images, labels)
    maps = torch.zeros(48, 32, 32)
    maps[:, 0:8, 24:32] = 1
    given, computed = (follow(reads_the_mark, planted, labels, ["window"], maps=m)["window"] for m in (maps, None))
    assert given.effect.mean.value == 0
    assert computed.effect.mean.value > 0.9
    model, few, classes = trained()
    maps = Gradient()(model, few, classes)
    maps[0, 0, 0] = torch.nan
    assert follow(model, few, classes, ["window"], maps=maps)["window"].effect.mean.value >= -1


def test_no_trace_is_left() -> None:
    model, (images, labels) = mixed_modes(small_cnn()), pictures(12, size=16)
    before, kept = trace_of(model), images.clone()
    follow(model, images, labels, [*cues.DEFAULT, *cues.FURTHER])
    assert_no_trace(model, before)
    assert torch.equal(images, kept)


def test_predictions_can_be_made_in_bfloat16() -> None:
    model, images, labels = trained()
    exact = follow(model, images, labels, ["level"])["level"]
    rough = follow(model, images, labels, ["level"], scoring_precision="bf16")["level"]
    assert (exact.after == rough.after).float().mean() > 0.8


def test_a_cue_of_ones_own_is_followed() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Corner(Cue):
        name = "corner"
        families = ("place",)
        evidence = "tolerance"

        def transplant(self, hosts: Tensor, donors: Tensor, donor_maps: Any) -> Tensor:
            changed = hosts.clone()
            changed[:, :, :2, :2] = donors[:, :, :2, :2]
            return changed

    images, labels = scenes()
    images[:, :, 0, 0] = 0.2 * labels[:, None]
    decision = alarm(follow(lambda batch: nearest(batch[:, 0, 0, 0], 0.0, 0.2), images, labels, [Corner()]))
    assert (decision.cue, decision.value) == ("corner", 1.0)


def test_a_model_may_change_its_input() -> None:
    images, labels = scenes()
    spoiled = lambda batch: reads_the_object(batch.clone()) + 0 * batch.zero_().sum()  # noqa: E731
    plain = follow(reads_the_object, images, labels, ["level", "frame"])
    assert same(follow(spoiled, images, labels, ["level", "frame"]), plain)


def finite(followings: dict[str, Following]) -> bool:
    estimates = [record.effect.mean.value for record in followings.values()]
    return bool(torch.tensor([*estimates, *(record.kept for record in followings.values())]).isfinite().all())


def test_one_class_in_the_subset_is_said() -> None:
    images, labels = scenes(12)
    followings = follow(reads_the_object, images, torch.zeros_like(labels))
    assert finite(followings)
    assert "Donors must be of at least two classes, but got 12 of class 0" in followings["level"].absence
    decision = alarm(followings)
    assert decision.state == 0
    assert decision.silence == followings["wide_frame"].absence
    assert largest_excess(followings) == -torch.inf


def test_a_class_of_one_image_counts_in_the_mean_alone() -> None:
    images, labels = scenes(13, 3)
    labels[-1] = 3
    images[-1, :, 12:20, 12:20] = 0.8
    effect = follow(reads_the_object, images, labels, ["frame"])["frame"].effect
    assert effect.classes.tolist() == [0, 1, 2, 3]
    assert effect.donors.tolist() == [4, 4, 4, 1]
    assert [*effect.of_classes()] == [0, 1, 2]
    assert effect.stderrs.isfinite().all()


def test_a_network_that_predicts_one_class_is_silent() -> None:
    images, labels = scenes()
    followings = follow(lambda batch: torch.tensor([0.0, 2.0, 1.0, 0.0]) + 0 * reads_the_object(batch), images, labels)
    assert finite(followings)
    assert followings["level"].left_out == (1,)
    decision = alarm(followings, halves=True)
    assert decision.state == 0
    assert "accuracy on the donors is 25%" in decision.silence


def test_predictions_that_are_not_numbers_do_not_count() -> None:
    images, labels = scenes()
    followings = follow(lambda batch: torch.nan * reads_the_object(batch), images, labels)
    assert finite(followings)
    assert "none for 48 donors" in followings["level"].absence
    assert followings["level"].left_out == (0, 1, 2, 3)
    half = follow(
        lambda batch: torch.where(batch[:, :1, 0, 0] > 0.45, torch.nan, reads_the_object(batch)), images, labels
    )
    assert finite(half)


def test_images_smaller_than_the_grid_have_fewer_cues() -> None:
    images, labels = pictures(8, size=3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(27, NUM_CLASSES))
    followings = follow(model, images, labels, ["window", "cell_0_0", "level"])
    assert [name for name, record in followings.items() if record.absence] == ["window", "cell_0_0"]
    assert "sides of at least 4 pixels, but got shape (3, 3, 3)" in followings["cell_0_0"].absence
    assert not followings["window"].left_out
    assert finite(followings)
    merged = Following.merge([followings["window"], followings["window"]])
    assert merged.absence == followings["window"].absence


def test_one_logit_is_a_pair_of_classes() -> None:
    images, labels = scenes(24, 2)
    planted = framed(images, labels)
    followings = follow(lambda batch: 10 * (batch[:, :1, 0, 0] - 0.45), planted, labels)
    assert alarm(followings).cue == "wide_frame"
    assert followings["wide_frame"].effect.mean.value == 1


def test_of_two_classes_a_network_that_any_change_confuses_follows_nothing() -> None:
    images, labels = scenes(24, 2)
    frames = images[:, 0, 0].clone()

    def is_fragile(batch: Tensor) -> Tensor:
        is_intact = (batch[:, None, 0, 0] == frames).all(dim=2).any(dim=1)
        right = reads_the_object(batch)[:, :2].argmax(dim=1)
        return nn.functional.one_hot(torch.where(is_intact, right, 1 - right), 2).float()

    donors = follow(is_fragile, images, labels, ["level"])["level"]
    assert donors.kept == 0
    assert donors.effect.mean.value == 0


def test_targets_that_are_no_classes_are_refused() -> None:
    images, labels = scenes(8)
    for targets in (torch.rand(8, 4), labels.float(), labels > 1):
        with pytest.raises(TypeError, match="`labels` must be one class index for each image, but got torch"):
            follow(reads_the_object, images, targets)
    with pytest.raises(TypeError, match="but got NoneType"):
        follow(reads_the_object, images, None)
    with pytest.raises(ValueError, match=r"one class index for each of 8 images, but got shape \(8, 4\)"):
        follow(reads_the_object, images, torch.ones(8, 4, dtype=torch.int64))
    for strange in (labels + 2, labels - 1):
        with pytest.raises(ValueError, match=r"`labels` to lie in \[0, 3\]"):
            follow(reads_the_object, images, strange)


def test_no_hosts_is_said() -> None:
    images, labels = scenes(8)
    followings = follow(reads_the_object, images, labels, hosts=(images[:0], labels[:0]))
    assert finite(followings)
    assert "Hosts must be of another class" in followings["level"].absence
    alone = follow(reads_the_object, images, labels, hosts=(images[:1], labels[:1]), num_hosts=9)
    assert alone["spectrum"].hosts.shape == (8, 1)
    assert alone["spectrum"].left_out == (0,)


def test_other_arguments_are_refused() -> None:
    images, labels = scenes(8)
    with pytest.raises(ValueError, match=r"`hosts` must be images of shape \(P, 3, 32, 32\)"):
        follow(reads_the_object, images, labels, hosts=(images[:, :1], labels))
    with pytest.raises(ValueError, match=r"labels of `hosts`. to lie in \[0, 3\], .* but got 9"):
        follow(reads_the_object, images, labels, hosts=(images, labels + 9))
    with pytest.raises(TypeError, match="labels of `hosts`"):
        follow(reads_the_object, images, labels, hosts=(images, labels.float()))
    with pytest.raises(ValueError, match="`indices` must be a whole number for each of 8 images"):
        follow(reads_the_object, images, labels, indices=torch.arange(7))
    with pytest.raises(ValueError, match="`num_hosts` to be at least 1"):
        follow(reads_the_object, images, labels, num_hosts=0)
    with pytest.raises(ValueError, match="have shape"):
        follow(reads_the_object, images, labels, maps=torch.rand(8, 4, 4))


def test_results_can_be_copied() -> None:
    model, images, labels = trained()
    followings = follow(model, images, labels, ["level"])
    assert same(copy.deepcopy(followings), followings)


def test_nothing_is_said_of_the_steps_of_maps_that_nobody_asked_for() -> None:
    def jumps(images: Tensor) -> Tensor:
        sharpness = images.diff(dim=3).abs().amax(dim=(1, 2, 3))[:, None]
        return 10 * (2000 * (sharpness - torch.tensor([0.072, 0.078]))).sigmoid()

    images, labels = scenes(classes=2)
    with pytest.warns(UserWarning, match="10 steps"):
        IntegratedGradients(10)(jumps, images, labels)
    assert follow(jumps, images, labels, ["window"])  # warnings are errors
