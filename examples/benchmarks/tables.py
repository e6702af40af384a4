"""The benchmark's output: Markdown tables, their figures as JSON, and a plot."""

import itertools
import json
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.figure
from matplotlib.ticker import LogLocator

Row = dict[str, str]
Points = dict[str, dict[float, float]]


@dataclass
class Table:
    """Rows under a title; curves are drawn, each a mapping from x to y.

    Attributes:
        title: Heading.
        rows: Cells by column.
        curves: Curves by label.
        axes: Labels of x and y; empty if nothing is drawn.
    """

    title: str
    rows: list[Row]
    curves: Points = field(default_factory=dict)
    axes: tuple[str, str] = ("", "")

    def markdown(self) -> str:
        """Write the table."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        lines = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in self.rows)]
        return f"## {self.title}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def write(tables: list[Table], folder: Path, heading: str) -> None:
    """Write all tables, their figures and the plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.md").write_text("\n".join([heading, *(table.markdown() for table in tables)]))
    figures = [{"title": table.title, "rows": table.rows, "curves": table.curves} for table in tables]
    (folder / "benchmark.json").write_text(json.dumps(figures, indent=1))
    plotted = [table for table in tables if table.curves]
    if plotted:
        plot(plotted, folder / "benchmark.png")


def plot(tables: list[Table], path: Path) -> None:
    """Draw one panel for each table with logarithmic axes and ticks at the measured numbers."""
    columns = 3 if len(tables) > 4 else min(2, len(tables))
    rows = -(-len(tables) // columns)
    figure = matplotlib.figure.Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    for place, table in enumerate(tables):
        axes = figure.add_subplot(rows, columns, place + 1)
        for (label, curve), style in zip(table.curves.items(), itertools.cycle(("-", "--", ":", "-.")), strict=False):
            axes.plot(list(curve), list(curve.values()), style, marker="o", label=label)
        axes.set(xscale="log", yscale="log", xlabel=table.axes[0], ylabel=table.axes[1])
        numbers = sorted({number for curve in table.curves.values() for number in curve})
        axes.set_xticks(numbers, labels=[f"{number:g}" for number in numbers])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter("")
        axes.set_title(textwrap.fill(table.title, 44), fontsize="small")
        axes.grid(visible=True, alpha=0.4)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)
