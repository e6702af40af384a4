"""The cost of explaining and scoring, relative to their passes and to the alternatives.

All results are ratios of times measured in interleaved rounds of one process. Writes `benchmark.md`,
`benchmark.json` and `benchmark.png`.
"""

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from accuracy import accuracy
from members import members
from memory import memory
from overhead import imports, monitor, steps
from processes import processes
from scaling import classes, images, samples
from speed import everything, single_methods, single_metrics
from tables import Table, write
from workloads import Options

PARTS: dict[str, Callable[[Options], Iterable[Table]]] = {
    "everything": everything,
    "methods": single_methods,
    "metrics": single_metrics,
    "members": members,
    "accuracy": accuracy,
    "monitor": monitor,
    "samples": samples,
    "classes": classes,
    "images": images,
    "processes": processes,
    "memory": memory,
    "import": imports,
    "steps": steps,
}


def main() -> None:
    """Read the options, measure part after part, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to run")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which median and quartiles are taken")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--data-dir", default=os.environ.get("LIGHTNING_SALIENCY_DATA"), help="for `accuracy`")
    parser.add_argument("--quick", action="store_true", help="make everything tiny")
    parser.add_argument("--output", type=Path, default=Path("runs/bench"), help="folder for tables and plot")
    arguments = parser.parse_args()

    warnings.filterwarnings("ignore", module="captum|pytorch_grad_cam|torchcam|lightning|quantus")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rounds = 1 if arguments.quick else arguments.rounds
    options = Options(torch.device(arguments.device), rounds, arguments.quick, arguments.data_dir)
    heading = (
        f"# Benchmark\n\ntorch {torch.__version__}, {arguments.device}, {torch.get_num_threads()} threads, "
        f"medians of {rounds} interleaved rounds (quartiles).\n"
    )
    tables: list[Table] = []
    for name in arguments.only:
        started = time.perf_counter()
        for table in PARTS[name](options):
            tables.append(table)
            print(f"\n{table.markdown()}", flush=True)
        write(tables, arguments.output, heading)
        print(f"({name}: {time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
