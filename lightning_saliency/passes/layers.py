"""Find layers by name or by their influence on the output, and say which of their calls is read."""

import math
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from lightning_saliency._checks import UnsuitableModelError, warn_once
from lightning_saliency._random import keyed_normal
from lightning_saliency._types import Images, Model
from lightning_saliency.passes._normalize import BLANK
from lightning_saliency.passes.grids import as_grid, has_grid, has_tokens_first, is_token_grid
from lightning_saliency.targets import Target

LAST_SPATIAL: Final = "<last spatial layer>"
LAST_FINER: Final = "<last layer with a finer grid than the last spatial one>"
FINER: Final = 2
"""How many times as many positions a finer grid has, at least."""
LAST_CALL: Final = -1
NO_LAYER_NEEDED: Final = "use a method that needs no layer, such as `Gradient` or `GuidedAbsoluteGrad`"


class LayerName(NamedTuple):
    """A layer and one of its calls, as the user names them.

    Attributes:
        path: Path of the module, the end of a path, `LAST_SPATIAL` or `LAST_FINER`.
        call: Which of its calls, where a forward runs it more than once: 0 for the first, -1 for the last one.
    """

    path: str
    call: int = LAST_CALL


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a model and one of its calls.

    Attributes:
        module: The layer.
        call: Which of the calls whose output has positions; a negative one counts from the end.
        tokens_first: Whether its output is (N, B, C), tokens before images; `None` to see it from the shape.
    """

    module: nn.Module
    call: int = LAST_CALL
    tokens_first: bool | None = None


def find_layers(model: Model, images: Images, names: Iterable[LayerName], target: Target) -> dict[LayerName, Layer]:
    """Look up layers; `LAST_SPATIAL` and `LAST_FINER` cost one forward and one backward of a single image of noise.

    Noise and not the first image, because with pooling by maximum the layer can depend on the image.

    Raises:
        TypeError: If the model has no layers because it is a plain function.
        ValueError: If a name is unknown or ambiguous, or no layer's positions influence the target's values.
    """
    listed = list(names)
    if not listed:
        return {}
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"Expected an `nn.Module` to look for layer {listed[0].path!r}, but got {type(model).__name__}: "
            "pass the module itself, or use methods that need no layer."
        )
    if _is_script(model):
        raise UnsuitableModelError(
            f"The model must be an `nn.Module` whose layers can be watched, but got {type(model).__name__}.  Pass the "
            f"network as it was before `torch.jit`, or {NO_LAYER_NEEDED}."
        )
    image = _noise_like(images)
    searches = {LAST_SPATIAL: _last_spatial, LAST_FINER: _last_finer}
    return {
        name: searches[name.path](model, image, target, name.call)
        if name.path in searches
        else _named(model, name, image)
        for name in listed
    }


def _noise_like(images: Images) -> Tensor:
    """Make one image (1, C, *S) that depends on the images' shape only."""
    return keyed_normal(images.shape[1:], "last spatial layer")[None].to(images)


def _named(model: nn.Module, name: LayerName, image: Images) -> Layer:
    modules = {_plain(path): module for path, module in _watchable(model)}
    plain = _plain(name.path)
    ends = [path for path in modules if path.endswith("." + plain)]
    if plain in modules or len(ends) == 1:
        module = modules[plain] if plain in modules else modules[ends[0]]
        return Layer(module, name.call, _tokens_first(model, module, image))
    problem = "is the end of several" if ends else "is not one of the model's layers; those with positions are"
    listed = ", ".join(ends) or _listed(_trace(model, image).calls)
    raise ValueError(f"Expected `layer` to name one layer, but {name.path!r} {problem}: {listed}.")


def _tokens_first(model: nn.Module, layer: nn.Module, image: Images) -> bool | None:
    """Look at one image where tokens may come first, since of N tokens of N images the shape does not tell."""
    if all(part.batch_first for part in model.modules() if isinstance(part, nn.MultiheadAttention)):
        return None
    orders = [call.tokens_first for call in _trace(model, image).calls if call.module is layer]
    return orders[-1] if orders else None


def _watchable(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """List the layers by path; parts of compiled scripts run unseen."""
    return [(path, module) for path, module in model.named_modules() if path and not _is_script(module)]


def _is_script(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


def _plain(path: str) -> str:
    return ".".join(part for part in path.split(".") if part != "_orig_mod")


class _Call(NamedTuple):
    """A call of a layer whose output, for one image, has positions."""

    name: str
    module: nn.Module
    shape: torch.Size
    num_positions: int
    tokens_first: bool
    is_candidate: bool
    # Whether positions differ: on the device, since only those of few layers are read.
    varies: Tensor
    # Stands for the output in the graph, also when the network overwrites the output later; `None` without gradients.
    edge: GradientEdge | None
    total: Tensor


class _Trace(NamedTuple):
    calls: list[_Call]
    output: Any
    image: Tensor


class _Link(NamedTuple):
    """The influence of a layer's output on the value, and the number of positions that have one."""

    call: _Call
    gradient: Tensor
    num_positions: int
    varies: bool


def _last_spatial(model: nn.Module, image: Images, target: Target, call: int) -> Layer:
    """Return the last layer to finish whose positions differ and still influence the target's value."""
    calls, output, _ = _trace(model, image)
    return _layer_of(_last(calls, _value_of(output, target), image), calls, call)


def _last_finer(model: nn.Module, image: Images, target: Target, call: int) -> Layer:
    """Return the last layer with a finer grid than the last spatial one and with all of the image's influence.

    Layers that some connection bypasses are left out. If no layer is left, it is the last spatial one.
    """
    calls, output, start = _trace(model, image)
    value = _value_of(output, target)
    last = _last(calls, value, image)
    earlier = (each for each in reversed(calls) if each.num_positions >= FINER * last.num_positions)
    finer = (each for each in earlier if each.is_candidate and each.varies and _all_paths_cross(each, value, start))
    return _layer_of(next(finer, last), calls, call)


def _value_of(output: Any, target: Target) -> Tensor:
    return target.take(torch.zeros(1, dtype=torch.int64, device="cpu")).strongest(output).sum()


def _all_paths_cross(call: _Call, value: Tensor, image: Tensor) -> bool:
    """Whether the value depends on the image through the output of this call only."""
    if call.edge is None:
        return False
    crossing = (call.edge.node, call.edge.output_nr)
    waiting, visited = [value.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if getattr(node, "variable", None) is image:
            return False
        steps = [(after, index) for after, index in getattr(node, "next_functions", ()) if after is not None]
        reached = {after for after, index in steps if (after, index) != crossing} - visited
        visited |= reached
        waiting += reached
    return True


def _last(calls: list[_Call], value: Tensor, image: Images) -> _Call:
    """Return the last call whose positions differ and influence the value.

    The search starts at the end, so that most of the network needs no backward.
    """
    candidates = [each for each in calls if each.is_candidate] if value.requires_grad else []
    connected: list[_Link] = []
    for candidate in reversed(candidates):
        if candidate.edge is None:
            continue
        (gradient,) = torch.autograd.grad(value, candidate.edge, retain_graph=True, allow_unused=True)
        if gradient is None:
            continue
        connected.append(_link(candidate, gradient, image))
        if connected[-1].varies and connected[-1].num_positions > 1:
            break
    chosen = _chosen(connected)
    if chosen is None:
        raise _nothing_fits(calls, connected)
    return chosen


def _chosen(connected: list[_Link]) -> _Call | None:
    """Pick the layer from those that are connected to the output, the last one first."""
    spatial = [link for link in connected if link.num_positions > 1]
    # Constant outputs, as of an average pool that copies one position, give constant maps.
    for link in (*(link for link in spatial if link.varies), *spatial):
        return link.call
    if connected and not any(bool(link.gradient.any()) for link in connected):
        # Every gradient vanishes (dead activations): only the shapes still show where positions are.
        return connected[0].call
    return None


def _layer_of(chosen: _Call, calls: list[_Call], call: int) -> Layer:
    """Count the calls of the chosen layer up to the chosen one."""
    same = [each for each in calls if each.module is chosen.module]
    same = same[: same.index(chosen) + 1]
    if not -len(same) <= call < len(same):
        raise no_such_call(chosen.name, call, len(same))
    if call == LAST_CALL and any(_are_independent(chosen, earlier) for earlier in same[:-1]):
        warn_once(several_calls(chosen.name, len(same)))
    index = call % len(same)
    return Layer(chosen.module, index, same[index].tokens_first)


def _are_independent(later: _Call, earlier: _Call) -> bool:
    """Whether a call does not follow from an earlier one, as where the network sees several views of the image."""
    if earlier.edge is None or not later.total.requires_grad:
        return False
    return torch.autograd.grad(later.total, earlier.edge, retain_graph=True, allow_unused=True)[0] is None


def several_calls(name: str, count: int) -> str:
    """Say which of several calls is read."""
    return (
        f"Layer {name!r} runs {count} times in a forward. Class activation maps show its last call, whose positions "
        f"may be those of another view of the image. Pass `call`, from 0 to {count - 1}, to choose one."
    )


def no_such_call(name: str, call: int, count: int) -> ValueError:
    """Refuse a call that a forward does not make."""
    return ValueError(
        f"`call` must lie in [{-count}, {count - 1}], since layer {name!r} runs {count} times, but got {call}.  "
        "Leave it out for the last call."
    )


def _nothing_fits(calls: list[_Call], connected: list[_Link]) -> UnsuitableModelError:
    if connected:
        problem = (
            f"found none: name one with `layer`. Layers with positions: {_listed([link.call for link in connected])}"
        )
    elif calls:
        problem = (
            f"{_listed(calls)} run without gradients, or their results are cut from the graph: pass a model, or a "
            "function as the monitor's `model`, that calls them outside of `no_grad`"
        )
    else:
        problem = f"found none: {NO_LAYER_NEEDED}. Layers with positions: none"
    return UnsuitableModelError(
        f"Expected the model to have a layer whose positions influence the logits, but {problem}."
    )


def _listed(calls: list[_Call]) -> str:
    """List layers with the shapes of their outputs for one image."""
    return ", ".join(dict.fromkeys(f"{_plain(c.name)} {tuple(c.shape)}" for c in calls)) or "none"


def _trace(model: nn.Module, image: Images) -> _Trace:
    calls: list[_Call] = []
    with ExitStack() as stack:
        for name, module in _watchable(model):

            def keep(module: nn.Module, _inputs: Any, output: Any, name: str = name) -> Tensor | None:
                call = _call_of(name, module, output, image)
                if call is None:
                    return None
                calls.append(call)
                # An operation that writes to a view gives the view a new place in the graph.
                return output.clone() if output._is_view() else None

            stack.callback(module.register_forward_hook(keep).remove)
        # The network gets a copy of the leaf, because in-place operations are refused on leaves.
        start = image.detach().requires_grad_()
        output = model(start.clone())
    return _Trace(calls, output, start)


def _call_of(name: str, module: nn.Module, output: Any, image: Images) -> _Call | None:
    if not isinstance(output, Tensor):
        return None
    tokens_first = has_tokens_first(output, image)
    ordered = output.transpose(0, 1) if tokens_first else output
    if not has_grid(ordered, image):
        return None
    edge = get_gradient_edge(output) if output.requires_grad else None
    with torch.no_grad():
        grid = as_grid(ordered, image)
        varies = _varies(grid)
    return _Call(
        name,
        module,
        output.shape,
        math.prod(grid.shape[2:]),
        tokens_first,
        _describes_positions(module, ordered, image),
        varies,
        edge,
        output.sum(),
    )


def _describes_positions(module: nn.Module, output: Tensor, image: Images) -> bool:
    # Dropout, softmax and identity also see attention weights and heads, whose sizes can pass for a grid.
    if isinstance(module, (nn.Dropout, nn.Softmax, nn.Identity)):
        return False
    # Of token layers only norms and blocks: queries, keys and hidden features do not describe a patch.
    return not is_token_grid(output, image) or "Norm" in type(module).__name__ or any(True for _ in module.children())


def _varies(grid: Tensor) -> Tensor:
    """Whether positions (1, K, *grid) differ by more than rounding in any channel."""
    flat = grid.flatten(2)
    return (flat.amax(dim=2) - flat.amin(dim=2)).amax() > BLANK * flat.abs().amax()


def _link(call: _Call, gradient: Tensor, image: Tensor) -> _Link:
    """Count the positions at which the gradient does not vanish, in one reading with whether the output varies."""
    ordered = gradient.transpose(0, 1) if call.tokens_first else gradient
    count = (as_grid(ordered, image) != 0).any(dim=1).sum()
    num_positions, varies = torch.stack([count, call.varies.to(count)]).tolist()
    return _Link(call, gradient, num_positions, bool(varies))
