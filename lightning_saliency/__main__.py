"""The command line: `python -m lightning_saliency`."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from lightning_saliency._configuration import build_from
from lightning_saliency._verdicts import NoRunsError, WrongGateError, judge, read_gate, read_runs
from lightning_saliency.callbacks import SaliencyMonitor
from lightning_saliency.checkpoints import evaluate_checkpoints
from lightning_saliency.names import Stage
from lightning_saliency.report import LogFileError, NoEventFilesError, write_report
from lightning_saliency.report._output import is_replaced


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a wrong argument exits with status 2 and one sentence."""
    options = _parser().parse_args(arguments)
    # TensorBoard's remarks on damaged and resumed logs do not help users.
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)
    options.command(options)


def _report(options: argparse.Namespace) -> None:
    replaces = is_replaced(options.output)
    try:
        notes = write_report(options.log_dir, options.output)
    except (LogFileError, NoEventFilesError) as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"`--output` must be a file that can be written, but got '{options.output}' ({error.strerror}).")
    _mention(notes)
    # What was written to a pipe or device must not be followed by anything else.
    if replaces:
        sys.stdout.write(f"{_printable(str(options.output), sys.stdout)}\n")


def _check(options: argparse.Namespace) -> None:
    """Exit with 1 if a gate fails, else with 2 if one lacks a value on a run."""
    try:
        gates = [read_gate(text) for text in options.gate]
        runs = read_runs(options.logs, options.stage)
    except (WrongGateError, NoRunsError) as error:
        _refuse(str(error))
    outcomes = [judge(gate, run) for run in runs for gate in gates]
    _mention([f"{run.name}: {note}" for run in runs for note in run.notes])
    sys.stdout.writelines(f"{_printable(str(outcome), sys.stdout)}\n" for outcome in outcomes)
    words = {outcome.word for outcome in outcomes}
    sys.exit(1 if "failed" in words else 2 if "unknown" in words else 0)


def _evaluate(options: argparse.Namespace) -> None:
    module, data, monitor = _parts(_built(options.build), options.build)
    try:
        faults = evaluate_checkpoints(
            module, data, options.checkpoints, options.output, monitor=monitor, accelerator=options.accelerator
        )
    except (TypeError, ValueError) as error:
        _refuse(" ".join(str(error).split()))
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    sys.stdout.write(f"{options.output}\n")
    if faults:
        sys.exit(1)


def _built(place: str) -> Any:
    """Call a function such as `my_project:build`, or read a configuration of LightningCLI."""
    if not place.endswith((".yaml", ".yml")):
        return _imported(place)()
    try:
        return build_from(Path(place))
    except OSError as error:
        _refuse(f"`BUILD` must be a file that can be read, but got '{place}' ({error.strerror}).")
    except ImportError as error:
        _refuse(f"`BUILD` must be a function where jsonargparse is not installed, but got '{place}' ({error}).")
    except ValueError as error:
        _refuse(" ".join(str(error).split()))


def _imported(place: str) -> Any:
    """Return the function of a text such as `my_project:build`."""
    name, colon, function = place.partition(":")
    if not (name and colon and function):
        _refuse(f"`BUILD` must be a module and a function such as my_project:build, but got '{place}'.")
    try:
        build = getattr(importlib.import_module(name), function)
    except ModuleNotFoundError as error:
        _refuse(f"`BUILD` must be in a module that can be imported, but got '{place}' ({error}).")
    except AttributeError as error:
        _refuse(f"`BUILD` must be a function of its module, but got '{place}' ({error}).")
    if not callable(build):
        _refuse(f"`BUILD` must be a function, but got '{place}' of type {type(build).__name__}.")
    return build


def _parts(result: Any, place: str) -> tuple[Any, Any, SaliencyMonitor | None]:
    """Take apart what the user's function returns."""
    parts = result if isinstance(result, tuple) else (result,)
    if len(parts) not in (2, 3) or not all(isinstance(part, SaliencyMonitor) for part in parts[2:]):
        kinds = ", ".join(type(part).__name__ for part in parts)
        _refuse(
            f"`BUILD` must return a LightningModule and a loader or data module, and perhaps a SaliencyMonitor, "
            f"but '{place}' returned ({kinds})."
        )
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None


def _parser() -> argparse.ArgumentParser:
    description = "Show what monitors logged, or evaluate the checkpoints of a finished training."
    parser = argparse.ArgumentParser(prog="python -m lightning_saliency", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_report(commands)
    _add_check(commands)
    _add_evaluate(commands)
    return parser


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="write one self-contained HTML page from TensorBoard's event files and the tables beside them",
        description="Write one self-contained HTML page from TensorBoard's event files and the tables beside them.",
    )
    report.add_argument("log_dir", metavar="LOGDIR", type=Path, help="folder of one run or of many")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the page (report.html)")
    report.set_defaults(command=_report)


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="judge the last evaluation of every run by gates",
        description="Judge the last evaluation of every run by gates. Exit status: 1 if a gate fails, else 2 if a "
        "value or a standard error is missing, else 0.",
    )
    check.add_argument("logs", metavar="LOGS", type=Path, help="folder of one run or of many")
    check.add_argument(
        "--gate",
        metavar="RULE",
        action="append",
        required=True,
        help="such as 'saliency/grad_cam/rcap >= 0.25', with the rules of GatedCheckpoint; may be repeated",
    )
    check.add_argument("--stage", choices=get_args(Stage), default="fit", help="whose evaluations count (fit)")
    check.set_defaults(command=_check)


def _mention(sentences: Sequence[str]) -> None:
    """Write to stderr, so that the output stays clean."""
    sys.stderr.writelines(f"{_printable(sentence, sys.stderr)}\n" for sentence in sentences)


def _printable(text: str, stream: Any) -> str:
    """Escape what the terminal cannot show or would obey, such as names of folders that are not valid text."""
    encoding = stream.encoding or "utf-8"
    plain = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return plain.encode(encoding, "backslashreplace").decode(encoding)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="explain and score the checkpoints of a finished training",
        description="Write event files and tables as if a monitor had been on, one step a checkpoint.",
    )
    evaluate.add_argument(
        "build",
        metavar="BUILD",
        help="function that returns a LightningModule and a loader or data module, such as my_project:build, or a "
        "configuration of LightningCLI with class paths, such as config.yaml",
    )
    evaluate.add_argument("checkpoints", metavar="CHECKPOINT", nargs="+", type=Path, help="checkpoints of Lightning")
    evaluate.add_argument("-o", "--output", type=Path, default=Path("logs"), help="folder of event files (logs)")
    evaluate.add_argument("--accelerator", default="auto", help="as in Lightning's Trainer (auto)")
    evaluate.set_defaults(command=_evaluate)


def _refuse(sentence: str) -> NoReturn:
    _mention([sentence])
    sys.exit(2)


if __name__ == "__main__":
    main()
