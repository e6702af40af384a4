"""Rules that choose one of several networks by their values, fixed before any of their results was looked at.

Within a run a rule chooses one of the epochs, and of equal ones the first, as `ModelCheckpoint` does. Between runs it
chooses one of the trainings with the same data, each as it is after its last epoch; for equal ones the mean counts.
The outcome is accuracy on test images whose signs tell nothing, without the images of the rule that is given labels of
such images. Regret is the outcome of the best choice less that of the rule.

Digits are there to choose on: the bound of the cue gate is one of `BOUNDS`, and the rule that is recommended is the one
of `CANDIDATES` with the least mean regret on digits with signs, within a run and between runs together. The figures
that count are those of CIFAR-10, of trainings that neither this nor the bounds of the alarm were chosen on.

The gate of the alarm is proven if, within a run and between runs, its mean regret there is at least 30 % below that of
the best validation accuracy and below that of the worst class, and its accuracy on images without signs is at most one
point below that of the best validation accuracy.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

Values = Mapping[str, float]
Value = Callable[[Values], float]
Rule = Callable[[Sequence[Values]], list[int]]
BOUNDS: Final = (0.05, 0.1, 0.2)
MOST_REGRET: Final = 0.7
"""Of the regret of the best validation accuracy."""
MOST_LOST: Final = 0.01


def highest(value: Value) -> Rule:
    """Return the rule that chooses all networks with the highest value; one without a value is never chosen."""

    def rule(networks: Sequence[Values]) -> list[int]:
        values = [value(network) for network in networks]
        best = max((each for each in values if not math.isnan(each)), default=math.nan)
        return [index for index, each in enumerate(values) if each == best]

    return rule


def gated(passes: Callable[[Values], bool], fallback: Value) -> Rule:
    """Return the rule that chooses the best validation accuracy among networks that pass.

    If none passes, the fallback's highest value is chosen. `passed_by` counts how often that happens.
    """

    def rule(networks: Sequence[Values]) -> list[int]:
        passed = [index for index, network in enumerate(networks) if passes(network)]
        if not passed:
            return highest(fallback)(networks)
        return [passed[index] for index in best_accuracy([networks[index] for index in passed])]

    return rule


def in_order(networks: Sequence[Values]) -> list[int]:
    """Choose the networks of the last epoch: between runs, any of them."""
    return highest(lambda network: network["epoch"])(networks)


def where_it_has_a_value(value: Value) -> Rule:
    """Return the rule that chooses the highest value, or the best validation accuracy where there are no values."""

    def rule(networks: Sequence[Values]) -> list[int]:
        return highest(value)(networks) or best_accuracy(networks)

    return rule


def best_accuracy(networks: Sequence[Values]) -> list[int]:
    """Choose the best validation accuracy."""
    return highest(lambda network: network["val_accuracy"])(networks)


def is_quiet(network: Values) -> bool:
    """Return whether the gate `{"saliency/alarm": "<= 0"}` passes."""
    return network["alarm"] <= 0


def follows_less(bound: float) -> Callable[[Values], bool]:
    """Return whether the gates `"<= bound by 2 stderr"` on all default cues pass."""
    return lambda network: network["cue_limit"] <= bound


def column(name: str) -> Value:
    """Return the value that stands in a column."""
    return lambda network: network[name]


RULES: Final[dict[str, Rule]] = {
    "last epoch": in_order,
    "validation accuracy": best_accuracy,
    "validation loss": highest(lambda network: -network["val_loss"]),
    "worst-class accuracy": highest(column("worst_class")),
    "RCAP": highest(column("rcap")),
    "RCAP, margin over edges": highest(lambda network: network["rcap"] - network["rcap_edges"]),
    "insertion": highest(column("insertion")),
    "insertion, normalised": highest(column("insertion_intact")),
    "insertion, margin over edges": highest(lambda network: network["insertion"] - network["insertion_edges"]),
    "SRG": highest(column("srg")),
    "alarm gate, accuracy": gated(is_quiet, lambda network: -network["excess"]),
    **{
        f"cue gate {bound}, accuracy": gated(follows_less(bound), lambda network: -network["cue_limit"])
        for bound in BOUNDS
    },
    "accuracy less the strongest cue": highest(
        lambda network: network["val_accuracy"] * (1 - max(0.0, network["cue_effect"]))
    ),
    "accuracy with the worst cue": highest(column("worst_cue_accuracy")),
    "accuracy with cues, mean": highest(column("mean_cue_accuracy")),
    "relevance mass off the sign": where_it_has_a_value(column("mass")),
    "relevance mass x accuracy": where_it_has_a_value(lambda network: network["mass"] * network["val_accuracy"]),
    "five shifted labels a class": highest(column("few_shifted")),
    "oracle": highest(column("shifted")),
}
"""All rules by the names that tables have.

All curves have a blurred image as their canvas. Normalised insertion is `Insertion(normalize="intact")`. Until CIFAR-10
was looked at, it was the mean area divided by the mean probability of the intact images; the rows have been computed
again since.
"""

BOUND_RULES: Final = (
    "relevance mass off the sign",
    "relevance mass x accuracy",
    "five shifted labels a class",
    "oracle",
)
"""Rules that know the sign: they are there as bounds."""

CANDIDATES: Final = tuple(name for name in RULES if name not in BOUND_RULES)
GATE: Final = "alarm gate, accuracy"
PLAIN: Final = "validation accuracy"
WORST: Final = "worst-class accuracy"


def within(rule: Rule, epochs: Sequence[Values]) -> float:
    """Return the outcome of a rule that chooses one epoch of a run; of equal ones the first."""
    return epochs[rule(epochs)[0]]["shifted"]


def between(rule: Rule, runs: Sequence[Sequence[Values]]) -> float:
    """Return the mean outcome of what a rule chooses among the last epochs of runs."""
    last = [epochs[-1] for epochs in runs]
    chosen = rule(last)
    return sum(last[index]["shifted"] for index in chosen) / len(chosen)


def regret(outcome: float, networks: Sequence[Values]) -> float:
    """Return how much better the best choice is."""
    return max(network["shifted"] for network in networks) - outcome


def passed_by(passes: Callable[[Values], bool], networks: Sequence[Values]) -> bool:
    """Return whether any network passes a gate, so that there is a checkpoint without the fallback."""
    return any(passes(network) for network in networks)
