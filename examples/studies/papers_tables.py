"""Tables and the plot of `docs/papers-on-real-images.md`, from the rows that `papers.py` wrote.

Verdicts follow from `papers_plan.py` alone: no direction and no bound is chosen here.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from papers_plan import (
    ENOUGH,
    FIRST,
    LITE0,
    PERCENTILES,
    PUBLISHED_PERCENTILES,
    RESNET,
    SECOND,
    Claim,
    claims,
)

TABLE: Final = Path(__file__).with_name("papers.csv")
TESTED: Final = ((LITE0, SECOND), (RESNET, SECOND))
"""Where claims are tested. The first half only gives directions."""
LOWER_IS_BETTER: Final = ("allegiance", "allegiance_white", "deletion")
COLOURS: Final = {LITE0: "#00796b", RESNET: "#c2571a"}
Rows = Sequence[Mapping[str, str]]


class Gap(NamedTuple):
    """By how much the first map of a claim is better, over images."""

    mean: float
    stderr: float

    @property
    def z(self) -> float:
        """The mean in units of its standard error."""
        return self.mean / self.stderr if self.stderr else 0.0


def read(path: Path = TABLE) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def gap(rows: Rows, claim: Claim, network: str, half: str) -> Gap | None:
    """Compare the two maps of a claim on the same images; `None` where there are no rows."""
    both = [_values(rows, network, half, claim.question, claim.score, name) for name in (claim.better, claim.worse)]
    if min(map(len, both)) < 2:
        return None
    sign = -1 if claim.score in LOWER_IS_BETTER else 1
    return Gap(*_summary([sign * (better - worse) for better, worse in zip(*both, strict=True)]))


def directed(rows: Rows, claim: Claim) -> Claim | None:
    """Return a claim in the direction that the paper or the first half gives; `None` where neither does."""
    if claim.source != "first half":
        return claim
    first = gap(rows, claim, LITE0, FIRST)
    if first is None:
        return None
    return claim if first.mean >= 0 else claim._replace(better=claim.worse, worse=claim.better)


def verdict(gaps: Gap | None) -> str:
    """Say whether a claim holds."""
    if gaps is None:
        return ""
    return "holds" if gaps.z >= ENOUGH else "refuted" if gaps.z <= -ENOUGH else "open"


def table_of_claims(rows: Rows, question: str) -> str:
    """List the comparisons of a question: the paper's difference, ours with standard errors and z, and verdicts."""
    lines = [
        f"| score | better | worse | direction from | paper | {LITE0} | z | | {RESNET} | z | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for claim in _asked(question):
        aimed = directed(rows, claim)
        if aimed is not None:
            cells = [cell for place in TESTED for cell in _cells(gap(rows, aimed, *place))]
            start = [aimed.score.replace("_", " "), f"`{aimed.better}`", f"`{aimed.worse}`", aimed.source]
            lines.append(f"| {' | '.join([*start, _published(aimed), *cells])} |")
    return "\n".join(lines)


def table_of_means(rows: Rows, question: str) -> str:
    """List the mean score of every map with its standard error."""
    places = ((LITE0, FIRST), *TESTED)
    heads = [f"{network}, {half} half" if network == LITE0 else network for network, half in places]
    lines = [f"| score | map | {' | '.join(heads)} |", "| --- | --- | --- | --- | --- |"]
    names = dict.fromkeys((row["score"], row["map"]) for row in rows if row["question"] == question)
    for score, name in names:
        means = [_mean(_values(rows, *place, question, score, name)) for place in places]
        lines.append(f"| {score.replace('_', ' ')} | `{name}` | {' | '.join(means)} |")
    return "\n".join(lines)


def sizes(rows: Rows) -> str:
    """Say how many images each question had, and how long it took."""
    lines = ["| network | half | question | images | seconds |", "| --- | --- | --- | --- | --- |"]
    keys = dict.fromkeys((row["network"], row["half"], row["question"]) for row in rows)
    for key in sorted(keys):
        row = next(row for row in rows if (row["network"], row["half"], row["question"]) == key)
        lines.append(f"| {' | '.join(key)} | {row['images']} | {float(row['seconds']):.0f} |")
    return "\n".join(lines)


def summary(rows: Rows) -> str:
    """Count the verdicts by where the direction came from."""
    lines = ["| direction from | network | claims | hold | open | refuted |", "| --- | --- | --- | --- | --- | --- |"]
    for source in ("paper", "control", "first half"):
        aimed = [claim for claim in (directed(rows, claim) for claim in claims()) if claim and claim.source == source]
        for place in TESTED:
            words = [word for word in (verdict(gap(rows, claim, *place)) for claim in aimed) if word]
            counts = [str(words.count(word)) for word in ("holds", "open", "refuted")]
            lines.append(f"| {source} | {place[0]} | {len(words)} | {' | '.join(counts)} |")
    return "\n".join(lines)


def versions(rows: Rows) -> str:
    """Name the versions and the seed."""
    names = {
        f"torch {row['torch']}, lightning_saliency {row['lightning_saliency']}, seed {row['seed']}" for row in rows
    }
    return "; ".join(sorted(names))


def texts(rows: Rows) -> dict[str, str]:
    """Return everything that the page shows, by the name of its place."""
    questions = dict.fromkeys(claim.question for claim in claims())
    of_claims = {f"claims: {name}": table_of_claims(rows, name) for name in questions}
    means = {f"means: {name}": table_of_means(rows, name) for name in questions if name != "percentiles"}
    return {
        **of_claims,
        **means,
        "sizes": sizes(rows),
        "summary": summary(rows),
        "versions": versions(rows),
    }


def filled(page: str, parts: Mapping[str, str]) -> str:
    """Replace each table that stands between `<!-- name -->` and the next `<!-- end -->`."""
    for name, text in parts.items():
        before, mark, after = page.partition(f"<!-- {name} -->\n")
        if mark:
            page = f"{before}{mark}\n{text}\n\n<!-- end -->{after.partition('<!-- end -->')[2]}"
    return page


def plot(rows: Rows, path: Path) -> None:
    """Draw the scores of the four questions, with the paper's RCAP by percentile."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    (order, rise), (layers, mark) = figure.subplots(2, 2)
    _dots(order, rows, "order", "rcap", [name for name in _maps(rows, "order", "rcap") if _is_rival(name)])
    order.set_title("RCAP by method", fontsize="medium")
    _percentile_curves(rise, rows)
    _dots(layers, rows, "layers", "insertion", _maps(rows, "layers", "insertion"))
    layers.set_title("Insertion by map and layer", fontsize="medium")
    _dots(mark, rows, "watermark", "relevance in the box", _maps(rows, "watermark", "relevance in the box"))
    mark.set_title("Relevance in the watermark's box", fontsize="medium")
    figure.legend(*rise.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _dots(axes: Axes, rows: Rows, question: str, score: str, names: Sequence[str]) -> None:
    """Draw a dot with its standard error for each map, the best on the first network above."""
    centres = {name: mean(_values(rows, *TESTED[0], question, score, name)) for name in names}
    names = sorted(names, key=centres.__getitem__)
    for shift, place in ((0.12, TESTED[0]), (-0.12, TESTED[1])):
        values = [_values(rows, *place, question, score, name) for name in names]
        if all(values):
            means, errors = zip(*map(_summary, values), strict=True)
            heights = [row + shift for row in range(len(names))]
            axes.errorbar(means, heights, xerr=errors, fmt="o", markersize=4, color=COLOURS[place[0]], label=place[0])
    axes.set_yticks(range(len(names)), names, fontsize="x-small")
    axes.grid(axis="x", alpha=0.3)


def _percentile_curves(axes: Axes, rows: Rows) -> None:
    for place in TESTED:
        values = [_values(rows, *place, "order", "rcap", f"guided {value}") for value in PERCENTILES]
        if all(values):
            means, errors = zip(*map(_summary, values), strict=True)
            axes.errorbar(PERCENTILES, means, errors, marker="o", markersize=4, color=COLOURS[place[0]], label=place[0])
    published = PUBLISHED_PERCENTILES
    axes.plot([*published], [*published.values()], "k--", label="paper: ResNet-50, ImageNet-S")
    axes.set_title("RCAP by percentile of the guide", fontsize="medium")
    axes.grid(alpha=0.3)


def _asked(question: str) -> list[Claim]:
    return [claim for claim in claims() if claim.question == question]


def _is_rival(name: str) -> bool:
    """Whether a map belongs to the comparison of methods: one percentile of the guide stands for all."""
    return not name.startswith("guided ") or name == "guided 0.85"


def _maps(rows: Rows, question: str, score: str) -> list[str]:
    return [*dict.fromkeys(row["map"] for row in rows if (row["question"], row["score"]) == (question, score))]


def _values(rows: Rows, network: str, half: str, question: str, score: str, name: str) -> list[float]:
    """Return the scores of all images; the percentiles' maps are among those of the order."""
    key = (network, half, "order" if question == "percentiles" else question, score, name)
    for row in rows:
        if (row["network"], row["half"], row["question"], row["score"], row["map"]) == key:
            return [float(value) for value in row["values"].split()]
    return []


def _summary(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return mean(values), stdev(values) / len(values) ** 0.5


def _cells(gaps: Gap | None) -> tuple[str, str, str]:
    return ("", "", "") if gaps is None else (" ".join(_bracketed(*gaps)), f"{gaps.z:.1f}", verdict(gaps))


def _published(claim: Claim) -> str:
    return "" if claim.published is None else f"{_number(claim.published[0])}, {_number(claim.published[1])}"


def _mean(values: Sequence[float]) -> str:
    return " ".join(_bracketed(*_summary(values))) if len(values) > 1 else ""


def _bracketed(centre: float, stderr: float) -> tuple[str, str]:
    return _number(centre), f"({_number(stderr)})"


def _number(value: float) -> str:
    """Write three digits after the point, without a zero before it."""
    text = f"{round(value, 3) + 0.0:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--plot", type=Path, help="where the plot is written")
    parser.add_argument("--fill", type=Path, help="page whose tables are replaced")
    options = parser.parse_args()
    rows = read(options.table)
    if options.plot is not None:
        plot(rows, options.plot)
    if options.fill is not None:
        page = options.fill.read_text(encoding="utf-8")
        options.fill.write_text(filled(page, texts(rows)), encoding="utf-8")
    if options.plot is None and options.fill is None:
        for name, text in texts(rows).items():
            print(f"## {name}\n\n{text}\n")
