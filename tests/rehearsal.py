"""A device without a device: tensors on `meta` that have values, and say when these are read.

Operations on meta tensors run on a shadow of each on the CPU as well. Mixing with tensors of the CPU is refused as a
GPU refuses it, and operations without a deterministic algorithm as a GPU refuses them with `deterministic=True`. Every
read of a value, for which a GPU would have to finish its work first, is noted.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

import lightning_saliency

PACKAGE: Final = str(Path(lightning_saliency.__file__).parent)
ATEN: Final = torch.ops.aten
# Operations that a GPU allows with a tensor of the CPU.
MIXING: Final = {ATEN._to_copy.default, ATEN.copy_.default, ATEN.index.Tensor}
SIZED_BY_VALUES: Final = (torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output)
# With deterministic algorithms a GPU refuses these, some of them in older versions of torch only.
NONDETERMINISTIC: Final = {
    ATEN.median.dim,
    ATEN.nanmedian.dim,
    ATEN.kthvalue.default,
    ATEN.histc.default,
    ATEN.put_.default,
    ATEN.scatter_reduce.two,
    ATEN.scatter_reduce_.two,
    ATEN.nll_loss2d_forward.default,
    ATEN._adaptive_avg_pool2d_backward.default,
    ATEN._adaptive_avg_pool3d_backward.default,
    ATEN.adaptive_max_pool2d_backward.default,
    ATEN.avg_pool3d_backward.default,
    ATEN.grid_sampler_2d_backward.default,
    ATEN.reflection_pad1d_backward.default,
    ATEN.reflection_pad2d_backward.default,
    ATEN.upsample_linear1d_backward.default,
    ATEN.upsample_bilinear2d_backward.default,
    ATEN.upsample_bicubic2d_backward.default,
    ATEN.upsample_trilinear3d_backward.default,
}
META: Final = torch.device("meta")


class Rehearsal(TorchDispatchMode):
    """Runs what is on `meta` with values, and notes the places of the package that read them.

    Args:
        has_double: Whether the device has double precision, which that of Apple's processors has not.

    Attributes:
        reads: The place of each read, as `passes/layers.py:12`.
    """

    def __init__(self, *, has_double: bool = True) -> None:
        super().__init__()
        self.has_double = has_double
        self.reads: list[str] = []
        self._values = WeakTensorKeyDictionary()

    def value(self, tensor: Tensor) -> Tensor:
        """Look a value up, which counts as no read."""
        return self._values[tensor] if tensor.device == META else tensor

    def move(self, model: nn.Module) -> nn.Module:
        """Move a model to `meta`, with its values."""
        values = {name: tensor.detach().clone() for name, tensor in tensors_of(model).items()}
        model.to(META)
        for name, tensor in tensors_of(model).items():
            self._values[tensor] = values[name]
        return model

    def set_data(self, tensor: Tensor, data: Tensor) -> None:
        """Give a tensor the value of another."""
        self._values[tensor] = self.value(data)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, options)) if isinstance(leaf, Tensor)]
        place = options.get("device")
        if META not in {place and torch.device(place), *(tensor.device for tensor in tensors)}:
            return func(*args, **options)
        self._refuse(func, tensors, options)
        values, others = tree_map(self._on_the_cpu, (args, options))
        result = func(*values, **others)
        if self._reads(func, args, options):
            self.reads.append(_place())
        if func in (ATEN._local_scalar_dense.default, ATEN.equal.default) or _leaves(func, args, place):
            return result
        if any(argument.alias_info for argument in func._schema.arguments):
            twins = func(*args, **options)  # a view, or an operation in place
        else:
            twins = tree_map(_twin, result)
        for twin, value in zip(tree_leaves(twins), tree_leaves(result), strict=True):
            if isinstance(twin, Tensor):
                self._refuse(func, [twin], {})
                self._values[twin] = value
        return twins

    def _refuse(self, func: Any, tensors: list[Tensor], options: Any) -> None:
        devices = {str(tensor.device) for tensor in tensors if tensor.ndim}
        if len(devices) > 1 and func not in MIXING:
            raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got {devices}.")
        if func in NONDETERMINISTIC:
            raise RuntimeError(f"{func} has no deterministic algorithm on a GPU.")
        types = {tensor.dtype for tensor in tensors if tensor.device == META}
        # A conversion on the way to another device takes place before.
        if types and not self.has_double and torch.float64 in {*types, options.get("dtype")}:
            raise TypeError(f"{func} got float64, which the device has not.")

    def _on_the_cpu(self, argument: Any) -> Any:
        if isinstance(argument, Tensor):
            return self.value(argument)
        return torch.device("cpu") if isinstance(argument, torch.device) else argument

    def _reads(self, func: Any, args: Any, options: Any) -> bool:
        if func is ATEN.index.Tensor:  # only a mask has to be counted
            return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
        return _leaves(func, args, options.get("device")) or any(tag in func.tags for tag in SIZED_BY_VALUES)


class _Constructors(TorchFunctionMode):
    """Makes tensors of numbers on the CPU and moves them, and follows a parameter's `data`."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        super().__init__()
        self.rehearsal = rehearsal

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func is torch.tensor:
            device = options.pop("device", None)
            return func(*args, **options).to(device)
        if func is Tensor.new_tensor:
            original, *rest = args
            return torch.tensor(*rest, **{"dtype": original.dtype} | options).to(original.device)
        if func is torch.unravel_index:  # makes a tensor of the shape's numbers inside
            indices, *rest = args
            return tuple(part.to(indices.device) for part in func(self.rehearsal.value(indices), *rest, **options))
        result = func(*args, **options)
        if func == Tensor.data.__set__ and args[0].device == META:
            self.rehearsal.set_data(*args)
        return result


@contextmanager
def rehearsing(*, has_double: bool = True) -> Iterator[Rehearsal]:
    """Let tensors on `meta` have values in the block."""
    rehearsal = Rehearsal(has_double=has_double)
    with rehearsal, _Constructors(rehearsal):
        yield rehearsal


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """List parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _leaves(func: Callable[..., Any], args: Any, device: Any) -> bool:
    """Whether the result of an operation is a copy on the CPU."""
    if func is ATEN.copy_.default:
        return bool(args[0].device != META)
    return func is ATEN._to_copy.default and device is not None and torch.device(device) != META


def _twin(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)


def _place() -> str:
    frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
    return f"{frames[-1].filename[len(PACKAGE) + 1 :]}:{frames[-1].lineno}" if frames else "outside of the package"
