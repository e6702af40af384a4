"""The plot of the study of metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib import colormaps
from matplotlib.figure import Figure

COLUMNS: Final = {
    "z_random": "z over random maps",
    "z_edges": "z over edges",
    "z_grid": "z of the cell that is read",
    "order": "order of noise",
    "confidence": "correlation with confidence",
}
BOUNDS: Final = {"z_random": 3, "z_edges": 3, "z_grid": 3, "order": 0.9, "confidence": 0.3}
LIMITS: Final = {"z_random": (-15, 25), "z_edges": (-15, 25), "z_grid": (-15, 25)}


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw each metric as a line, one panel a column, one point a network, and the bounds of the rule."""
    metrics, networks = (list(dict.fromkeys(row[key] for row in rows)) for key in ("metric", "network"))
    figure = Figure(figsize=(14, 5), layout="constrained")
    panels = figure.subplots(1, len(COLUMNS), sharey=True)
    for panel, (column, title) in zip(panels, COLUMNS.items(), strict=True):
        for number, network in enumerate(networks):
            points = [row for row in rows if row["network"] == network and row.get(column) not in (None, "")]
            low, high = LIMITS.get(column, (-1, 1))
            # Points beyond the limits are drawn at them.
            places = [min(max(float(row[column]), low), high) for row in points]
            heights = [metrics.index(row["metric"]) for row in points]
            panel.scatter(places, heights, s=18, color=colormaps["tab10"](number), label=network)
        panel.axvline(BOUNDS[column], color="black", linewidth=0.8)
        panel.set_title(title, fontsize="small")
        panel.grid(axis="y", linewidth=0.3)
    panels[0].set_yticks(range(len(metrics)), metrics)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(path, dpi=90)
