"""Which networks are trained to measure the cure: every training is a row here before it is run.

The remedies of an alarm and the defaults of `CueSwap` were chosen on digits with seeds below 10. The trainings on
CIFAR-10, of signs whose cure nobody had tried there, were listed first and run afterwards. Each kind of sign is planted
with three agreements, and each agreement has its seed, so that a kind has three seeds and every condition of a cell
starts from the same weights. The bound does not depend on the agreement and is trained once for each seed.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from designs import Design

EPOCHS: Final = 8
LEGITIMATE: Final = "legitimate"
KINDS: Final = ("level", "line", "interior", "texture", "tag", "fringe")
"""Signs on CIFAR-10: one of tone, three of place, one of texture, and one that no cue holds."""
SEEDS: Final = {1.0: 11, 0.9: 12, 0.8: 13}
"""The seed of each agreement."""
SWAPS: Final = ("plain", "alarm", "named", "all")
RIVALS: Final = ("erasing", "cutmix", "mixup", "icd", "aicd")
DIGITS: Final = ("place", "frame", "level", "tint", "interior", "texture", "watermark")


class Trial(NamedTuple):
    """One training: what is planted, and what is done against it.

    Attributes:
        design: Sign, network and seed.
        condition: Keys of `cure.CONDITIONS`, joined by `+`.
    """

    design: Design
    condition: str

    @property
    def name(self) -> str:
        """Name of its row."""
        return f"{self.design.name}-{self.condition}"


def trials(quick: bool = False) -> list[Trial]:
    """List all trainings, those first without which the others say least."""
    if quick:
        return [Trial(Design("digits", "place", control=control, seed=1, epochs=4), condition)
                for condition, control in (*((name, "planted") for name in SWAPS), ("bound", "random"))]  # fmt: skip
    return [*_planted(), *_clean("cifar"), *_clean("digits"), *_legitimate(), *_digits()]


def planted(domain: str, kind: str, agreement: float, seed: int, condition: str) -> Trial:
    """Return a training on planted images; that of the bound has signs that tell nothing."""
    is_bound = condition == "bound"
    control, share = ("random", 1.0) if is_bound else ("planted", agreement)
    return Trial(Design(domain, kind, share, control, seed=seed, epochs=EPOCHS), condition)


def _planted() -> Iterator[Trial]:
    for (agreement, seed), kind in product(SEEDS.items(), KINDS):
        rivals = RIVALS if agreement > 0.8 else ()
        for condition in ("plain", "alarm", "bound", "named", "all", *rivals):
            yield planted("cifar", kind, agreement, seed, condition)


def _clean(domain: str) -> Iterator[Trial]:
    """Train on images without signs, with and without an alarm; three seeds where accuracies are compared."""
    for augmentation, seed in product(("plain", "moved"), SEEDS.values()):
        yield planted(domain, "none", 1.0, seed, augmentation)
        yield planted(domain, "none", 1.0, seed, "alarm" if augmentation == "plain" else f"{augmentation}+alarm")
    for augmentation in ("erasing", "cutmix", "mixup"):
        yield planted(domain, "none", 1.0, 11, augmentation)
        yield planted(domain, "none", 1.0, 11, f"{augmentation}+alarm")
    for seed in SEEDS.values():
        yield planted(domain, "none", 1.0, seed, "all")
        rivals = RIVALS if domain == "cifar" else ()
        for rival in rivals:
            if seed != 11 or rival in ("icd", "aicd"):
                yield planted(domain, "none", 1.0, seed, rival)


def _legitimate() -> Iterator[Trial]:
    for kind, seed, condition in product(("level", "tint"), SEEDS.values(), ("plain", "alarm", "allow")):
        yield Trial(Design("digits", kind, control=LEGITIMATE, seed=seed, epochs=EPOCHS), condition)


def _digits() -> Iterator[Trial]:
    for kind, condition in product(DIGITS, ("plain", "alarm", "named", "bound")):
        yield planted("digits", kind, 1.0, 11, condition)
