"""Which values a monitor computes, and which direction is better."""

from lightning_saliency.monitor.config import Settings
from lightning_saliency.names import ALARM, CONFLICT, COSTS, COUNTS, CUES, SINCE, WORST, LoggedName


def values_of_methods(settings: Settings) -> list[LoggedName]:
    """List the values that a monitor may compute of its methods, without standard errors."""
    monitor = settings.name
    names = [LoggedName(monitor, metric, method) for method in settings.all_methods for metric in settings.metrics]
    for method in settings.methods:
        names += [
            LoggedName(monitor, metric, method, control) for metric in settings.metrics for control in settings.controls
        ]
        names += [
            LoggedName(monitor, measure.name, method, since=since)
            for measure in settings.drift
            for since in SINCE
            if since != "best" or settings.best is not None
        ]
        names += [LoggedName(monitor, count, method) for count in COUNTS]
    return names


def values_of_cues(settings: Settings) -> list[LoggedName]:
    """List the values that a monitor may compute of the cues of its arguments, without standard errors."""
    return [
        LoggedName(settings.name, cue.name + suffix, CUES)
        for cue in settings.cues
        for suffix in ("", WORST, *((CONFLICT,) if cue.evidence == "conflict" else ()))
    ]


def logged_names(settings: Settings) -> dict[str, bool | None]:
    """List what a monitor may compute, with its direction: whether higher is better, `None` where neither is."""
    directions = {name: metric.higher_is_better for name, metric in settings.metrics.items()}
    directions |= {measure.name: measure.higher_is_better for measure in settings.drift}
    names = [LoggedName(settings.name, cost) for cost in COSTS]
    if settings.cues:
        names.append(LoggedName(settings.name, ALARM))
    for name in values_of_cues(settings):
        names += [name, name.of("stderr")]
    for name in values_of_methods(settings):
        names += [name] if name.kind == "count" else [name, name.of("stderr")]
    return {str(name): name.higher_is_better(directions) for name in names}
