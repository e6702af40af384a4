"""Which of the values that an evaluation computes are logged."""

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from lightning_saliency.monitor._logged_names import values_of_methods
from lightning_saliency.monitor._scalars import Scalar, named_values
from lightning_saliency.monitor.config import Settings
from lightning_saliency.names import LoggedName


def is_logged(text: str, settings: Settings, asked: Collection[str] = ()) -> bool:
    """Return whether a value of a monitor is logged, by its name alone.

    Args:
        text: Name of the value, its standard error or a bound of its band, with the monitor's name.
        settings: The monitor's settings, whose `log` holds patterns.
        asked: Names that callbacks and schedulers read.
    """
    return text in asked or _is_default(text, settings) or any(_matches(each, text, settings) for each in settings.log)


def logged_values(scalars: Mapping[str, Scalar], settings: Settings, asked: Collection[str] = ()) -> dict[str, float]:
    """Return the values that are logged, by name.

    Args:
        scalars: Everything that an evaluation computed.
        settings: The monitor's settings.
        asked: Names that callbacks and schedulers read.
    """
    values = named_values(scalars, settings.name)
    return {name: value for name, value in values.items() if is_logged(name, settings, asked)}


def complaints_about_log(scalars: Mapping[str, Scalar], settings: Settings) -> dict[str, str]:
    """Say which patterns of `log` no value has matched, by a key that lets each be said once; drift may still come."""
    names = [*named_values(scalars, settings.name), *_names_of_drift(settings)]
    return {
        f"log {pattern}": f"No value is named like {pattern!r} in `log`, so it adds nothing. Write names as in "
        f"`evaluations.csv` or `monitor.history`, without '{settings.name}/'."
        for pattern in settings.log
        if not any(_matches(pattern, name, settings) for name in names)
    }


def _is_default(text: str, settings: Settings) -> bool:
    """Take values of methods and of the evaluation, without errors and without the controls' own scores."""
    name = LoggedName.parse(text, settings.name)
    if name is None or name.part != "value" or name.method in settings.controls:
        return False
    return name.kind != "cue" or name.quantity in {cue.name for cue in settings.cues}


def _matches(pattern: str, text: str, settings: Settings) -> bool:
    return fnmatchcase(text.removeprefix(f"{settings.name}/"), pattern)


def _names_of_drift(settings: Settings) -> Iterable[str]:
    for name in values_of_methods(settings):
        if name.kind == "drift":
            yield str(name)
            yield str(name.of("stderr"))
