"""One output of a regression."""

from typing import Any, Literal, TypeAlias

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._types import Scores
from lightning_saliency.targets._outputs import tensor_of, wrong_shape
from lightning_saliency.targets._rows import RowTarget

Direction: TypeAlias = Literal["up", "down"]


class Regression(RowTarget):
    """One of the outputs of a regression, in its own units.

    Maps show why the output is as high as it is. Metrics that read values, such as `Insertion`, `Deletion` and `ROAD`,
    have the unit of the output; there is no probability, so that those which need one are refused.

    Args:
        column: Which of the outputs (B, D); 0 is also the output of a model that returns one number per image (B,).
        direction: `"down"` explains why the output is as low as it is: its negative is explained and scored.

    Raises:
        TypeError: If `column` is not a whole number; when asked for a value, if the output is not a tensor.
        ValueError: If an argument is out of its range; when asked for a value, if the output has another shape.

    Example:
        >>> import torch
        >>> Regression(1).value(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([2., 4.])
        >>> Regression(direction="down").value(torch.tensor([[1.0], [3.0]]))
        tensor([-1., -3.])
    """

    def __init__(self, column: int = 0, *, direction: Direction = "up") -> None:
        check_integer("column", column, minimum=0)
        check_choice("direction", direction, ("up", "down"))
        super().__init__()
        self.column = column
        self.direction = direction

    def __repr__(self) -> str:
        return f"output {self.column}" if self.direction == "up" else f"output {self.column} down"

    def value(self, output: Any) -> Scores:
        """Return the outputs of the column (B,)."""
        outputs = tensor_of(output, self._size, "(B, D)", "Regression")
        if outputs.ndim == 1:
            outputs = outputs[:, None]
        if outputs.ndim != 2:
            raise wrong_shape(outputs, "(B, D)", "Regression")
        if self.column >= outputs.shape[1]:
            raise ValueError(
                f"`column` must be below {outputs.shape[1]}, the number of outputs of the model, but got {self.column}."
            )
        values: Scores = outputs[:, self.column]
        return values if self.direction == "up" else -values
