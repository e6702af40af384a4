"""The command line: `python -m lightning_saliency`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

from lightning_saliency._verdicts import NoRunsError, WrongGateError, judge, read_gate, read_runs
from lightning_saliency.names import Stage
from lightning_saliency.report import NoEventFilesError, write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a wrong argument exits with status 2 and one sentence."""
    options = _parser().parse_args(arguments)
    # TensorBoard's remarks on damaged and resumed logs do not help users.
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)
    options.command(options)


def _report(options: argparse.Namespace) -> None:
    try:
        write_report(options.log_dir, options.output)
    except NoEventFilesError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"`--output` must be a file that can be written, but got '{options.output}' ({error.strerror}).")
    sys.stdout.write(f"{options.output}\n")


def _check(options: argparse.Namespace) -> None:
    """Exit with 1 if a gate fails, else with 2 if one lacks a value on a run."""
    try:
        gates = [read_gate(text) for text in options.gate]
        runs = read_runs(options.logs, options.stage)
    except (WrongGateError, NoRunsError) as error:
        _refuse(str(error))
    outcomes = [judge(gate, run) for run in runs for gate in gates]
    sys.stdout.writelines(f"{_printable(str(outcome))}\n" for outcome in outcomes)
    words = {outcome.word for outcome in outcomes}
    sys.exit(1 if "failed" in words else 2 if "unknown" in words else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lightning_saliency", description="Show what monitors logged.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser(
        "report",
        help="write one self-contained HTML page from TensorBoard's event files",
        description="Write one self-contained HTML page from TensorBoard's event files.",
    )
    report.add_argument("log_dir", metavar="LOGDIR", type=Path, help="folder of one run or of many")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the page (report.html)")
    report.set_defaults(command=_report)
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
    return parser


def _printable(text: str) -> str:
    """Escape what the terminal cannot show, such as names of folders that are not valid text."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
