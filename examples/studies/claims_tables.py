"""Fills the tables of `docs/studies.md`, and one of `docs/metrics.md`, from the rows that studies wrote.

Comparisons are those of `claims.py` and `discrimination.py`, mean scores those of `cam_study.py`, and means on digits
those of `study.py`. A table follows a comment with its name and ends at the next empty line.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
PAGES: Final = [FOLDER.parents[1] / "docs" / name for name in ("studies.md", "metrics.md")]
CLEAR: Final = 3.0
"""A claim is confirmed from this number of standard errors on."""
OPEN: Final = 2.0
"""Below this number of standard errors nothing is confirmed."""
AGAINST_RANDOM: Final = "explanations beat random maps"
COMPARED: Final = ("gradient", "smooth_grad", "guided_absolute_grad", "grad_cam")
CLAIMS: Final = {
    "the paper's order": "RCAP orders the methods ([2404.15564](https://arxiv.org/abs/2404.15564))",
    "magnitude and guide each help": "magnitudes and the guide each help (the same)",
    "a higher percentile helps": "a higher percentile of the guide helps (the same)",
    "signed gradients win allegiance over the gradient": (
        "gradients by sign win allegiance, where lower is better ([2309.12913](https://arxiv.org/abs/2309.12913))"
    ),
    "signed gradients win allegiance over the gradient on other canvases": "the same on other canvases",
    "positive maps ignore the class": "positive maps ignore the class ([2012.00362](https://arxiv.org/abs/2012.00362))",
    "positive maps ignore the parameters": "positive maps ignore the parameters (the same)",
    "references help where the head is curved": (
        "Expected Grad-CAM is better where the head is not linear ([2406.01274](https://arxiv.org/abs/2406.01274))"
    ),
}
NETWORKS: Final = {
    "resnet10t": "ResNet",
    "vgg11_bn": "VGG",
    "mobilenetv2_050": "MobileNet",
    "convnext_atto": "ConvNeXt",
    "vit_tiny_r_s16_p8_224": "ViT",
}
Rows = Sequence[Mapping[str, str]]


def read(name: str) -> Rows:
    """Read the rows of a study."""
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def texts() -> dict[str, str]:
    """Return all tables by name."""
    cams, discrimination = read("cam_study"), read("discrimination")
    others = [row for row in discrimination if row["claim"] != AGAINST_RANDOM]
    return {
        "claims": table_of_claims([*read("claims"), *others]),
        "random maps": table_of_random_maps(discrimination),
        **{part: table_of_scores(cams, part) for part in dict.fromkeys(row["part"] for row in cams)},
        "networks": table_of_networks(read("textured_digits")),
    }


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with these tables."""
    for name, table in tables.items():
        start = f"<!-- {name} -->\n\n"
        if start in page:
            before, after = page.split(start)
            page = before + start + table + "\n" + re.sub(r"^(.+\n)*", "", after)
    return page


def table_of_claims(rows: Rows) -> str:
    """List every comparison with the means of both sides, and what follows for the claim."""
    lines = [
        "| claim | score | higher | lower | difference | z | here |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    last = ""
    for row in rows:
        claim = "" if row["claim"] == last else CLAIMS.get(row["claim"], row["claim"])
        sides = [f"{row[side]}: {_short(row[f'{side}_mean'])}" for side in ("higher", "lower")]
        difference = f"{_short(row['difference'])} ({_short(row['stderr'])})"
        ratio = float(row["ratio"])
        lines.append(f"| {' | '.join([claim, row['score'], *sides, difference, f'{ratio:.1f}', verdict(ratio)])} |")
        last = row["claim"]
    return "\n".join(lines)


def verdict(ratio: float) -> str:
    """Say what a difference in units of its standard error tells about the claim."""
    if math.isnan(ratio) or abs(ratio) < OPEN:
        return "not confirmed"
    strength = "" if abs(ratio) >= CLEAR else "weakly "
    return f"{strength}confirmed" if ratio > 0 else f"**{strength}contradicted**"


def table_of_random_maps(rows: Rows) -> str:
    """List how well each metric tells the maps of some methods from random ones."""
    claim = [row for row in rows if row["claim"] == AGAINST_RANDOM]
    ratios = {(row["score"], side): float(row["ratio"]) for row in claim for side in (row["higher"], row["lower"])}
    lines = [f"| metric | {' | '.join(f'`{name}`' for name in COMPARED)} |", "| --- |" + " --- |" * len(COMPARED)]
    for metric in dict.fromkeys(row["score"] for row in claim):
        cells = [_bold_below_zero(ratios[metric, method]) for method in COMPARED]
        lines.append(f"| `{metric}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_scores(rows: Rows, part: str) -> str:
    """List mean scores of every method by every metric, for one part of a study."""
    cells = {(row["method"], row["metric"]): row for row in rows if row["part"] == part}
    names, metrics = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    lines = [f"| method | {' | '.join(f'`{name}`' for name in metrics)} |", "| --- |" + " --- |" * len(metrics)]
    for name in names:
        scores = [f"{_short(cells[name, each]['mean'])} ({_short(cells[name, each]['stderr'])})" for each in metrics]
        lines.append(f"| {name} | {' | '.join(scores)} |")
    return "\n".join(lines)


def table_of_networks(rows: Rows) -> str:
    """List relevance mass on the digit, then RCAP, of every method on every network."""
    cells = {(row["network"], row["method"]): row for row in rows}
    accuracies = {row["network"]: row["accuracy"] for row in rows}
    lines = [f"| method | {' | '.join(NETWORKS.values())} |", "| --- |" + " --- |" * len(NETWORKS)]
    lines.append(f"| accuracy | {' | '.join(_short(accuracies[name]) for name in NETWORKS)} |")
    for method in dict.fromkeys(row["method"] for row in rows):
        of_method = [cells[name, method] for name in NETWORKS]
        both = [f"{_bracketed(row['relevance_mass'])}, {_bracketed(row['rcap'])}" for row in of_method]
        lines.append(f"| `{method}` | {' | '.join(both)} |")
    return "\n".join(lines)


def _bracketed(cell: str) -> str:
    mean, error = cell.split(" ± ")
    return f"{float(mean):.2f} ({float(error):.2f})"


def _short(number: str) -> str:
    return f"{float(number):.3f}"


def _bold_below_zero(ratio: float) -> str:
    return f"**{ratio:.1f}**" if ratio < 0 else f"{ratio:.1f}"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), texts()), encoding="utf-8")
