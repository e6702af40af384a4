"""Shapes of the tensors that signatures speak of: `space` is (height, width) for pictures."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channels *space"]
Targets: TypeAlias = Int[Tensor, "batch"]
Logits: TypeAlias = Float[Tensor, "batch classes"]
Maps: TypeAlias = Float[Tensor, "batch *space"]
Masks: TypeAlias = Bool[Tensor, "batch *space"]
Scores: TypeAlias = Float[Tensor, "batch"]
Activations: TypeAlias = Float[Tensor, "batch features *grid"]

Model: TypeAlias = Callable[[Tensor], Any]
