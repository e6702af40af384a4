"""The end of a network: logits, or probabilities that a softmax or a sigmoid made of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lightning_saliency.targets import Activation

ROUNDING: Final = {torch.float64: 1e-5, torch.float32: 1e-5}
ROUNDING_OF_HALF: Final = 1e-2
LINEAR: Final = frozenset({"linear", "addmm", "matmul", "mm", "bilinear"})
SIGMOIDS: Final = frozenset({"sigmoid", "expit"})
REMEDIES: Final[Mapping[Activation, str]] = {"softmax": "torch.log", "sigmoid": "torch.logit"}


def are_shares(outputs: Tensor) -> bool:
    """Whether outputs (B, K) of several images are probabilities that sum to one for each image.

    One row, or one that is repeated, could be logits by chance.

    Example:
        >>> import torch
        >>> are_shares(torch.tensor([[0.2, 0.8], [0.5, 0.5]])), are_shares(torch.tensor([[0.2, 0.8], [0.5, 0.6]]))
        (True, False)
    """
    if len(outputs) < 2 or outputs.ndim != 2 or outputs.shape[1] < 2 or not lie_in_unit_interval(outputs):
        return False
    if bool((outputs == outputs[0]).all()):
        return False
    tolerance = ROUNDING.get(outputs.dtype, ROUNDING_OF_HALF)
    return bool(((outputs.sum(dim=1) - 1).abs() <= tolerance).all())


def lie_in_unit_interval(outputs: Tensor) -> bool:
    """Whether all values lie in [0, 1]."""
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def probabilities_of(outputs: Tensor, *, is_sigmoid: bool) -> Activation | None:
    """Return what made probabilities of logits, or `None` where outputs (B, K) are not probabilities."""
    if are_shares(outputs):
        return "softmax"
    return "sigmoid" if is_sigmoid else None


class Ending(TorchFunctionMode):
    """Notes what a network's output was made by, while the network runs in the block."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Keep the result of the last linear layer and of the last sigmoid."""
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").strip("_")
        for kind, names in (("linear", LINEAR), ("sigmoid", SIGMOIDS)):
            if name in names and isinstance(result, Tensor):
                self._last[kind] = result
        return result

    def is_linear(self, output: Tensor) -> bool:
        """Whether the output is that of a linear layer."""
        return self._is("linear", output)

    def is_sigmoid(self, output: Tensor) -> bool:
        """Whether the output is that of a sigmoid."""
        return self._is("sigmoid", output)

    def _is(self, kind: str, output: Tensor) -> bool:
        result = self._last.get(kind)
        if result is None or result.numel() != output.numel():
            return False
        return torch.equal(result.flatten().to(output.dtype), output.flatten())


class AsLogits(nn.Module):
    """A network whose probabilities are turned back to logits: softmax and sigmoid of these are the probabilities.

    Args:
        network: A network that returns probabilities (B, K).
        activation: The function that made them.
    """

    def __init__(self, network: nn.Module, activation: Activation) -> None:
        super().__init__()
        self.network = network
        self.activation = activation

    def forward(self, images: Tensor, *extras: Tensor) -> Tensor:
        """Return logits (B, K)."""
        probabilities: Tensor = self.network(images, *extras)
        smallest = torch.finfo(probabilities.dtype)
        if self.activation == "softmax":
            return probabilities.clamp(min=smallest.tiny).log()
        return torch.logit(probabilities, eps=smallest.eps)

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Module]]:
        """List the network's modules by the names that they have without this wrapper."""
        modules: Iterator[tuple[str, nn.Module]] = self.network.named_modules(*args, **kwargs)
        return modules


@contextmanager
def calls_noted(layers: list[nn.Module]) -> Iterator[Callable[[], list[nn.Module]]]:
    """Note which layers run in the block: yields a function that returns those that did not."""
    resting = {id(layer): layer for layer in layers}

    def note(layer: nn.Module, *_: Any) -> None:
        resting.pop(id(layer), None)

    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield lambda: list(resting.values())
    finally:
        for handle in handles:
            handle.remove()
