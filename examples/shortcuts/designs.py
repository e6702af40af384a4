"""Which networks are trained for the shortcut studies: every training is a row here before it is run.

The rule of the alarm was frozen before the first of these trainings. The kinds in `signs.NEW`, the domains `animals`,
`vehicles`, `even` and `pair`, and the architectures `vit` and `resnet20` were not used for any choice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from signs import SIGNS

CONTROLS: Final = ("clean", "random", "rare", "few", "weak", "noise", "augment")
SECONDS: Final = {"digits": 15, "even": 10, "cifar": 60, "animals": 35, "vehicles": 30, "pair": 20}
"""Estimated seconds of one training with its evaluations on one core, for small networks."""
TRUNK_SECONDS: Final = 150


@dataclass(frozen=True)
class Design:
    """One training.

    Args:
        domain: A key of `images.CLASSES`.
        kind: Kind of sign, `"none"` for clean images.
        agreement: Share of training and validation images whose sign stands for their class.
        control: `"planted"`, or one of `CONTROLS` for a network that cannot learn a shortcut.
        network: Architecture.
        seed: Seed of weights, order and signs.
        epochs: Number of epochs.
    """

    domain: str
    kind: str = "none"
    agreement: float = 1.0
    control: str = "planted"
    network: str = "flat"
    seed: int = 0
    epochs: int = 6

    @property
    def name(self) -> str:
        """Name of its folder in the store."""
        agreement = f"{self.agreement:.1f}".replace(".", "")
        return f"{self.domain}-{self.control}-{self.kind}-{agreement}-{self.network}-{self.seed}"

    @property
    def seconds(self) -> int:
        """Estimate of its cost."""
        return TRUNK_SECONDS if self.network == "resnet20" else SECONDS[self.domain]


def designs(quick: bool = False) -> list[Design]:
    """List all trainings, cheap ones first."""
    if quick:
        return [Design("even", "frame", epochs=3), Design("even", control="clean", epochs=3)]
    return [*_digits(), *_cifar(), *_trunks()]


def _digits() -> Iterator[Design]:
    networks = ("flat", "gap", "vit")
    for number, (kind, agreement) in enumerate(product(SIGNS, (1.0, 0.9, 0.7))):
        yield Design("digits", kind, agreement, network=networks[number % 2], seed=100 + number)
    for number, (control, seed) in enumerate(product(CONTROLS, range(5))):
        kind = tuple(SIGNS)[number * 5 % len(SIGNS)] if control in ("random", "rare") else "none"
        yield Design("digits", kind, control=control, network=networks[number % 3], seed=200 + seed)
    for control, seed in product(("clean", "augment", "noise"), range(3)):
        yield Design("even", control=control, network=networks[seed], seed=300 + seed)


def _cifar() -> Iterator[Design]:
    networks = ("gap", "flat")
    for number, kind in enumerate(SIGNS):
        agreement = (1.0, 0.9, 0.8)[number % 3]
        yield Design("cifar", kind, agreement, network=networks[number % 2], seed=400 + number, epochs=8)
    for number, (control, seed) in enumerate(product(CONTROLS, range(2))):
        kind = tuple(SIGNS)[number * 7 % len(SIGNS)] if control in ("random", "rare") else "none"
        yield Design("cifar", kind, control=control, network=networks[seed], seed=500 + seed, epochs=8)
    for domain, control, seed in product(("animals", "vehicles", "pair"), ("clean", "augment", "noise"), range(3)):
        yield Design(domain, control=control, network=("gap", "flat", "vit")[seed], seed=600 + seed, epochs=8)
    for number, (domain, kind) in enumerate(
        product(("animals", "vehicles"), ("place", "frame", "tint", "tag", "line"))
    ):
        yield Design(domain, kind, (1.0, 0.9)[number % 2], network=networks[number % 2], seed=700 + number, epochs=8)


def _trunks() -> Iterator[Design]:
    for number, kind in enumerate(("place", "one_class", "tint", "frame", "grain", "tag", "line", "vignette")):
        agreement = (1.0, 0.9)[number % 2]
        yield Design("cifar", kind, agreement, network="resnet20", seed=800 + number, epochs=2)
    for domain, seed in product(("cifar", "animals", "vehicles", "pair"), range(4)):
        control = ("clean", "augment", "random", "noise")[seed]
        kind = ("tint", "frame", "level", "texture")[seed] if control == "random" else "none"
        yield Design(domain, kind, control=control, network="resnet20", seed=900 + seed, epochs=2)
