"""Rules of relevance as data: how a layer distributes relevance among its inputs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import per_image

LayerKind: TypeAlias = Literal["convolution", "dense", "sum"]
TINY: Final = 2.0**-60


@dataclass(frozen=True)
class Portion:
    """Relevance distributed in proportion to contributions, each of them times a factor for its sign.

    Attributes:
        positive: Factor of positive contributions.
        negative: Factor of negative contributions.
        share: Share of a unit's relevance. Where no other portion has contributions, this one gets all of it.
        epsilon: How far denominators are kept away from zero; with 0, a unit whose contributions sum to zero passes
            nothing on.
        biases: Whether denominators include the bias, which then keeps a share.

    Example:
        >>> Portion(positive=1.25, biases=True, epsilon=1e-6).negative
        1.0
    """

    positive: float = 1.0
    negative: float = 1.0
    share: float = 1.0
    epsilon: float = 0.0
    biases: bool = False


@dataclass(frozen=True)
class RelevanceRule:
    """How layers distribute relevance: in one or several portions.

    Attributes:
        portions: The portions of every layer.
        dense: The portions of linear layers, where these differ.
        sums: The portions of sums of two branches, of averages and of a BatchNorm that stands alone, where these
            differ.

    Example:
        >>> gamma = RelevanceRule((Portion(positive=1.25, biases=True, epsilon=1e-6),))
        >>> gamma.conserves
        False
    """

    portions: tuple[Portion, ...]
    dense: tuple[Portion, ...] | None = None
    sums: tuple[Portion, ...] | None = None

    def of_layer(self, layer: LayerKind) -> tuple[Portion, ...]:
        """Return the portions of a layer."""
        special = {"dense": self.dense, "sum": self.sums}.get(layer)
        return self.portions if special is None else special

    @property
    def conserves(self) -> bool:
        """Whether biases keep no share, so that relevance sums to the target's value."""
        return not any(portion.biases for portion in (*self.portions, *(self.dense or ()), *(self.sums or ())))


class Term(NamedTuple):
    """A part of an input, and the linear function through which it contributes."""

    part: Tensor
    function: Callable[[Tensor], Tensor]


Terms: TypeAlias = Callable[[], list[Term]]


@dataclass(frozen=True)
class Contributions:
    """Contributions of one layer's inputs to its output: all of them, and those of either sign.

    Terms are made when relevance arrives, so that a forward keeps no more than the layer's input.

    Attributes:
        every: All contributions.
        positive: The positive ones.
        negative: The negative ones.
        total: The output, which they and the bias sum to.
    """

    every: Terms
    positive: Terms
    negative: Terms
    total: Tensor


class _Operand(NamedTuple):
    """A term's part, which gradients flow back to, and its contribution."""

    part: Tensor
    contribution: Tensor


class _Group(NamedTuple):
    factor: float
    operands: list[_Operand]


class _Flow(NamedTuple):
    """Relevance that one portion passes on, per unit of contributions times `scale`."""

    groups: list[_Group]
    per_unit: Tensor
    scale: Tensor


def distribute(
    portions: tuple[Portion, ...], contributions: Contributions, relevance: Tensor
) -> Iterator[list[Tensor]]:
    """Yield groups of shares of the relevance; the shares of a group belong to the layer's terms in their order."""
    for groups, per_unit, scale in _flows(portions, contributions, relevance):
        for factor, operands in groups:
            yield [share if factor == 1 else factor * share for share in _shares(operands, per_unit, scale)]


def retained(portions: tuple[Portion, ...], contributions: Contributions, relevance: Tensor) -> Tensor:
    """Return the relevance that each unit keeps: its bias's share, or all where no contribution counts."""
    rest = relevance
    for groups, per_unit, scale in _flows(portions, contributions, relevance):
        rest = rest - per_unit * per_image(scale, per_unit) * _weighted_sum(groups)
    return rest


def _flows(portions: tuple[Portion, ...], contributions: Contributions, relevance: Tensor) -> Iterator[_Flow]:
    groups = [_groups(portion, contributions) for portion in portions]
    totals = [_total(portion, group, contributions) for portion, group in zip(portions, groups, strict=True)]
    for index, portion in enumerate(portions):
        others = [total == 0 for other, total in enumerate(totals) if other != index]
        scale = _scale_of(totals[index], groups[index])
        part = _portion_of(relevance, portion.share, others)
        yield _Flow(groups[index], _ratio(part, totals[index], portion.epsilon, scale), scale)


def _groups(portion: Portion, contributions: Contributions) -> list[_Group]:
    if portion.positive == portion.negative:
        return [_Group(portion.positive, _contributing(contributions.every()))]
    signed = ((portion.positive, contributions.positive), (portion.negative, contributions.negative))
    return [_Group(factor, _contributing(terms())) for factor, terms in signed if factor]


def _contributing(terms: list[Term]) -> list[_Operand]:
    """Compute the contributions, once for their sum and for what flows back."""
    with torch.enable_grad():
        parts = [part.detach().requires_grad_() for part, _ in terms]
        return [_Operand(part, function(part)) for part, (_, function) in zip(parts, terms, strict=True)]


def _total(portion: Portion, groups: list[_Group], contributions: Contributions) -> Tensor:
    """Sum a portion's contributions, and the bias where it keeps a share."""
    if portion.biases and portion.positive == portion.negative == 1:
        return contributions.total
    total = _weighted_sum(groups)
    return total + contributions.total - _sum(_contributing(contributions.every())) if portion.biases else total


def _portion_of(relevance: Tensor, share: float, others_missing: list[Tensor]) -> Tensor:
    """Take a share of the relevance, or all of it where no other portion has contributions."""
    if not others_missing:
        return relevance * share
    return relevance * torch.where(torch.stack(others_missing).all(dim=0), 1.0, share)


def _scale_of(total: Tensor, groups: list[_Group]) -> Tensor:
    """Return a power of two for each image by which contributions are multiplied: 1 unless they are tiny.

    Relevance over a tiny total would exceed the largest number before it meets a tiny part.
    """
    if any(len(part) != len(total) for _, operands in groups for part, _ in operands):
        return total.new_ones(1)  # rows of the input are no images
    largest = total.abs().reshape(len(total), -1).amax(dim=1)
    return torch.where((largest > 0) & (largest < TINY), 1 / TINY, 1.0).to(total)


def _shares(operands: list[_Operand], per_unit: Tensor, scale: Tensor) -> Iterator[Tensor]:
    """Multiply each term's part by what flows back to it."""
    for part, contribution in operands:
        (flowing,) = torch.autograd.grad(contribution, part, per_unit)
        yield part.detach() * per_image(scale, part) * flowing


def _weighted_sum(groups: list[_Group]) -> Tensor:
    return total_of([_sum(operands) if factor == 1 else factor * _sum(operands) for factor, operands in groups])


def _sum(operands: list[_Operand]) -> Tensor:
    return total_of([contribution.detach() for _, contribution in operands])


def total_of(values: Iterable[Tensor]) -> Tensor:
    """Add tensors of one shape up; a single one is returned itself."""
    return reduce(torch.add, values)


def _ratio(relevance: Tensor, total: Tensor, epsilon: float, scale: Tensor) -> Tensor:
    scaled = total * per_image(scale, total)
    if epsilon:
        size = epsilon * per_image(scale, total)
        return relevance / (scaled + torch.where(total < 0, -size, size))
    is_zero = scaled == 0
    return torch.where(is_zero, 0.0, relevance / torch.where(is_zero, 1.0, scaled))
