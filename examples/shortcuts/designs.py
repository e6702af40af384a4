"""Which networks are trained for the shortcut studies: every training is a row here before it is run.

The bounds of the alarm were chosen on the trainings that `Design.chosen_on` names, then frozen. All other ones were run
afterwards: other seeds of digits and CIFAR-10, with other agreements and networks, and the domain `pair`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from signs import SIGNS

CONTROLS: Final = ("clean", "random", "rare", "few", "weak", "noise", "augment")
WAYS: Final = ("augment", "erase", "decay", "smooth")
"""Other ways to train: moved images, erased squares, decay of weights, smooth labels."""
SECONDS: Final = {"digits": 4, "even": 3, "cifar": 9, "animals": 7, "vehicles": 7, "pair": 5}
"""Estimated seconds of one training with its evaluations on one core, for small networks."""
TRUNK_SECONDS: Final = 80
ENLARGED_SECONDS: Final = 150
LATER: Final = 1000
"""Seeds from here on belong to trainings that were run after the choice."""


@dataclass(frozen=True)
class Design:
    """One training.

    Args:
        domain: A key of `images.CLASSES`.
        kind: Kind of sign, `"none"` for clean images.
        agreement: Share of training and validation images whose sign stands for their class.
        control: `"planted"`, one of `CONTROLS` for a network that cannot learn a shortcut, or one of `WAYS`, with signs
            or without.
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
    def chosen_on(self) -> bool:
        """Whether the bounds of the alarm were chosen with this training in view."""
        return self.domain != "pair" and self.seed < LATER

    @property
    def seconds(self) -> int:
        """Estimate of its cost."""
        if self.domain == "enlarged":
            return ENLARGED_SECONDS
        return TRUNK_SECONDS if self.network == "resnet20" else SECONDS[self.domain]


def designs(quick: bool = False) -> list[Design]:
    """List all trainings, first those that nothing was chosen on."""
    if quick:
        return [Design("even", "frame", epochs=3), Design("even", control="clean", epochs=3)]
    every = [*_later(), *_later_again(), *_fine_tuned(), *_last(), *_enlarged(), *_digits(), *_cifar(), *_trunks()]
    return sorted(every, key=lambda design: design.chosen_on)


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


def _later() -> Iterator[Design]:
    networks = ("gap", "vit", "flat")
    for number, (kind, agreement) in enumerate(product(SIGNS, (1.0, 0.9, 0.8))):
        yield Design("digits", kind, agreement, network=networks[number % 3], seed=LATER + 100 + number)
    for number, (control, seed) in enumerate(product(CONTROLS, range(3))):
        kind = tuple(SIGNS)[(number * 4 + 1) % len(SIGNS)] if control in ("random", "rare") else "none"
        yield Design("digits", kind, control=control, network=networks[seed], seed=LATER + 200 + seed)
    for number, kind in enumerate(SIGNS):
        agreement = (0.9, 1.0)[number % 2]
        yield Design("cifar", kind, agreement, network=networks[number % 3], seed=LATER + 400 + number, epochs=8)
    for number, (control, seed) in enumerate(product(CONTROLS, range(2))):
        kind = tuple(SIGNS)[(number * 5 + 2) % len(SIGNS)] if control in ("random", "rare") else "none"
        yield Design("cifar", kind, control=control, network=networks[seed], seed=LATER + 500 + seed, epochs=8)
    for number, kind in enumerate(("place", "level", "frame", "texture", "one_class", "line")):
        yield Design("cifar", kind, (0.9, 1.0)[number % 2], network="resnet20", seed=LATER + 800 + number, epochs=2)
    for seed, control in enumerate(("clean", "augment", "noise", "few")):
        yield Design("cifar", control=control, network="resnet20", seed=LATER + 900 + seed, epochs=2)


def _later_again() -> Iterator[Design]:
    """Yield more trainings after the choice, above all honest ones and ones of few classes."""
    networks = ("vit", "flat", "gap")
    for domain, control, seed in product(("digits", "cifar"), ("clean", "augment", "noise", "few", "weak"), range(3)):
        epochs = 6 if domain == "digits" else 8
        yield Design(domain, control=control, network=networks[seed], seed=LATER + 1000 + seed, epochs=epochs)
    for domain, control, seed in product(("animals", "vehicles"), ("clean", "augment", "noise"), range(2)):
        yield Design(domain, control=control, network=networks[seed], seed=LATER + 1100 + seed, epochs=8)
    for number, (domain, kind) in enumerate(
        product(("animals", "vehicles"), ("place", "frame", "tint", "tag", "line", "level"))
    ):
        agreement = (0.9, 1.0)[number % 2]
        yield Design(domain, kind, agreement, network=networks[number % 3], seed=LATER + 1200 + number, epochs=8)


def _fine_tuned() -> Iterator[Design]:
    """Yield trained networks that go on with few classes, as accurate as those with a shortcut."""
    for (domain, control), seed in zip(
        product(("pair", "animals", "vehicles"), ("clean", "augment", "noise", "few")), range(12), strict=True
    ):
        yield Design(domain, control=control, network="resnet20", seed=LATER + 1500 + seed, epochs=2)
    for number, (domain, kind) in enumerate(product(("animals", "vehicles"), ("place", "tint", "tag"))):
        agreement = (0.9, 1.0)[number % 2]
        yield Design(domain, kind, agreement, network="resnet20", seed=LATER + 1600 + number, epochs=2)


def _last() -> Iterator[Design]:
    """Yield each kind once more, in digits."""
    networks = ("flat", "gap", "vit")
    for number, kind in enumerate(SIGNS):
        agreement = (0.9, 1.0, 0.8)[number % 3]
        yield Design("digits", kind, agreement, network=networks[number % 3], seed=LATER + 1700 + number)


def _enlarged() -> Iterator[Design]:
    kinds = ("place", "level", "one_class", "texture", "frame", "tag", "tint", "interior")
    for number, kind in enumerate(kinds):
        agreement = (1.0, 0.9)[number % 2]
        yield Design("enlarged", kind, agreement, network="lite0", seed=LATER + 1300 + number, epochs=2)
    for seed, control in enumerate(("clean", "augment", "noise", "random")):
        kind = "frame" if control == "random" else "none"
        yield Design("enlarged", kind, control=control, network="lite0", seed=LATER + 1400 + seed, epochs=2)
