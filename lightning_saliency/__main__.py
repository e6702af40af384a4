"""The command line: `python -m lightning_saliency`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_saliency.report import NoEventFilesError, write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a wrong argument exits with status 2 and one sentence."""
    options = _parser().parse_args(arguments)
    # TensorBoard's remarks on damaged and resumed logs do not help users.
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)
    try:
        write_report(options.log_dir, options.output)
    except NoEventFilesError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"`--output` must be a file that can be written, but got '{options.output}' ({error.strerror}).")
    sys.stdout.write(f"{options.output}\n")


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
    return parser


def _refuse(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
