"""The curves of a metric, all methods in one figure."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

SIZE: Final = (6.4, 4.2)
DOTS_PER_INCH: Final = 110
# Fixed, because computing a layout takes as long as drawing.
MARGINS: Final = {"left": 0.12, "right": 0.97, "bottom": 0.12, "top": 0.92}


class Curve(NamedTuple):
    """A mean over images at some points.

    Attributes:
        means: Mean values, (P,).
        errors: Their standard errors, (P,); not finite for a single image.
        is_control: Whether it belongs to a control, drawn grey and dashed.
    """

    means: Tensor
    errors: Tensor
    is_control: bool = False


def draw_curves(title: str, axes: tuple[str, str], points: Sequence[float], curves: Mapping[str, Curve]) -> Tensor:
    """Draw curves with bands of one standard error.

    Args:
        title: Title of the figure.
        axes: Labels of the two axes.
        points: Positions of the values, (P,).
        curves: Curves by label.

    Returns:
        Picture (3, H, W) uint8.

    Example:
        >>> import torch
        >>> curve = Curve(torch.tensor([0.2, 0.8]), torch.tensor([0.1, 0.1]))
        >>> draw_curves("insertion", ("share of pixels", "probability"), [0.0, 1.0], {"grad_cam": curve}).shape
        torch.Size([3, 462, 704])
    """
    # Slow to import, and needed only for drawing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not by pyplot, whose state belongs to the user.
    figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH)
    figure.subplots_adjust(**MARGINS)
    canvas = FigureCanvasAgg(figure)
    plot = figure.add_subplot(xlabel=axes[0], ylabel=axes[1])
    plot.set_title(title, parse_math=False)
    lines = []
    for curve in curves.values():
        colour, style = ("0.55", "--") if curve.is_control else (None, "-")
        (line,) = plot.plot(points, curve.means.tolist(), style, marker=".", color=colour)
        lines.append(line)
        errors = curve.errors.nan_to_num(0, 0, 0)
        low, high = (curve.means - errors).tolist(), (curve.means + errors).tolist()
        plot.fill_between(points, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    plot.grid(alpha=0.3)
    # Names are chosen by the user, so matplotlib must not read them as mathematics.
    for text in plot.legend(lines, list(curves), fontsize="small").get_texts():
        text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        canvas.draw()
    return torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3]).permute(2, 0, 1).contiguous()
