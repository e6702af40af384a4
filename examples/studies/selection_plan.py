"""Which trainings the study of selection rules uses: those of the shortcut benchmark, and added ones.

Added trainings have the kinds and agreements of the benchmark's and train in other ways, so that several trainings
have the same data. Those that are reported come first.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

# The store and its designs are in the folder of the shortcut studies.
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from designs import WAYS, Design, designs
from signs import SIGNS

ADDED: Final = 2000
"""Seeds from here on belong to trainings that were added for this study, or to the benchmark later."""
HONEST: Final = ("clean", "noise", *WAYS)
REPORTED: Final = ("cifar", "animals", "vehicles", "pair")
"""Domains of CIFAR-10. Digits are there to choose on."""


def plan(quick: bool = False) -> list[Design]:
    """List all trainings. Trained ResNet-20 networks are left out: an evaluation of one takes ten times as long."""
    if quick:
        return designs(quick=True)
    stored = [design for design in designs() if design.seed < ADDED and _is_used(design)]
    return sorted([*stored, *_added()], key=lambda design: (design.chosen_on, design.domain not in REPORTED))


def is_reported(design: Design) -> bool:
    """Return whether neither a rule nor the bounds of the alarm were chosen with this training in view."""
    return design.domain in REPORTED and not design.chosen_on


def data_of(design: Design) -> tuple[str, str, float, bool]:
    """Return what trainings with the same data have in common: images, sign, agreement, and wrong labels."""
    return design.domain, design.kind, design.agreement, design.control == "noise"


def _is_used(design: Design) -> bool:
    if design.network == "resnet20":
        return False
    return design.kind != "none" if design.control == "planted" else design.control in HONEST


def _added() -> Iterator[Design]:
    networks = ("gap", "flat")
    for (number, kind), (order, way) in product(enumerate(SIGNS), enumerate(WAYS)):
        network, seed = networks[(number + order) % 2], ADDED + number
        yield Design("cifar", kind, (0.9, 1.0)[number % 2], way, network, 100 + seed, epochs=8)
        if order < 3:
            yield Design("digits", kind, 0.9, WAYS[(number + order) % 4], network, seed)
    for (order, way), network in product(enumerate(WAYS), networks):
        yield Design("cifar", control=way, network=network, seed=ADDED + 500 + order, epochs=8)
        yield Design("digits", control=way, network=network, seed=ADDED + 400 + order)
