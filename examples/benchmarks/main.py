"""What explaining and scoring cost: against the passes they cannot do without, and against the alternatives.

Everything is a ratio of times measured here and now in interleaved rounds. Writes `benchmark.md`,
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
    chosen = parser.parse_args()

    warnings.filterwarnings("ignore", module="captum|pytorch_grad_cam|torchcam|lightning|quantus")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rounds = 1 if chosen.quick else chosen.rounds
    options = Options(torch.device(chosen.device), rounds, chosen.quick, chosen.data_dir)
    heading = (
        f"# Benchmark\n\ntorch {torch.__version__}, {chosen.device}, {torch.get_num_threads()} threads, "
        f"medians of {rounds} interleaved rounds (quartiles).\n"
    )
    tables: list[Table] = []
    for name in chosen.only:
        started = time.perf_counter()
        for table in PARTS[name](options):
            tables.append(table)
            print(f"\n{table.markdown()}", flush=True)
        write(tables, chosen.output, heading)
        print(f"({name}: {time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
