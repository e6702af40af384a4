"""The cost of an evaluation of the default monitor and of its presets, beside that of training, in processor time.

Runs the part `monitor` of the benchmark for one of them after the other, as often as `--rounds` says after one round to
warm up, and keeps the rows of those that are not measured. Processor time of one thread is read, because other programs
run on the machine at the same time. `certainty_tables.py` writes the table of `docs/certainty.md` from it.
"""

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import Final
from unittest import mock

import torch

# The benchmark is in its own folder.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from certainty import Row, read, write
from overhead import monitor
from workloads import Options

PRESETS: Final = ("default", "fast", "thorough")
TABLE: Final = Path(__file__).with_name("preset_costs.csv")


def main(options: argparse.Namespace) -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = {str(row["monitor"]): row for row in read(options.output)}
    for name in options.only:
        rows[name] = measured(name, options)
        write(options.output, [rows[preset] for preset in PRESETS if preset in rows])
        print(rows[name], flush=True)


def measured(name: str, options: argparse.Namespace) -> Row:
    """Measure one monitor."""
    with mock.patch("timing.now", _processor_time):
        (table,) = monitor(Options(torch.device("cpu"), options.rounds, options.quick, None), [name])
    (row,) = table.rows
    del row["not in passes"]  # the table is about the cost of an evaluation, not about its parts
    return {**row, "rounds": options.rounds, "torch": torch.__version__}


def _processor_time(_device: torch.device) -> float:
    return time.process_time()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PRESETS, default=PRESETS, help="monitors to measure")
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--quick", action="store_true", help="make everything tiny")
    main(parser.parse_args())
