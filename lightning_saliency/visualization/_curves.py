"""The curves of a metric, all methods in one figure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lightning_saliency.visualization._axes import Axis
from lightning_saliency.visualization._text import font_of

# Drawn without matplotlib, whose figures take ten times as long, which is more than a small network's explanations.
WIDTH, HEIGHT = 704, 462
LEFT, RIGHT, TOP, BOTTOM = 84, 683, 37, 407
FONT_SIZE: Final = 14
LONGEST_TEXT: Final = 60
# Lines are drawn larger and shrunk, so that they are smooth.
ENLARGEMENT: Final = 2
GRID: Final = (225, 225, 225)
CONTROL: Final = (140, 140, 140)
BAND_OPACITY: Final = 50
# As in matplotlib.
COLOURS: Final = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (188, 189, 34),
    (23, 190, 207),
)
# Lengths of strokes and gaps in pixels: every control has its own.
SOLID: Final = ()
DASHES: Final = ((9.0, 6.0), (2.0, 5.0), (9.0, 4.0, 2.0, 4.0))

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]


class Curve(NamedTuple):
    """A mean over images at some points.

    Attributes:
        means: Mean values, (P,).
        errors: Their standard errors, (P,); not finite for a single image.
        is_control: Whether it belongs to a control, drawn grey; every control has its own dashes.

    Example:
        >>> import torch
        >>> Curve(torch.tensor([0.2, 0.4]), torch.tensor([0.01, 0.02])).is_control
        False
    """

    means: Tensor
    errors: Tensor
    is_control: bool = False


class _Line(NamedTuple):
    """A curve in pixels, and how it is drawn."""

    middle: list[Point]
    band: list[Point]
    colour: Colour
    dashes: tuple[float, ...]


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
    curves = {_one_line(label): curve for label, curve in curves.items() if curve.means.isfinite().any()}
    horizontal = Axis.around(list(points), LEFT, RIGHT)
    vertical = Axis.around([value for curve in curves.values() for value in _extent(curve)] or [0.0, 1.0], BOTTOM, TOP)
    lines = dict(zip(curves, _lines(points, list(curves.values()), horizontal, vertical), strict=True))
    canvas = Image.new("RGB", (ENLARGEMENT * WIDTH, ENLARGEMENT * HEIGHT), "white")
    draw = ImageDraw.Draw(canvas, "RGBA")
    _draw_grid(draw, horizontal, vertical)
    for line in lines.values():
        _draw_line(draw, line)
    picture = canvas.reduce(ENLARGEMENT)
    _write_labels(picture, _one_line(title), (_one_line(axes[0]), _one_line(axes[1])), horizontal, vertical)
    _draw_legend(picture, lines)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def _extent(curve: Curve) -> list[float]:
    """Return the finite values of a curve and its band."""
    errors = curve.errors.nan_to_num(0, 0, 0)
    values = torch.cat([curve.means - errors, curve.means + errors])
    return values[values.isfinite()].tolist()


def _lines(points: Sequence[float], curves: Sequence[Curve], horizontal: Axis, vertical: Axis) -> Iterator[_Line]:
    colours, dashes = cycle(COLOURS), cycle(DASHES)
    for curve in curves:
        errors = curve.errors.nan_to_num(0, 0, 0)

        def pixels(values: Tensor) -> list[Point]:
            pairs = zip(points, values.tolist(), values.isfinite().tolist(), strict=True)
            return [(horizontal.pixel(point), vertical.pixel(value)) for point, value, is_number in pairs if is_number]

        band = pixels(curve.means - errors) + pixels(curve.means + errors)[::-1]
        style = (CONTROL, next(dashes)) if curve.is_control else (next(colours), SOLID)
        yield _Line(pixels(curve.means), band, *style)


def _draw_grid(draw: ImageDraw.ImageDraw, horizontal: Axis, vertical: Axis) -> None:
    for x in map(horizontal.pixel, horizontal.ticks().values()):
        draw.line(_enlarged([(x, TOP), (x, BOTTOM)]), GRID, ENLARGEMENT)
    for y in map(vertical.pixel, vertical.ticks().values()):
        draw.line(_enlarged([(LEFT, y), (RIGHT, y)]), GRID, ENLARGEMENT)
    draw.rectangle(_enlarged([(LEFT, TOP), (RIGHT, BOTTOM)]), outline="black", width=ENLARGEMENT)


def _draw_line(draw: ImageDraw.ImageDraw, line: _Line) -> None:
    draw.polygon(_enlarged(line.band), fill=(*line.colour, BAND_OPACITY))
    for stroke in _strokes(line.middle, line.dashes):
        draw.line(_enlarged(stroke), line.colour, 2 * ENLARGEMENT, joint="curve")
    for x, y in _enlarged(line.middle):
        radius = 2.5 * ENLARGEMENT
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), line.colour)


def _strokes(line: Sequence[Point], dashes: Sequence[float]) -> Iterator[list[Point]]:
    """Cut a line into strokes along its length; without dashes it is one stroke."""
    corners = np.array(line)
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    begin, pattern = 0.0, cycle(dashes or (lengths[-1] + 1,))
    while begin < lengths[-1]:
        end = begin + next(pattern)
        inner = lengths[(lengths > begin) & (lengths < end)]
        places = np.concatenate([[begin], inner, [min(end, lengths[-1])]])
        yield [
            (float(x), float(y)) for x, y in zip(*(np.interp(places, lengths, side) for side in corners.T), strict=True)
        ]
        begin = end + (next(pattern) if dashes else 0.0)


def _write_labels(picture: Image.Image, title: str, axes: tuple[str, str], horizontal: Axis, vertical: Axis) -> None:
    draw, font = ImageDraw.Draw(picture), font_of(FONT_SIZE)
    middle = (LEFT + RIGHT) / 2
    draw.text((middle, TOP / 2), title, "black", font_of(FONT_SIZE + 3), anchor="mm")
    draw.text((middle, (BOTTOM + HEIGHT) / 2 + FONT_SIZE / 2), axes[0], "black", font, anchor="mm")
    for text, value in horizontal.ticks().items():
        draw.text((horizontal.pixel(value), BOTTOM + FONT_SIZE), text, "black", font, anchor="mm")
    for text, value in vertical.ticks().items():
        draw.text((LEFT - FONT_SIZE / 2, vertical.pixel(value)), text, "black", font, anchor="rm")
    upright = Image.new("L", (BOTTOM - TOP, 2 * FONT_SIZE), 0)
    ImageDraw.Draw(upright).text((upright.width / 2, FONT_SIZE), axes[1], 255, font, anchor="mm")
    picture.paste((0, 0, 0), (2, TOP), upright.transpose(Image.Transpose.ROTATE_90))


def _draw_legend(picture: Image.Image, lines: Mapping[str, _Line]) -> None:
    """Explain the lines in the corner that has fewest of their points."""
    draw, font = ImageDraw.Draw(picture, "RGBA"), font_of(FONT_SIZE)
    width = round(max((draw.textlength(label, font) for label in lines), default=0)) + 4 * FONT_SIZE
    height, space = round(1.4 * FONT_SIZE * len(lines)) + FONT_SIZE // 2, 8
    corners = [(x, y) for y in (TOP + space, BOTTOM - space - height) for x in (RIGHT - space - width, LEFT + space)]
    points = [point for line in lines.values() for point in line.middle]
    left, top = min(corners, key=lambda c: sum(c[0] < x < c[0] + width and c[1] < y < c[1] + height for x, y in points))
    draw.rounded_rectangle((left, top, left + width, top + height), 4, (255, 255, 255, 200), (*GRID, 255))
    for row, (label, line) in enumerate(lines.items()):
        y = top + FONT_SIZE + 1.4 * FONT_SIZE * row
        for stroke in _strokes([(left + 8, y), (left + 2.6 * FONT_SIZE, y)], line.dashes):
            draw.line(stroke, line.colour, 2)
        draw.text((left + 3.2 * FONT_SIZE, y), label, "black", font, anchor="lm")


def _one_line(text: str) -> str:
    """Write a name that may be anything in one line that has room in the figure."""
    return " ".join(text.split())[:LONGEST_TEXT]


def _enlarged(points: Sequence[Point]) -> list[Point]:
    return [(ENLARGEMENT * x, ENLARGEMENT * y) for x, y in points]
