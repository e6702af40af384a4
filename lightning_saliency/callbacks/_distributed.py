"""How the processes of a trainer exchange data: the only place that knows collectives.

An evaluation goes over a hub. Every process sends what it computed to the first one, which puts the parts together and
tells everyone what all must know. Nothing is sent to a process that does not need it, so that what a process receives
does not grow with the number of the others.
"""

import pickle
import time
from collections.abc import Sequence
from typing import Final, TypeVar

import lightning.pytorch as pl
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from lightning_saliency.monitor.fault import Fault, first_fault

Content = TypeVar("Content")
FAULTS: Final = "lightning_saliency/faults"


def send_to_first(content: Content, trainer: pl.Trainer) -> list[Content]:
    """Send what this process has to the first one, which returns everyone's by rank; the others return nothing.

    Two collectives: the sizes, then the content itself, which is not padded. The processes are those of the trainer: a
    trainer of one process takes part in no collective, whatever group its process belongs to.
    """
    if trainer.world_size == 1:
        return [content]
    payload = torch.frombuffer(bytearray(pickle.dumps(content, protocol=5)), dtype=torch.uint8)
    device, size, is_first = trainer.strategy.root_device, trainer.world_size, trainer.is_global_zero
    counts = exchange(torch.tensor([len(payload)]), [1] * size if is_first else [0] * size, device).tolist()
    received = exchange(payload, counts if is_first else [0] * size, device)
    return [pickle.loads(part.numpy().tobytes()) for part in received.split(counts)] if is_first else []


def exchange(values: Tensor, counts: Sequence[int], device: torch.device) -> Tensor:
    """Send values (N,) to the first process.

    Groups such as NCCL's only know tensors of their own device, so that everything goes there and back.

    Args:
        values: The values that this process sends.
        counts: How many values this process receives from each other one: zeros except on the first process.
        device: The device of this process.

    Returns:
        The received values, one process after the other, on the CPU.
    """
    sent = values.to(device)
    received = sent.new_empty(sum(counts))
    from_here = [len(values)] + [0] * (len(counts) - 1)
    distributed.all_to_all_single(received, sent, list(counts), from_here)
    return received.cpu()


def tell_everyone(content: Content, trainer: pl.Trainer) -> Content:
    """Return what the first process has, on every process."""
    return content if trainer.world_size == 1 else trainer.strategy.broadcast(content)


def agree_on_fault(fault: Fault | None, trainer: pl.Trainer) -> Fault | None:
    """Return the first fault of any process, on every process."""
    return tell_everyone(first_fault(send_to_first(fault, trainer)), trainer)


def have_all_failed(trainer: pl.Trainer, patience: float) -> bool:
    """Return whether every process comes here within some seconds.

    It is no collective: processes that did not fail may wait in one already. Each counts itself in the group's store.
    """
    store = distributed.distributed_c10d._get_default_store()
    number, size, deadline = store.add(FAULTS, 1), trainer.world_size, time.monotonic() + patience
    awaited = -(-number // size) * size  # of earlier faults each process has been counted, too
    while number < awaited and time.monotonic() < deadline:
        time.sleep(0.1)
        number = store.add(FAULTS, 0)
    return bool(number >= awaited)


def first_buffers(trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the first process's buffers on this device, so that all processes explain the network that it would save.

    Buffers that the user told DDP to leave alone are left out, and all of them under `broadcast_buffers=False`.
    """
    if trainer.world_size == 1 or not _shares_buffers(trainer):
        return {}
    excluded = set(getattr(pl_module, "_ddp_params_and_buffers_to_ignore", ()))
    buffers = {name: buffer for name, buffer in pl_module.named_buffers(remove_duplicate=False) if name not in excluded}
    values = {name: buffer.detach().cpu().clone() for name, buffer in buffers.items()} if trainer.is_global_zero else {}
    received = tell_everyone(values, trainer)
    return {name: value.to(buffers[name].device) for name, value in received.items() if name in buffers}


def ddp_will_share_buffers(trainer: pl.Trainer) -> bool:
    """Return whether DDP will broadcast buffers in its next forward, which is the first one of this validation."""
    model = trainer.strategy.model
    return isinstance(model, DistributedDataParallel) and bool(model.will_sync_module_buffers())


def _shares_buffers(trainer: pl.Trainer) -> bool:
    """Return whether processes are meant to have the same buffers: DDP's default, and true of whatever is no DDP."""
    options: dict[str, object] = getattr(trainer.strategy, "_ddp_kwargs", {})
    return bool(options.get("broadcast_buffers", True))
