"""Time relative to the lower bound and to alternatives, and the differences between results."""

from collections.abc import Callable, Iterator

import libraries
import naive
import official
from tables import Row, Table
from timing import Rounds, Work, interleaved, spread
from torch import Tensor
from workloads import Options, Workload, five_methods, four_metrics, resnet18, resnet50, vit_tiny

from lightning_saliency import explain, normalize, score
from lightning_saliency.methods import (
    ActiveGradient,
    GradCAM,
    GradCAMPlusPlus,
    Gradient,
    IntegratedGradients,
    Method,
    VarGrad,
)
from lightning_saliency.metrics import Infidelity, MaxSensitivity

Maps = dict[str, Tensor]
LIBRARIES = "libraries and authors' code, one after another"
NAIVE = "the same, batched and without parameters' gradients, one after another"
SUMS = {
    "explain + score": ("explain", "score"),
    "explain + score, bf16": ("explain", "score, bf16"),
    LIBRARIES: ("methods, libraries", "metrics, authors"),
    NAIVE: ("methods, naive", "metrics, naive"),
}


def everything(options: Options) -> Iterator[Table]:
    """Five methods and four metrics on three networks."""
    for make in (resnet18, vit_tiny, resnet50):
        yield _five_by_four(make(options), options.rounds)


def _five_by_four(work: Workload, rounds: int) -> Table:
    methods, metrics = five_methods(work), four_metrics()
    network, images, targets = work.network, work.images, work.targets
    maps = explain(network, images, targets, methods)
    one = maps["gradient"]
    # Libraries' activation maps are for networks with channels.
    theirs = libraries.GRADIENTS if work.has_tokens else libraries.METHODS
    alternatives = {**naive.METHODS, **official.METHODS, **theirs}
    works: dict[str, Work] = {
        "explain": lambda: explain(network, images, targets, methods),
        "score": lambda: score(network, images, maps, targets, metrics),
        "score, bf16": lambda: score(network, images, maps, targets, metrics, scoring_precision="bf16"),
        "methods, libraries": lambda: {name: method(work) for name, method in alternatives.items()},
        "methods, naive": lambda: {name: method(work) for name, method in naive.METHODS.items()},
        # For one map. Maps share nothing here, so the times are multiplied below.
        "metrics, authors": lambda: {name: metric(work, one) for name, metric in official.METRICS.items()},
        "metrics, naive": lambda: {name: metric(work, one) for name, metric in naive.METRICS.items()},
    }
    result = interleaved(works, network, images, rounds)
    for name in ("metrics, authors", "metrics, naive"):
        result.counts[name].forward *= len(maps)
        for durations in (result.times, result.bounds):
            durations[name] = [len(maps) * took for took in durations[name]]
    for durations in (result.times, result.bounds):
        for name, parts in SUMS.items():
            durations[name] = [sum(pair) for pair in zip(*(durations[part] for part in parts), strict=True)]
    notes = _differences(result, maps)
    rows = [_row(result, name, len(images), name.startswith("explain +"), notes.get(name)) for name in result.times]
    return Table(f"Five methods and four metrics: {work.name}", rows)


def _differences(result: Rounds, maps: Maps) -> dict[str, str]:
    """Compare results that must be equal: no SmoothGrad with other noise; scaled activation maps are normalised."""
    notes = {}
    for name in ("methods, libraries", "methods, naive"):
        theirs = {method: other for method, other in result.results[name].items() if method != "smooth_grad"}
        worst = max(difference(normalize(maps[method]), normalize(other)) for method, other in theirs.items())
        notes[name] = f"maps differ by {worst:.1e}"
    for name in ("metrics, authors", "metrics, naive"):
        ours = result.results["score"]["gradient"]
        worst = max(difference(ours[metric], other) for metric, other in result.results[name].items())
        notes[name] = f"scores differ by {worst:.1e}"
    return notes


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference in units of the largest value."""
    return float((ours - theirs.to(ours.device)).abs().max() / theirs.abs().max().clamp(min=1e-30))


def _row(result: Rounds, name: str, count: int, is_ours: bool = False, note: str | None = None) -> Row:
    milliseconds = spread([1000 * took / count for took in result.times[name]])
    row = {"work": name, "ms per image": str(milliseconds), "x lower bound": str(result.ratio(name))}
    if name in result.counts:
        counts = result.counts[name]
        row["forwards, backwards per image"] = f"{counts.forward / count:.4g}, {counts.backward / count:.4g}"
    row["libraries take"] = f"{result.against(name, LIBRARIES)} x" if is_ours else ""
    row["naive takes"] = f"{result.against(name, NAIVE)} x" if is_ours else ""
    row["results"] = note or ""
    return row


Alternative = tuple[str, Callable[[Workload], Tensor], bool]


def single_methods(options: Options) -> Iterator[Table]:
    """Each method alone, beside other implementations. Maps with other noise are not compared."""
    yield _single_methods(resnet18(options), options)
    yield _single_methods(resnet50(options), options, few=True)


def _single_methods(work: Workload, options: Options, *, few: bool = False) -> Table:
    steps = options.sized(50, 3)
    pairs: dict[Method, list[Alternative]] = {
        Gradient(): [("captum", libraries.captum_saliency, True), ("naive", naive.gradient, True)],
        GradCAM(work.layer): [
            ("captum", libraries.captum_grad_cam, True),
            ("pytorch-grad-cam", lambda work: libraries.pytorch_grad_cam(work).to(work.images), True),
            ("TorchCAM", libraries.torchcam_grad_cam, False),
        ],
        GradCAM(name="grad_cam, layer searched"): [("captum, layer named", libraries.captum_grad_cam, True)],
        GradCAMPlusPlus(work.layer): [("pytorch-grad-cam", libraries.pytorch_grad_cam_plus_plus, True)],
    }
    methods = five_methods(work, options.sized(20, 3))
    count = options.sized(20, 3)
    if not few:
        pairs |= {
            methods["positive_gradient"]: [
                ("naive", naive.positive_gradient, True),
                ("as its authors", official.positive_gradient, True),
            ],
            VarGrad(count): [
                ("captum", lambda work: libraries.captum_var_grad(work, count), False),
                ("naive", lambda work: naive.var_grad(work, count), True),
            ],
            methods["guided_absolute_grad"]: [
                ("naive", lambda work: naive.guided_absolute_grad(work, count), True),
            ],
            IntegratedGradients(steps, baseline="black"): [
                ("captum", lambda work: libraries.captum_integrated_gradients(work, steps), True),
                ("captum, batches of 64", lambda work: libraries.captum_integrated_gradients(work, steps, 64), True),
            ],
            ActiveGradient(): [
                ("naive", naive.active_gradient, True),
                ("as its authors", official.active_gradient, True),
            ],
        }
    pairs[methods["smooth_grad"]] = [
        ("captum", lambda work: libraries.captum_smooth_grad(work, count), False),
        ("naive", lambda work: naive.smooth_grad(work, count), True),
    ]
    rows = []
    for method, alternatives in pairs.items():
        rows += _beside(work, method, alternatives, options.rounds)
    return Table(f"One method alone: {work.name}", rows)


def _beside(work: Workload, method: Method, alternatives: list[Alternative], rounds: int) -> list[Row]:
    name: str = getattr(method, "name", "")
    works: dict[str, Work] = {name: lambda: method(work.network, work.images, work.targets)}
    works |= {other: lambda run=run: run(work) for other, run, _ in alternatives}  # type: ignore[misc]
    result = interleaved(works, work.network, work.images, rounds)
    ours = method(work.network, work.images, work.targets)
    rows = [{**_row(result, name, len(work.images)), "work": name}]
    for other, run, comparable in alternatives:
        note = f"differ by {_difference_of_maps(ours, run(work), scaled='grad-cam' in other):.1e}" if comparable else ""
        row = _row(result, other, len(work.images), note=note)
        rows.append({**row, "work": f"{name}: {other}", "ours takes": f"{result.against(other, name)} x"})
    return [_alone(row) for row in rows]


def _alone(row: Row) -> Row:
    return {key: cell for key, cell in row.items() if key not in ("libraries take", "naive takes")}


def _difference_of_maps(ours: Tensor, theirs: Tensor, *, scaled: bool) -> float:
    return difference(normalize(ours), normalize(theirs)) if scaled else difference(ours, theirs)


def single_metrics(options: Options) -> list[Table]:
    """Each metric alone for one map, beside other implementations."""
    work = resnet18(options)
    network, images, targets = work.network, work.images, work.targets
    gradient = {"gradient": Gradient()}
    maps = explain(network, images, targets, gradient)
    gradients = maps["gradient"]
    unscaled = Infidelity(num_samples=10, normalize=False, scale=False, name="infidelity, unscaled")
    rows = []
    others: dict[str, dict[str, Callable[[], Tensor | None]]] = {
        name: {"naive": lambda scorer=scorer: scorer(work, gradients)}  # type: ignore[misc]
        for name, scorer in naive.METRICS.items()
    }
    for name in official.LONGER_METRICS:
        others[name]["as its authors"] = lambda scorer=official.METRICS[name]: scorer(work, gradients)  # type: ignore[misc]
    others["infidelity, unscaled"] = {"captum": lambda: libraries.captum_infidelity(work, gradients)}
    others["max_sensitivity"] = {"captum": lambda: libraries.captum_max_sensitivity(work)}
    if libraries.has_quantus():
        others["max_sensitivity"]["Quantus"] = lambda: libraries.quantus_max_sensitivity(work)
    for name, metric in {**four_metrics(), unscaled.name: unscaled, "max_sensitivity": MaxSensitivity()}.items():

        def ours(metric: object = metric, name: str = name) -> Tensor:
            return score(network, images, maps, targets, {name: metric}, methods=gradient)["gradient"][name]  # type: ignore[dict-item]

        timed = interleaved({name: ours, **others[name]}, network, images, options.rounds)
        rows.append({**_row(timed, name, len(images)), "work": name})
        for other, run in others[name].items():
            theirs = run()
            random = name == "max_sensitivity" or theirs is None
            note = "" if random or theirs is None else f"differ by {difference(ours(), theirs):.1e}"
            row = _row(timed, other, len(images), note=note)
            rows.append({**row, "work": f"{name}: {other}", "ours takes": f"{timed.against(other, name)} x"})
    return [Table(f"One metric alone, one map: {work.name}", [_alone(row) for row in rows])]
