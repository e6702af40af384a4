"""A text for those who look at the numbers: what they mean, and what they were made of."""

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial

from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.metrics._canvas_metric import OutcomeMetric
from lightning_saliency.monitor._class_table import class_table
from lightning_saliency.monitor._markup import escaped
from lightning_saliency.monitor._scalars import Scalar
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluation import Evaluation, fingerprint_of
from lightning_saliency.monitor.preflight import Preflight, versions
from lightning_saliency.names import CUES, WORST, LoggedName
from lightning_saliency.targets import Target


def card(
    evaluation: Evaluation, settings: Settings, values: Mapping[str, Scalar], preflight: Preflight, swaps: str = ""
) -> str:
    """Write the card in Markdown, of the scores that there are.

    Args:
        evaluation: Results of the first evaluation.
        settings: The monitor's settings.
        values: Values by name, for the controls' scores.
        preflight: The subject and the cost.
        swaps: A sentence on the cues that are swapped in training.
    """
    indices = evaluation.indices.tolist()
    names = {metric for _, metric in evaluation.scores}
    scored = {name: metric for name, metric in settings.metrics.items() if name in names}
    parts = [
        f"# {escaped(settings.name)}",
        f"Means over {len(indices)} images, the same ones each time. "
        "`_vs_random` is the margin over a random map image by image: positive is better whatever the direction, and "
        "near zero the score says nothing about these maps. Standard errors are in `evaluations.csv`, and logged as "
        "`_stderr` where a callback or `log` asks for them.",
        f"Explained is {escaped(preflight.target)} of {escaped(preflight.network)}.",
        "\n".join(f"- {escaped(fact)}" for fact in [*preflight.facts, preflight.cost]),
        "## Scores",
        "\n".join(_score_line(name, metric, settings, values) for name, metric in scored.items()),
        "## Methods",
        "\n".join(_method_line(name, method) for name, method in settings.all_methods.items()),
        *_readings(settings),
        *_cue_lines(settings, values),
        escaped(swaps),
        "## Beside the scores",
        *_drift_lines(settings),
        "`blank` counts constant maps, `invalid` maps that are not finite. "
        f"Seed of the subset, the noise and the controls: {settings.seed}.",
        class_table(evaluation, settings),
        _colours_line(evaluation),
        f"## Images\n\nIndices in the data: {', '.join(map(str, indices))}. "
        f"Fingerprint of these images: {fingerprint_of(evaluation)}. Computed by {versions()}.",
    ]
    return "\n\n".join(part for part in parts if part)


def _cue_lines(settings: Settings, values: Mapping[str, Scalar]) -> list[str]:
    """Explain the cues, with how much each is followed, in the mean and by its worst class."""
    names = [cue.name for cue in settings.cues if str(LoggedName(settings.name, cue.name, CUES)) in values]
    if not names:
        return []
    sentence = (
        "A cue of one image is put into images of other classes. The value is the share of them that go over to the "
        "class of the donor, less the share with donors of other classes; beside it is that of the worst class. "
        "`alarm` is 1 where a cue is over its bound, and 2 where it is confirmed."
    )
    return ["## What the network follows", sentence, "\n".join(_cue_line(name, settings, values) for name in names)]


def _cue_line(cue: str, settings: Settings, values: Mapping[str, Scalar]) -> str:
    mean = _with_error(values, LoggedName(settings.name, cue, CUES))
    worst = _with_error(values, LoggedName(settings.name, cue + WORST, CUES))
    allowed = ", allowed" if cue in settings.allow else ""
    return _item(cue, f"{mean}{f', worst class {worst}' if worst else ''}{allowed}.")


def _colours_line(evaluation: Evaluation) -> str:
    """Say how images were normalised, and where that is stated."""
    colours = evaluation.colours
    if colours is None:
        return ""
    if colours.normalization is None:
        return f"How images were normalized is unknown: {escaped(colours.source)}."
    mean, std = (
        ", ".join(f"{value:.4g}" for value in values)
        for values in (colours.normalization.mean, colours.normalization.std)
    )
    return f"Images were normalized with mean {mean} and std {std}, by {escaped(colours.source)}."


def _drift_lines(settings: Settings) -> list[str]:
    """Explain the drift measures, in a list after a sentence on all of them."""
    if not settings.drift:
        return []
    items = (
        _item(f"drift_{measure.name}", f"{measure.text}, {measure.no_change:g} where maps have not changed.")
        for measure in settings.drift
    )
    best = "" if settings.best is None else f", with `_best` of the one with the best {escaped(settings.best)}"
    sentence = f"Drift compares maps with those of the previous evaluation, with `_first` of the first{best}."
    return [sentence, "\n".join(items)]


def _score_line(name: str, metric: ExplanationMetric, settings: Settings, values: Mapping[str, Scalar]) -> str:
    direction = "higher" if metric.higher_is_better else "lower"
    scores = {control: _with_error(values, LoggedName(settings.name, name, control)) for control in settings.controls}
    controls = "".join(f", {control} {score}" for control, score in scores.items() if score)
    return _item(name, f"{_meaning(metric)} {_range(metric, settings)}, {direction} is better{controls}.")


def _method_line(name: str, method: object) -> str:
    options = _hyperparameters(method)
    return _item(name, _first_line(_documented(method)) + (f" With {options}." if options else ""))


def _item(name: str, text: str) -> str:
    """Write an item of a list."""
    return f"- **{escaped(name)}**: {escaped(text)}"


def _readings(settings: Settings) -> list[str]:
    readings = dict.fromkeys(getattr(method, "reading", "") for method in settings.methods.values())
    return [escaped(reading) for reading in readings if reading]


def _hyperparameters(method: object) -> str:
    if not is_dataclass(method):
        return ""
    return ", ".join(
        f"{field.name}={getattr(method, field.name)!r}" for field in fields(method) if field.name != "name"
    )


def _documented(method: object) -> object:
    """Find what has a docstring of its own: functions have one, and of other objects their classes."""
    inner = method.func if isinstance(method, partial) else method
    return inner if inspect.isroutine(inner) else type(inner)


def _meaning(metric: ExplanationMetric) -> str:
    return _first_line(type(metric))


def _first_line(documented: object) -> str:
    # Nothing is there where Python was told to drop docstrings, or where there never was one.
    return (documented.__doc__ or "").strip().split("\n", maxsplit=1)[0]


def _range(metric: ExplanationMetric, settings: Settings) -> str:
    has_probability = not isinstance(settings.target, Target) or "probability" in settings.target.offers
    if isinstance(metric, OutcomeMetric) and not has_probability:
        return "Any number, in the unit of the output"
    low, high = metric.plot_lower_bound, metric.plot_upper_bound
    if low is None:
        return "Any number"
    return f"From {low:g}" if high is None else f"{low:g} to {high:g}"


def _with_error(values: Mapping[str, Scalar], name: LoggedName) -> str:
    scalar = values.get(str(name))
    if scalar is None:
        return ""
    return f"{scalar.value:.3f}" if scalar.error is None else f"{scalar.value:.3f} ± {scalar.error:.3f}"
