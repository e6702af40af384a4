"""Layer-wise relevance propagation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_number, warn_once
from lightning_saliency._saliency_method import DEFAULT_BATCH_SIZE, prepared
from lightning_saliency._types import Images, Maps, Model, Scores
from lightning_saliency.methods._stream_method import CompleteMethod
from lightning_saliency.passes.bias_relevance import bias_relevance
from lightning_saliency.passes.propagation import Ruled
from lightning_saliency.passes.relevance import Relevance
from lightning_saliency.passes.relevance_rules import Portion, RelevanceRule
from lightning_saliency.passes.statistics import MeanScore, MeanTimesScore
from lightning_saliency.passes.stream import Reading
from lightning_saliency.targets import TargetLike

Kind: TypeAlias = Literal["epsilon", "z_plus", "alpha_beta", "epsilon_plus"]
POSITIVE: Final = Portion(negative=0.0)
# Where no term of a sum is positive, the negative ones get the relevance: no bias could.
SUMS: Final = (POSITIVE, Portion(positive=0.0, share=0.0))
LEAST_ARRIVING: Final = 0.5
LEAST_LOGIT: Final = 1.0
RULES: Final[dict[str, Callable[[float, float], RelevanceRule]]] = {
    "epsilon": lambda epsilon, _: RelevanceRule((_epsilon(epsilon),)),
    "z_plus": lambda _, __: RelevanceRule((POSITIVE,), sums=SUMS),
    "alpha_beta": lambda _, alpha: RelevanceRule(
        (Portion(negative=0.0, share=alpha), Portion(positive=0.0, share=1 - alpha))
    ),
    "epsilon_plus": lambda epsilon, _: RelevanceRule((POSITIVE,), dense=(_epsilon(epsilon),), sums=SUMS),
}
"""Rules by name, made from `epsilon` and `alpha`."""


def _epsilon(epsilon: float) -> Portion:
    return Portion(epsilon=epsilon, biases=True)


def _warn_of_loss(name: str, arriving: Tensor, started: Tensor) -> None:
    """Warn where biases keep most of the relevance; smaller logits may be due to the last bias alone."""
    arrived, logit = torch.stack([arriving, started]).tolist()
    if logit >= LEAST_LOGIT and arrived < LEAST_ARRIVING * logit:
        percent = round(100 * (1 - arrived / logit), -1)
        amount = "nearly all" if percent == 100 else f"about {percent:.0f} %"
        warn_once(
            f"Biases keep {amount} of the relevance of {name!r}, as "
            "they do in networks with depthwise convolutions, and its maps show the rest. Read `attribute_to_biases`, "
            "or use a method that accounts for the logit, such as IDGI."
        )


@dataclass(frozen=True)
class LRP(CompleteMethod):
    """Positive relevance of each pixel: the target's logit, passed back layer by layer to what contributed to it.

    `"epsilon"` distributes a unit's relevance in proportion to all contributions, `"z_plus"` in proportion to the
    positive ones. `"alpha_beta"` gives alpha times the relevance to the positive and takes alpha - 1 times the
    relevance from the negative ones. `"epsilon_plus"` is epsilon at linear layers and z-plus at all others. Layers
    are convolutions, linear layers (a BatchNorm directly after either is folded in), averages, and sums of two
    branches. Maxima pass relevance to the largest input, and activations pass all of it on. An operation without a
    rule (attention, LayerNorm, gates) is refused.

    A unit whose contributions all have one sign is a special case. With z-plus it passes nothing on if none is
    positive: it is active by its bias, which keeps the relevance. In a sum of two branches or an average, which
    have no bias, the negative ones get it then. With alpha-beta the sign that is there gets the unit's relevance
    once, not alpha or 1 - alpha times. With epsilon there is no special case. A unit without any contribution passes
    nothing on.

    `attribute` and `attribute_to_biases` sum to the logit. Biases keep next to nothing with z-plus and alpha-beta if
    units have many inputs, as in ResNets and VGGs. A unit of a depthwise convolution has nine: in a
    trained EfficientNet-Lite0 biases keep 94 to 96 % with z-plus and 51 to 63 % with alpha-beta. A warning says how
    much. With epsilon biases keep their share; with a small
    `epsilon` the attribution is image times gradient in networks of ReLUs.

    The map sums channels and is rectified. Z-plus and alpha-beta would pass a negative logit to the pixels that
    support the class, so their maps start with its magnitude (their attributions do not). Cost: one forward and about
    three backwards per image.

    Args:
        rule: Which rule distributes relevance: a name, or a `RelevanceRule` for any other.
        epsilon: How far denominators of the epsilon rule are kept away from zero.
        alpha: Weight of the positive contributions of the alpha-beta rule, at least 1.
        name: Key in results and logs.

    Raises:
        ValueError: If `rule` is unknown or a number out of range; when called, if the model has an operation
            without a rule.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> LRP("z_plus")(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[0.4000, 0.0000],
                 [1.6000, 0.0000]]])

    References:
        Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance
        Propagation", 2015. https://doi.org/10.1371/journal.pone.0130140
    """

    rule: Kind | RelevanceRule = "epsilon_plus"
    epsilon: float = 1e-6
    alpha: float = 2.0
    name: str = "lrp"
    watches_operations: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.rule, RelevanceRule):
            check_choice("rule", self.rule, tuple(RULES))
        check_number("epsilon", self.epsilon, minimum=0)
        check_number("alpha", self.alpha, minimum=1)
        if self.epsilon == 0:
            raise ValueError("`epsilon` must be above 0, but got 0. Denominators may vanish.")

    def baselines(self, images: Images) -> tuple[Images, ...] | None:
        """Return no baseline, since the attribution sums to the logit, or None where biases keep a share."""
        return () if self._rule.conserves else None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The relevance that arrives at the image, and that which started."""
        return (
            Reading(self._points, MeanTimesScore(magnitude=self._rule.conserves)),
            Reading(self._points, MeanScore()),
        )

    @property
    def contribution(self) -> Reading:
        """The relevance that arrives at the image."""
        return Reading(self._points, MeanTimesScore())

    @property
    def _points(self) -> Ruled:
        return Ruled(Relevance(self._rule))

    @property
    def _rule(self) -> RelevanceRule:
        if isinstance(self.rule, RelevanceRule):
            return self.rule
        return RULES[self.rule](float(self.epsilon), float(self.alpha))

    def formula(self, images: Images, relevance: Tensor, score: Scores) -> Maps:
        """Sum channels and rectify."""
        if not any(portion.biases for portion in self._rule.portions):
            _warn_of_loss(self.name, relevance.flatten(1).sum(dim=1).abs().mean(), score.abs().mean())
        maps: Maps = torch.relu(relevance.sum(dim=1))
        return maps

    def attribute_to_biases(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Scores:
        """Return the relevance that layers keep for their biases: with `attribute` it sums to the logit.

        Args:
            model: Model with one row of logits per image.
            images: Images (B, C, *S).
            targets: Classes (B,); those that the model predicts by default.
            max_batch_size: Most images in one pass.

        Returns:
            Relevance (B,), in units of the logit.

        Raises:
            ValueError: If the model has an operation without a rule.

        Example:
            >>> import torch
            >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
            >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, 2.0], [0.0, 0.0]])), model[1].bias.data.fill_(5.0)
            >>> LRP("epsilon").attribute_to_biases(model, torch.ones(1, 1, 1, 2), torch.tensor([0]))
            tensor([5.0000])
        """
        with prepared(model, images, targets, max_batch_size) as (inputs, target):
            return torch.cat(list(bias_relevance(model, inputs, target, self._rule, max_batch_size)))
