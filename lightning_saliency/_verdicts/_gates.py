"""A gate in one text: the name of a value, followed by its rule."""

import re
from typing import Final

from lightning_saliency.monitor.gates import FORMS, Gate, parse_gate

WORDS: Final = re.compile(r"\s*(\S.*?)\s*((?:>=|<=|(?<=\s)worsens\b).*)", re.DOTALL)


class WrongGateError(ValueError):
    """The text is no gate."""


def read_gate(text: str) -> Gate:
    """Read a gate.

    Raises:
        WrongGateError: If it is not a name followed by a rule.

    Example:
        >>> gate = read_gate("saliency/grad_cam/rcap >= 0.25 by 2 stderr")
        >>> gate.metric, str(gate)
        ('saliency/grad_cam/rcap', '>= 0.25 by 2 stderr')
    """
    words = WORDS.fullmatch(text)
    try:
        if words is not None:
            return parse_gate(words[1], words[2])
    except ValueError:
        pass  # the sentence below says the same of the complete text
    raise WrongGateError(f"`--gate` must be the name of a value followed by {FORMS}, but got {text!r}.")
