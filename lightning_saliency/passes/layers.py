"""Find layers by name or by their influence on the output, record their outputs, and lay these out as grids."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from lightning_saliency._random import keyed_normal
from lightning_saliency._types import Activations, Images, Model
from lightning_saliency.targets import Target

LAST_SPATIAL: Final = "<last spatial layer>"
MOST_PREFIX_TOKENS: Final = 16


def find_layers(model: Model, images: Images, names: Iterable[str], target: Target) -> dict[str, nn.Module]:
    """Look up layers; `LAST_SPATIAL` costs one forward and one backward of a single image of noise.

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
            f"Expected an `nn.Module` to look for layer {listed[0]!r}, but got {type(model).__name__}: "
            "pass the module itself, or use methods that need no layer."
        )
    image = _noise_like(images)
    return {
        name: _last_spatial(model, image, target) if name == LAST_SPATIAL else _named(model, name, image)
        for name in listed
    }


@contextmanager
def recording(
    layers: Mapping[str, nn.Module], replacements: Mapping[str, Tensor] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Record the layers' outputs while the block runs: the last one where a layer runs repeatedly.

    Where a layer has a replacement, that is recorded and used instead of its output. The network continues with
    a copy, since a later in-place activation would overwrite the recorded output.
    """
    outputs: dict[str, Tensor] = {}
    instead = replacements or {}
    with ExitStack() as stack:
        for name, layer in layers.items():

            def keep(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> Tensor:
                if not isinstance(output, Tensor):
                    raise TypeError(
                        f"Expected layer {name!r} to return a tensor, but got {type(output).__name__}: "
                        "name a layer inside it."
                    )
                result: Tensor = instead.get(name, output)
                outputs[name] = result if result.requires_grad else result.requires_grad_()
                return result.clone()

            stack.callback(layer.register_forward_hook(keep).remove)
        yield outputs


def as_grid(output: Tensor, images: Images) -> Activations:
    """Lay a layer's output or its gradient out as (B, C, *grid), whatever its own order is.

    The order may be channels first, channels last, or tokens of shape (B, N, C) whose class and register tokens
    come before the patches.
    """
    spatial = images.shape[2:]
    if _matches(output.shape[2:], spatial):
        return output
    if _matches_last(output, spatial):
        return output.movedim(-1, 1)
    grid = _token_grid(output, spatial)
    if grid is None:
        raise ValueError(
            f"Expected a layer whose output has positions of an image of size {tuple(spatial)}, "
            f"but got an output of shape {tuple(output.shape)}: name another layer."
        )
    patches = output[:, output.shape[1] - math.prod(grid) :]
    return patches.transpose(1, 2).reshape(output.shape[0], output.shape[2], *grid)


def channels_last(output: Tensor, images: Images) -> bool:
    """Whether the channels of a layer's output, as the layer made it, come after its positions."""
    return not _matches(output.shape[2:], images.shape[2:])


def _matches(grid: torch.Size, spatial: torch.Size) -> bool:
    """Whether a grid has more than one position and the image's proportions, up to rounding."""
    if len(grid) != len(spatial) or math.prod(grid) <= 1:
        return False
    return all(abs(size - grid[0] * full / spatial[0]) <= 1 for size, full in zip(grid, spatial, strict=True))


def _matches_last(output: Tensor, spatial: torch.Size) -> bool:
    """Whether an output has positions before its features; a single feature would be a pooled (B, C, 1...)."""
    return output.shape[-1] > 1 and _matches(output.shape[1:-1], spatial)


def _token_grid(output: Tensor, spatial: torch.Size) -> tuple[int, int] | None:
    if output.ndim != 3 or len(spatial) != 2:
        return None
    height, width = spatial
    tokens = output.shape[1]
    for patches in range(tokens, max(tokens - MOST_PREFIX_TOKENS, 2) - 1, -1):
        rows = math.isqrt(patches * height // width)
        for row in (rows, rows + 1):
            if row and patches % row == 0 and patches * height == row * row * width:
                return row, patches // row
    return None


def _noise_like(images: Images) -> Tensor:
    """Make one image (1, C, *S) that depends on the images' shape only."""
    return keyed_normal(images.shape[1:], "last spatial layer")[None].to(images)


def _named(model: nn.Module, name: str, image: Images) -> nn.Module:
    modules: dict[str, nn.Module] = {_plain(path): module for path, module in model.named_modules() if path}
    plain = _plain(name)
    if plain in modules:
        return modules[plain]
    ends = [path for path in modules if path.endswith("." + plain)]
    if len(ends) == 1:
        return modules[ends[0]]
    problem = "is the end of several" if ends else "is not one of the model's layers; those with positions are"
    listed = ", ".join(ends) or _listed(_trace(model, image)[0])
    raise ValueError(f"Expected `layer` to name one layer, but {name!r} {problem}: {listed}.")


def _plain(path: str) -> str:
    return ".".join(part for part in path.split(".") if part != "_orig_mod")


class _Candidate(NamedTuple):
    name: str
    module: nn.Module
    shape: torch.Size
    # Stands for the output in the graph, also when the network overwrites the output later.
    edge: GradientEdge


def _last_spatial(model: nn.Module, image: Images, target: Target) -> nn.Module:
    """Return the last layer to finish whose output has positions that still influence the target's value.

    The search starts at the end, so that most of the network needs no backward.
    """
    candidates, output = _trace(model, image)
    value = target.take(torch.zeros(1, dtype=torch.int64, device="cpu")).strongest(output).sum()
    connected = []
    for candidate in reversed(candidates):
        (gradient,) = torch.autograd.grad(value, candidate.edge, retain_graph=True, allow_unused=True)
        if gradient is None:
            continue
        if _positions(gradient, image) > 1:
            return candidate.module
        connected.append((candidate, bool(gradient.any())))
    if connected and not any(is_alive for _, is_alive in connected):
        # Every gradient vanishes (dead activations): only the shapes still show where positions are.
        return connected[0][0].module
    raise ValueError(
        "Expected the model to have a layer whose positions influence the logits, but found none: "
        f"name one with `layer`. Layers with positions: {_listed(candidates)}."
    )


def _listed(candidates: list[_Candidate]) -> str:
    """List layers with the shapes of their outputs for one image."""
    return ", ".join(f"{_plain(c.name)} {tuple(c.shape)}" for c in candidates) or "none"


def _trace(model: nn.Module, image: Images) -> tuple[list[_Candidate], Any]:
    candidates: list[_Candidate] = []
    with ExitStack() as stack:
        for name, module in model.named_modules():

            def keep(module: nn.Module, _inputs: Any, output: Any, name: str = name) -> Tensor | None:
                if not (
                    name and isinstance(output, Tensor) and output.requires_grad and _has_grid(module, output, image)
                ):
                    return None
                candidates.append(_Candidate(name, module, output.shape, get_gradient_edge(output)))
                # An operation that writes to a view gives the view a new place in the graph.
                return output.clone() if output._is_view() else None

            stack.callback(module.register_forward_hook(keep).remove)
        # The network gets a copy of the leaf, because in-place operations are refused on leaves.
        final = model(image.detach().requires_grad_().clone())
    return candidates, final


def _has_grid(module: nn.Module, output: Tensor, image: Tensor) -> bool:
    spatial = image.shape[2:]
    # Dropout, softmax and identity also see attention weights and heads, whose sizes can pass for a grid.
    if output.shape[:1] != image.shape[:1] or isinstance(module, (nn.Dropout, nn.Softmax, nn.Identity)):
        return False
    if _matches(output.shape[2:], spatial) or _matches_last(output, spatial):
        return True
    # Of token layers only norms and blocks: queries, keys and hidden features do not describe a patch.
    return ("Norm" in type(module).__name__ or any(module.children())) and _token_grid(output, spatial) is not None


def _positions(gradient: Tensor, image: Tensor) -> int:
    """Count the positions at which the gradient does not vanish."""
    return int((as_grid(gradient, image) != 0).any(dim=1).sum())
