"""Time against the number of samples, of classes, and of images."""

from collections.abc import Callable

import libraries
import naive
import official
import torch
from tables import Points, Row, Table
from timing import interleaved, spread
from workloads import Options, Workload, resnet18

from lightning_saliency import explain, score
from lightning_saliency.methods import ActiveGradient, GradCAM, GuidedAbsoluteGrad, Method, RandomMap, SmoothGrad
from lightning_saliency.metrics import RCAP, Allegiance

MOST_CAPTUM_SAMPLES = 100


def _table(title: str, axis: str, curves: Points) -> Table:
    numbers = sorted({number for curve in curves.values() for number in curve})
    rows: list[Row] = []
    for number in numbers:
        cells = {label: f"{curve[number]:.3g} s" for label, curve in curves.items() if number in curve}
        rows.append({axis: f"{number:.0f}", **cells})
    return Table(title, rows, curves, (axis, "seconds"))


def _timed(work: Workload, works: dict[str, Callable[[], object]], number: int, rounds: int, curves: Points) -> None:
    result = interleaved(works, work.network, work.images, rounds)
    for label, times in result.times.items():
        curves.setdefault(label, {})[float(number)] = spread(times).median


def samples(options: Options) -> list[Table]:
    """SmoothGrad; captum, whose default is one batch of all copies, up to the count that fits into memory."""
    work = resnet18(options, batch=8)
    curves: Points = {}
    for count in (2, 4) if options.quick else (10, 20, 50, 100, 200):
        works: dict[str, Callable[[], object]] = {
            "lightning_saliency": lambda n=count: SmoothGrad(n)(work.network, work.images, work.targets)  # type: ignore[misc]
        }
        if count <= MOST_CAPTUM_SAMPLES:
            works["captum"] = lambda n=count: libraries.captum_smooth_grad(work, n)  # type: ignore[misc]
        _timed(work, works, count, options.rounds, curves)
    return [_table("SmoothGrad: ResNet-18 at 64 px, 8 images", "samples", curves)]


def classes(options: Options) -> list[Table]:
    """Active maps, which need a backward for every class."""
    curves: Points = {}
    for count in (3, 6) if options.quick else (10, 100, 1000):
        work = resnet18(options, size=32, batch=8, classes=count)
        works: dict[str, Callable[[], object]] = {
            "lightning_saliency": lambda work=work: ActiveGradient()(work.network, work.images, work.targets),  # type: ignore[misc]
            "naive": lambda work=work: naive.active_gradient(work),  # type: ignore[misc]
            "as its authors": lambda work=work: official.active_gradient(work),  # type: ignore[misc]
        }
        _timed(work, works, count, options.rounds, curves)
    return [_table("Active maps: ResNet-18 at 32 px, 8 images", "classes", curves)]


def images(options: Options) -> list[Table]:
    """The default monitor's methods, control and metrics."""
    curves: Points = {}
    methods: list[Method] = [GuidedAbsoluteGrad(), GradCAM(), RandomMap()]
    metrics = [RCAP(), Allegiance()]
    for count in (2, 4) if options.quick else (16, 64, 256, 1024):
        work = resnet18(options, size=32, batch=min(count, 64))
        many = work.images.repeat(-(-count // len(work.images)), 1, 1, 1)[:count]
        targets = torch.zeros(count, dtype=torch.int64, device=many.device)

        def both(work: Workload = work, many: torch.Tensor = many, targets: torch.Tensor = targets) -> None:
            maps = explain(work.network, many, targets, methods)
            score(work.network, many, maps, targets, metrics)

        _timed(work, {"explain + score": both}, count, options.rounds, curves)
    return [_table("Default methods and metrics: ResNet-18 at 32 px", "images", curves)]
