"""The names of everything that is logged: written and parsed here and nowhere else.

A monitor logs values as `<monitor>/<method>/<quantity>`, and values of the whole evaluation as `<monitor>/<quantity>`.
The stage `test` has the prefix `test_`; `fit` and `validate` share their names. Gates and CSV files use names without a
stage. A gate logs as `<gate>/...`, and `CueSwap` as `cue_swap/<cue>`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

Stage: TypeAlias = Literal["fit", "validate", "test"]
Since: TypeAlias = Literal["previous", "first", "best"]
Part: TypeAlias = Literal["value", "stderr", "low", "high"]
Kind: TypeAlias = Literal["cost", "count", "score", "margin", "drift", "cue", "alarm"]

SINCE: Final[dict[Since, str]] = {"previous": "", "first": "_first", "best": "_best"}
PARTS: Final[dict[Part, str]] = {"value": "", "stderr": "_stderr", "low": "_low", "high": "_high"}
COUNTS: Final = ("invalid", "blank")
COSTS: Final = ("seconds", "fraction_of_epoch", "used", "left_out")
CURVES: Final = "curves"
CUES: Final = "cues"
SWAPS: Final = "cue_swap"
ALARM: Final = "alarm"
# What follows the name of a cue for its worst class, and for its lead over the rest of the image.
WORST: Final = "_worst"
CONFLICT: Final = "_conflict"
SCHEMA: Final = 1
EVALUATIONS: Final = "evaluations"
# What both files have in front; a reader tells by them training from tests, and one run from another.
ORIGIN_COLUMNS: Final = ("schema", "stage", "run")
SCORE_COLUMNS: Final = (
    *ORIGIN_COLUMNS,
    "step",
    "epoch",
    "index",
    "target",
    "predicted",
    "class_name",
    "method",
    "metric",
    "score",
)
EVALUATION_COLUMNS: Final = (*ORIGIN_COLUMNS, "epoch", "step", "name", "value", "stderr", "num_images")
TEST: Final = "test_"
DRIFT: Final = "drift_"
LONGEST_NAME: Final = 100
# In bytes, of which file systems allow 255 and endings need some.
LONGEST_FILE: Final = 240
PLAIN: Final = re.compile(r"\w[\w.-]*")
VERSUS: Final = "_vs_"
# What a name of a metric or of a drift measure must not look like, because it could not be parsed back.
RESERVED: Final = re.compile(
    rf"{DRIFT}.*|.*{VERSUS}.*|.*/.*|.*_(?:stderr|low|high|first|best)|{'|'.join(COUNTS)}", re.S
)


@dataclass(frozen=True)
class LoggedName:
    """The name of one logged value, in its parts.

    Attributes:
        monitor: Name of the monitor.
        quantity: A metric, a drift measure, a count, a cost, or a cue.
        method: Name of the method or control; `"cues"` for a cue; empty for the cost of the whole evaluation and for
            the alarm.
        control: The control over which a margin is taken; empty for anything else.
        since: The earlier evaluation that drift is measured from; `None` for anything else.
        part: The value itself, its standard error, or a bound of its band.
        stage: When it is logged.

    Example:
        >>> str(LoggedName("saliency", "rcap", "grad_cam", control="random", part="stderr"))
        'saliency/grad_cam/rcap_vs_random_stderr'
        >>> LoggedName.parse("test_saliency/grad_cam/drift_ssim_first", "saliency").since
        'first'
    """

    monitor: str
    quantity: str
    method: str = ""
    control: str = ""
    since: Since | None = None
    part: Part = "value"
    stage: Stage = "fit"

    def __str__(self) -> str:
        parts = (staged(self.monitor, self.stage), self.method, self.key)
        return "/".join(part for part in parts if part)

    @property
    def key(self) -> str:
        """The last part of the name, as CSV files have it."""
        if self.since is not None:
            key = f"{DRIFT}{self.quantity}{SINCE[self.since]}"
        else:
            key = f"{self.quantity}{VERSUS}{self.control}" if self.control else self.quantity
        return key + PARTS[self.part]

    @property
    def kind(self) -> Kind:
        """The kind of the value."""
        if not self.method:
            return "alarm" if self.quantity == ALARM else "cost"
        if self.method == CUES:
            return "cue"
        if self.since is not None:
            return "drift"
        if self.control:
            return "margin"
        return "count" if self.quantity in COUNTS else "score"

    def of(self, part: Part) -> "LoggedName":
        """Return the name of another part of the same value."""
        return replace(self, part=part)

    def higher_is_better(self, directions: Mapping[str, bool]) -> bool | None:
        """Return the value's direction, `None` where neither is better.

        Args:
            directions: Directions of metrics and drift measures by their names.
        """
        if self.part == "stderr" or self.kind == "cost":
            return None
        if self.kind in ("count", "cue", "alarm"):
            return False
        return True if self.kind == "margin" else directions.get(self.quantity)

    @classmethod
    def parse(cls, text: str, monitor: str) -> "LoggedName | None":
        """Read the name of a value that a monitor logged; `None` for any other text."""
        stage: Stage = "test" if text.startswith(f"{TEST}{monitor}/") else "fit"
        start = f"{TEST if stage == 'test' else ''}{monitor}/"
        if not text.startswith(start):
            return None
        method, slash, key = text.removeprefix(start).rpartition("/")
        if not key or (slash and not method):
            return None
        part, key = _parse_part(key)
        return replace(_parse_key(monitor, method, key), part=part, stage=stage)


def _parse_part(key: str) -> tuple[Part, str]:
    for part, suffix in PARTS.items():
        is_of_margin = VERSUS in key and not key.startswith(DRIFT)
        if suffix and key.endswith(suffix) and key != suffix and (part == "stderr" or is_of_margin):
            return part, key.removesuffix(suffix)
    return "value", key


def _parse_key(monitor: str, method: str, key: str) -> LoggedName:
    measure = key.removeprefix(DRIFT)
    if method and key.startswith(DRIFT) and measure:
        since: Since = next((s for s, suffix in SINCE.items() if suffix and measure.endswith(suffix)), "previous")
        quantity = measure.removesuffix(SINCE[since])
        if not quantity:  # a measure named like a suffix
            quantity, since = measure, "previous"
        return LoggedName(monitor, quantity, method, since=since)
    metric, _, control = key.rpartition(VERSUS)
    if method and metric and control:
        return LoggedName(monitor, metric, method, control=control)
    return LoggedName(monitor, key, method)


def staged(name: str, stage: Stage) -> str:
    """Return the name of a monitor, or one that begins with it, as it is logged in a stage."""
    return TEST + name if stage == "test" else name


def check_quantity(argument: str, name: str) -> None:
    """Refuse a metric's or measure's name that would be read as something else.

    Raises:
        ValueError: If it is like `drift_x`, `x_vs_y`, `x_stderr`, `x_first`, or has a slash.
    """
    if RESERVED.fullmatch(name):
        raise ValueError(
            f"`{argument}` must have names other than those of drift, margins, errors and counts, but got {name!r}.  "
            "Give it another `name`."
        )


def check_name(argument: str, name: object, *, parts: bool = False) -> None:
    """Refuse the name of a member that could not be part of a file's name, or would be a formula in a table.

    Args:
        argument: Where the name was given.
        name: The name.
        parts: Whether slashes may separate parts, which become folders.

    Raises:
        ValueError: If it is longer than 100 characters, has others than letters, digits and `_ - .`, or begins with
            `-` or `.`.
    """
    pieces = name.split("/") if isinstance(name, str) and parts else [name]
    is_plain = all(isinstance(piece, str) and PLAIN.fullmatch(piece) for piece in pieces)
    if not is_plain or len(str(name)) > LONGEST_NAME or len(str(name).encode()) > LONGEST_FILE:
        shown = repr(name) if len(repr(name)) <= 2 * LONGEST_NAME else f"{name!r:.{LONGEST_NAME}}..."
        raise ValueError(
            f"`{argument}` must be named by at most {LONGEST_NAME} letters, digits, `_`, `-` and `.`, and begin with a "
            f"letter, digit or `_`, but got {shown}.  Pass another name."
        )


def monitors_in(names: Iterable[str]) -> list[str]:
    """Return the monitors whose values are among logged names: all that logged their cost and a count of maps."""
    texts = list(names)
    starts = [text.removesuffix("/seconds") for text in texts if text.endswith("/seconds")]
    return [start for start in starts if any(_is_count(start, text) for text in texts)]


def monitor_of(name: str, monitors: Iterable[str]) -> str | None:
    """Return the monitor that logged a value: of those whose name it begins with, the one with the longest name."""
    starts = [monitor for monitor in monitors if name.startswith(f"{monitor}/")]
    return max(starts, key=len, default=None)


def _is_count(start: str, text: str) -> bool:
    name = LoggedName.parse(text, start)
    return name is not None and name.kind == "count" and name.stage == "fit"


def card_name(monitor: str) -> str:
    """Name the text that explains a monitor's values."""
    return f"{monitor}/card"


def cue_name(monitor: str, cue: str) -> str:
    """Name the picture of a cue that the network follows."""
    return f"{monitor}/{CUES}/{cue}"


def swap_name(cue: str) -> str:
    """Name the share of training images that got a cue."""
    return f"{SWAPS}/{cue}"


def curves_name(monitor: str, metric: str) -> str:
    """Name the picture of the curves of a metric."""
    return f"{monitor}/{CURVES}/{metric}"


def image_name(monitor: str, method: str, index: int) -> str:
    """Name the picture of an image that is always drawn."""
    return f"{monitor}/{method}/image_{index}"


def moved_name(monitor: str, method: str, place: int) -> str:
    """Name the picture of the image whose map moved most (place 0), second most, ..."""
    return f"{monitor}/{method}/drifted_{place}"


def worst_name(monitor: str, method: str, place: int) -> str:
    """Name the picture of the image with the worst score (place 0), second worst, ..."""
    return f"{monitor}/{method}/worst_{place}"


def alarm_name(monitor: str) -> str:
    """Name the text about a cue that the network follows."""
    return f"{monitor}/{ALARM}"


def passed_name(gate: str) -> str:
    """Name the value that says whether a gate passed."""
    return f"{gate}/passed"


def decisions_name(gate: str) -> str:
    """Name the text with a gate's reasons."""
    return f"{gate}/decisions"


def gates_in(names: Iterable[str]) -> list[str]:
    """Return the gates whose decisions are among logged names."""
    suffix = passed_name("")
    return [name.removesuffix(suffix) for name in names if name.endswith(suffix) and name != suffix]


def table_file(monitor: str) -> str:
    """Name the file of every image's scores."""
    return f"{monitor}.csv"


def evaluations_file() -> str:
    """Name the file of the values of all evaluations, which the monitors of a folder share."""
    return f"{EVALUATIONS}.csv"


def decisions_file(gate: str) -> str:
    """Name the file of a gate's decisions."""
    return f"{gate}_decisions.json"
