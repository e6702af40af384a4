"""Run scenarios in several gloo processes."""

import os
import socket
import warnings
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

# Processes fork from one that has imported the package and nothing else, which spares most of their time.
FRESH = get_context("forkserver")
FRESH.set_forkserver_preload(["lightning_saliency", "tests.callbacks.training"])


def spawn(scenario: Any, folder: Path, world_size: int = 2) -> list[Any]:
    """Run `scenario()` in every process and return the results by rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (scenario, str(folder), world_size, port)
    multiprocessing.start_processes(_run, arguments, nprocs=world_size, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world_size)]


def _run(rank: int, scenario: Any, folder: str, world_size: int, port: int) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
    }
    result = scenario()
    torch.save(result, Path(folder) / f"{rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
