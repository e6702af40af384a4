"""Every method and every metric at 224 pixels: time relative to the lower bound that its passes set."""

import csv
import dataclasses
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from tables import Row, Table
from timing import Spread, Work, interleaved
from workloads import Options, Workload, lite0, resnet50

from lightning_saliency import methods, metrics, score
from lightning_saliency.methods import GradCAM, Gradient, IntegratedGradients, SaliencyMethod
from lightning_saliency.metrics import CompletenessGap, ExplanationMetric

ROWS: Final = Path(__file__).with_name("members.csv")
COLUMNS: Final = ("network", "kind", "member", "ratio", "low", "high", "forwards", "backwards", "ms")
FEW: Final = 5
"""Samples, steps, classes and references: with few of them, what is done beside the passes weighs more."""
LIMIT: Final = 1.25
"""A member above this many times its lower bound is timed twice: the machine may have been busy."""
FEWER: Final = {"num_samples": FEW, "num_steps": FEW, "steps": FEW, "classes": FEW}


def members(options: Options) -> Iterator[Table]:
    """Time all methods and metrics on two networks, one after another, and keep a row of each in `members.csv`.

    Members that the file has are not timed again, except once those above the limit. A quick run neither reads nor
    writes it.
    """
    path = Path(os.devnull) if options.quick else ROWS
    for make in (lite0, resnet50):
        work = make(options, batch=2)
        network = work.name.split(" at ")[0]
        for kind, timed in (("method", _methods(work)), ("metric", _metrics(work))):
            rows = [row for row in read(path) if (row["network"], row["kind"]) == (network, kind)]
            for name, run in timed.items():
                while _is_due([row for row in rows if row["member"] == name], options):
                    rows.append({"network": network, "kind": kind, "member": name, **_measured(work, run, options)})
                    _append(path, rows[-1])
            yield Table(f"Every {kind}: {work.name}", [_cells(row) for row in rows])


def read(path: Path = ROWS) -> list[Row]:
    """Read the rows."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _is_due(runs: list[Row], options: Options) -> bool:
    repeats = not options.quick and len(runs) == 1
    return not runs or (repeats and float(runs[0]["ratio"]) > LIMIT)


def _append(path: Path, row: Row) -> None:
    is_new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _cells(row: Mapping[str, str]) -> Row:
    return {
        row["kind"]: row["member"],
        "x lower bound": str(Spread(*(float(row[name]) for name in ("ratio", "low", "high")))),
        "forwards, backwards per image": f"{row['forwards']}, {row['backwards']}",
        "ms per image": row["ms"],
    }


def _measured(work: Workload, run: Work, options: Options) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = interleaved({"it": run}, work.network, work.images, options.rounds)
    count, counts = len(work.images), result.counts["it"]
    has_passes = counts.forward + counts.backward > 0
    ratio = result.ratio("it") if has_passes else Spread(*[float("nan")] * 3)
    return {
        **{name: f"{value:.3f}" for name, value in zip(("ratio", "low", "high"), ratio, strict=True)},
        "forwards": f"{counts.forward / count:.4g}",
        "backwards": f"{counts.backward / count:.4g}",
        "ms": f"{1000 * median(result.times['it']) / count:.4g}",
    }


def _methods(work: Workload) -> dict[str, Work]:
    references = work.images.roll(1, dims=3)[:1].repeat(FEW, 1, 1, 1) + torch.arange(FEW).reshape(-1, 1, 1, 1) / FEW
    kinds = [getattr(methods, name) for name in methods.__all__ if name not in ("Method", "SaliencyMethod")]
    # Score-CAM and Ablation-CAM need a forward for each channel of the layer.
    narrow = {"layer": work.narrow_layer}
    special: dict[type, dict[str, Any]] = {
        methods.IDGI: {"around": IntegratedGradients(FEW)},
        methods.ScoreCAM: narrow,
        methods.AblationCAM: narrow,
    }
    made = [_made(kind, {"references": references, **special.get(kind, {})}) for kind in kinds]
    return {type(each).__name__: _explaining(each, work) for each in made}


def _made(kind: type, further: Mapping[str, Any]) -> Any:
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in (FEWER | dict(further)).items() if name in fields})


def _explaining(method: SaliencyMethod, work: Workload) -> Work:
    return lambda: method(work.network, work.images, work.targets)


def _metrics(work: Workload) -> dict[str, Work]:
    kinds = [getattr(metrics, name) for name in metrics.__all__]
    kinds = [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, ExplanationMetric)]
    return {kind.__name__: _scoring(kind, work) for kind in kinds if not inspect.isabstract(kind)}


def _scoring(kind: Any, work: Workload) -> Work:
    fields = {field.name for field in dataclasses.fields(kind.Spec)}
    metric = kind(**{name: value for name, value in FEWER.items() if name in fields and name != "classes"})
    method = IntegratedGradients(2) if kind is CompletenessGap else Gradient()
    maps = {"it": GradCAM(work.layer)(work.network, work.images, work.targets)}
    masks = torch.zeros_like(maps["it"], dtype=torch.bool)
    masks[:, : work.size[0] // 2] = True
    needs = {"methods": {"it": method}, "masks": masks}
    options: dict[str, Any] = {name: needs[name] for name in metric.needs}
    return lambda: score(work.network, work.images, maps, work.targets, {"it": metric}, **options)
