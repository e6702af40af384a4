"""From logits to the target's probability."""

from typing import Final, Literal, TypeAlias

from lightning_saliency._types import Logits, Scores, Targets

Activation: TypeAlias = Literal["softmax", "sigmoid"]
ACTIVATIONS: Final = ("softmax", "sigmoid")


def target_probability(logits: Logits, targets: Targets, activation: Activation) -> Scores:
    """Return the target's probability, (B, K) and (B,) -> (B,)."""
    probabilities = logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()
    return probabilities.gather(1, targets[:, None]).squeeze(1)
