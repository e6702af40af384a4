"""Layer-wise relevance propagation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_number
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import CompleteMethod
from lightning_saliency.passes.propagation import Ruled
from lightning_saliency.passes.relevance import RelevanceRule
from lightning_saliency.passes.relevance_shares import Kind
from lightning_saliency.passes.statistics import MeanTimesScore
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class LRP(CompleteMethod):
    """The target's logit, handed back layer by layer to what contributed to it; positive relevance of each pixel.

    Rules: `"epsilon"` deals out in proportion to all contributions; `"z_plus"` to the positive ones alone;
    `"alpha_beta"` counts those alpha times and the negative ones alpha - 1 times against them;
    `"epsilon_plus"` is epsilon at linear layers and z-plus before. Layers are convolutions, linear layers with
    a BatchNorm behind them folded in, averages, and sums of two branches; maxima hand relevance to the largest
    and activations pass it on. An operation without a rule (attention, LayerNorm, gates) is refused.

    `attribute` is conserving for z-plus and alpha-beta: relevance sums to the logit, since biases have no
    share, but for units that nothing contributed to with the right sign. With epsilon biases keep theirs, and with
    a small `epsilon` it is, in networks of ReLUs, image times gradient by another way. The map sums
    channels and is rectified. Since z-plus and alpha-beta would hand a negative logit to what speaks for the
    class, their maps, but not their attributions, start with its magnitude. Cost: one forward and about three
    backwards per image.

    Args:
        rule: Which rule deals relevance out.
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

    rule: Kind = "epsilon_plus"
    epsilon: float = 1e-6
    alpha: float = 2.0
    name: str = "lrp"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_choice("rule", self.rule, ("epsilon", "z_plus", "alpha_beta", "epsilon_plus"))
        check_number("epsilon", self.epsilon, minimum=0)
        check_number("alpha", self.alpha, minimum=1)
        if self.epsilon == 0:
            raise ValueError("Expected `epsilon` to be above 0, but got 0: denominators may vanish.")

    def baselines(self, images: Images) -> tuple[Images, ...] | None:
        """Return what the attribution is complete against: nothing; None where biases keep a share."""
        return () if self.rule in ("z_plus", "alpha_beta") else None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The relevance that arrives at the image."""
        return (Reading(self._points, MeanTimesScore(magnitude=self.rule in ("z_plus", "alpha_beta"))),)

    @property
    def contribution(self) -> Reading:
        """The relevance that arrives at the image."""
        return Reading(self._points, MeanTimesScore())

    @property
    def _points(self) -> Ruled:
        return Ruled(RelevanceRule(self.rule, float(self.epsilon), float(self.alpha)))

    def formula(self, images: Images, relevance: Tensor) -> Maps:
        """Sum channels and rectify."""
        maps: Maps = torch.relu(relevance.sum(dim=1))
        return maps
