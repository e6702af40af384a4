"""Leave out methods of the default set that cannot explain a network."""

from collections.abc import Mapping

import torch
from torch import nn

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency._types import Images
from lightning_saliency.evaluation import explain
from lightning_saliency.methods import Method
from lightning_saliency.targets import Target


class NoSuitableMethodError(RuntimeError):
    """No method of the default set can explain the network."""


def suitable_methods(
    network: nn.Module, images: Images, target: Target, methods: Mapping[str, Method], controls: frozenset[str]
) -> tuple[dict[str, Method], dict[str, str]]:
    """Try each method on one image.

    Returns:
        The methods that can explain the network, and notes for the user.

    Raises:
        NoSuitableMethodError: If only controls are left.
    """
    first = target.take(torch.zeros(1, dtype=torch.int64))
    suitable, problems = dict[str, Method](), dict[str, str]()
    for name, method in methods.items():
        try:
            explain(network, images[:1], first, {name: method})
        except UnsuitableModelError as error:
            problems[name] = str(error)
        else:
            suitable[name] = method
    listed = " ".join(f"{name!r}: {problem}" for name, problem in problems.items())
    if not suitable.keys() - controls:
        raise NoSuitableMethodError(f"No default method can explain this network. {listed} Pass `methods`.")
    note = f"Left out default methods that cannot explain this network. {listed} Pass `methods` to choose others."
    return suitable, {"methods": note}
