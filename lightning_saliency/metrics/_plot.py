"""Draw the curve behind a metric."""

from typing import Any

from torch import Tensor


def plot_curve(curve: tuple[Tensor, Tensor], label: str, axis_names: tuple[str, str], ax: Any = None) -> Any:
    """Draw a curve on new or given axes and return figure and axes, as torchmetrics does."""
    from matplotlib import pyplot as plt  # slow to import, and needed by those who plot only

    figure, ax = plt.subplots() if ax is None else (ax.get_figure(), ax)
    places, values = curve
    ax.plot(places.cpu(), values.cpu(), marker="o", label=label)
    ax.set_xlabel(axis_names[0])
    ax.set_ylabel(axis_names[1])
    ax.grid(visible=True)
    ax.legend()
    return figure, ax
