"""The common part of metrics whose score sums up a curve."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_saliency.metrics._metric import ExplanationMetric


class CurveMetric(ExplanationMetric):
    """A metric whose score sums up a curve, which is kept as a mean over images too."""

    curve_axes: ClassVar[tuple[str, str]] = ("", "")

    def curve(self) -> tuple[Tensor, Tensor]:
        """Return where the curve is taken, and its mean over images there.

        Raises:
            ValueError: If no image has been scored.
        """
        return torch.tensor(self.points, dtype=torch.float64), self._mean_curve()

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the curve, or the values given.

        Args:
            val: One or several results of `compute`.
            ax: Matplotlib axes to draw on; `None` makes new ones.

        Returns:
            Figure and axes.
        """
        if val is not None:
            return super().plot(val, ax)
        from matplotlib import pyplot as plt  # slow to import, and needed for plots only

        label = f"{self.name} {self.compute().item():.4g}"
        figure, ax = plt.subplots() if ax is None else (ax.get_figure(), ax)
        places, values = self.curve()
        ax.plot(places.cpu(), values.cpu(), marker="o", label=label)
        ax.set(xlabel=self.curve_axes[0], ylabel=self.curve_axes[1])
        ax.grid(visible=True)
        ax.legend()
        return figure, ax
