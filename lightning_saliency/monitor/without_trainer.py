"""Evaluate a network that is trained already, or in a loop that you write."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency._checks import checked_texts
from lightning_saliency.cues import Cue
from lightning_saliency.monitor._display import Display
from lightning_saliency.monitor._short_names import MethodChoice, MetricChoice, methods_by_name, metrics_by_name
from lightning_saliency.monitor.batches import BatchReader, LabelledImages, read_batch
from lightning_saliency.monitor.config import Control, Scale, Settings, chosen_cues
from lightning_saliency.monitor.discovery import NetworkChoice, OutputChoice, TargetChoice, network_of
from lightning_saliency.monitor.drawing import drawn_images
from lightning_saliency.monitor.evaluate import evaluate_subset
from lightning_saliency.monitor.evaluated import Evaluated
from lightning_saliency.monitor.items import Reading, Source
from lightning_saliency.monitor.results import Evaluation
from lightning_saliency.monitor.streams import read_stream
from lightning_saliency.monitor.subset import Subset, choose_subset, to_device
from lightning_saliency.monitor.summary import complaints
from lightning_saliency.passes.normalization import ChannelValues, Normalization
from lightning_saliency.passes.precision import ScoringPrecision

FIRST_BATCH_SIZE: Final = 64


def evaluate(
    network: nn.Module,
    data: Any,
    *,
    methods: MethodChoice = None,
    metrics: MetricChoice = None,
    controls: Sequence[Control] = ("random", "edges"),
    cues: Sequence[str | Cue] | None = None,
    allow: Sequence[str] = (),
    num_hosts: int = 4,
    num_images: int = 64,
    num_panels: int = 4,
    num_worst: int = 1,
    max_batch_size: int | Literal["auto"] = FIRST_BATCH_SIZE,
    target: TargetChoice = None,
    min_confidence: float = 0.0,
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    model: NetworkChoice = None,
    output: OutputChoice = None,
    batch: BatchReader = None,
    scale: Scale = "image",
    display: Display = None,
    seed: int = 0,
    name: str = "saliency",
    scoring_precision: ScoringPrecision = "exact",
    max_kept_bytes: int = 2**30,
    share: tuple[int, int] = (0, 1),
) -> Evaluation:
    """Explain and score a network without a Trainer, as `SaliencyMonitor` does with the same arguments.

    The scores equal those that `Trainer.validate` logs with a monitor on the same data. The network and the random
    state stay as they were. No collective is started: under DDP, Fabric or accelerate each process evaluates its
    `share`, and `Evaluation.merge` puts the results together.

    Args:
        network: Network from images to logits, on the device where it is evaluated. A wrapper of
            `DistributedDataParallel` or Fabric is left out, since its forward may wait for other processes.
        data: A loader, or tensors (images, labels) or (images, labels, masks). Of a `DataLoader` over data with indices
            the images are chosen by `seed` from those that its sampler holds, and read by index. Of any other iterable
            of batches, and where the sampler is of a kind that torch does not have, they are the first ones.
        methods: Methods or their names, or a mapping from names; by default Guided AbsoluteGrad and Grad-CAM.
        metrics: Metrics or their names, or a mapping from names; by default RCAP.
        controls: Baseline maps that ignore the model, scored for comparison: `"random"` and `"edges"`.
        cues: Cues that are put from the images into others, to find out which of them the network follows, or their
            names; by default `cues.DEFAULT`, and none with `()`. They need labels that are classes, and
            a network from images alone to their logits.
        allow: Names of cues that may decide, such as `"colour"`. They raise no alarm.
        num_hosts: Into how many images each cue of an image is put.
        num_images: Most images that are explained, balanced over classes where labels are cheap.
        num_panels: How many of these images `Evaluation.pictures` draws.
        num_worst: How many images with the worst score of the first metric it draws besides, for each method.
        max_batch_size: Most images in one pass; `"auto"` starts at 64 and halves when memory runs out.
        target: Class to explain: `"label"` (the default where batches have labels), `"predicted"` or a class; for
            other outputs one of `lightning_saliency.targets`, such as `Regression(0)`; or a function of (output,
            labels (B, ...) or `None`) that returns classes (B,), a target, or the values (B,) to explain themselves.
        min_confidence: Leave out images whose target has less probability.
        mean: Mean that images were normalised with, one value or one per channel. `None` looks for it in
            transforms, the data module, image processors and a timm network's configuration, and takes images in
            [0, 1] as raw. Values that do not lead back to about [0, 1] are refused.
        std: Standard deviation that they were normalised with.
        model: Where images go in and logits come out: `None` for the network itself, the path of an attribute
            such as `"net.backbone"`, or a function of (network, images).
        output: How to get logits (B, K) from what comes out: a key, an index, or a function.
        batch: How to get images, labels and perhaps masks from a batch: their keys, or a function that returns them.
            Labels and masks may be `None`. Parts after the masks are further arguments of the network, tensors with a
            row for each image; images are then explained one by one.
        display: Channels of an image that pictures show, such as `(3, 2, 1)`, or a function of an image (C, *S) that
            returns (3, *S) or (1, *S). `None` shows three channels as colours and the mean of others.
        scale: Range of a picture's colours: `"image"`, each map's own, or `"common"`, that of all maps of a method.
        seed: Seed of the subset, the noise and the controls.
        name: First part of all names.
        scoring_precision: `"bf16"` predicts changed images for scores in bfloat16, as in `score`; maps stay exact.
        max_kept_bytes: Memory that the images may take on the CPU. More images of a data set with indices are read
            batch by batch, and of any other iterable as many are explained as fit.
        share: (rank, number of processes). Each process explains every so-manieth image of the same choice. An iterable
            without indices has to yield different images in each process.

    Returns:
        The scores and maps of this process's images.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If an argument is out of its range, or there are no images.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> network = network.append(torch.nn.Linear(144, 2))
        >>> data = (torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> evaluation = evaluate(network, data, methods=["gradient"], num_images=4)
        >>> evaluation
        Evaluation of 4 images by gradient
        >>> "saliency/gradient/rcap_vs_random" in evaluation.summary()
        True
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"`network` must be an `nn.Module`, but got {type(network).__name__}.  Wrap it in one.")
    settings = Settings(
        methods=methods_by_name(methods),
        metrics=metrics_by_name(metrics, target),
        methods_are_default=methods is None,
        metrics_are_default=metrics is None,
        controls=tuple(controls),
        drift=(),
        best=None,
        log=(),
        num_images=num_images,
        num_panels=num_panels,
        num_drifted=0,
        num_worst=num_worst,
        every_n_epochs=1,
        max_batch_size=FIRST_BATCH_SIZE if max_batch_size == "auto" else max_batch_size,
        halves_batches=max_batch_size == "auto",
        max_seconds=None,
        target=target,
        min_confidence=min_confidence,
        normalization=Normalization.of(mean, std),
        model=model,
        output=output,
        batch=_reader_of(data, batch),
        dataloader_idx=0,
        scale=scale,
        display=display,
        seed=seed,
        name=name,
        on_error="raise",
        scoring_precision=scoring_precision,
        max_kept_bytes=max_kept_bytes,
        cues=chosen_cues(cues, target),
        allow=checked_texts("allow", allow, "names of cues"),
        num_hosts=num_hosts,
    )
    rank, world_size = _checked_share(share)
    module = _unwrapped(network)
    subset = choose_subset(source_of(data), num_images, seed, lambda indices: indices[rank::world_size])
    transfer = partial(_moved, reader=settings.batch, device=device_of(module))
    reading = Reading(transfer, _parts_of, settings.max_batch_size, seed)
    evaluated = evaluate_in_memory(
        module, network_of(module, model, output), subset, reading, settings, (rank, world_size), cues=settings.cues
    )
    record = evaluated.evaluation
    if not record.num_read and world_size == 1:
        raise ValueError("`data` must hold images, but got none.  Pass a loader that yields a batch.")
    for message in (evaluated.notes | complaints(record, settings)).values():
        warnings.warn(message, stacklevel=2)
    pictured = set(drawn_images(record, evaluated.panels, settings))
    thumbnails = {index: image for index, image in evaluated.thumbnails.items() if index in pictured}
    return Evaluation(record, settings, thumbnails, evaluated.panels)


def evaluate_in_memory(
    module: nn.Module,
    network: nn.Module,
    subset: Subset,
    reading: Reading,
    settings: Settings,
    share: tuple[int, int] = (0, 1),
    *,
    cues: tuple[Cue, ...] = (),
    looks_ahead: bool = False,
) -> Evaluated:
    """Explain and score a process's share, in batches that fit where they are automatic; scores do not depend on it.

    Args:
        module: The module that is borrowed and restored.
        network: The module that maps images to logits.
        subset: The images, which are read if they have not been.
        reading: How they are read.
        settings: What to do.
        share: (rank, number of processes).
        cues: Cues that are put from the images into hosts.
        looks_ahead: Whether to return a preflight.
    """
    started = time.perf_counter()
    while True:
        try:
            # Images that were read in inference mode could not be explained.
            with torch.inference_mode(mode=False):
                if subset.source.size is None and not subset.share:
                    read_stream(subset, reading, settings, *share)
                device = device_of(module)
                evaluated = evaluate_subset(
                    module, network, subset, reading, settings, device, cues=cues, looks_ahead=looks_ahead
                )
        except torch.OutOfMemoryError:
            if not settings.halves_batches or settings.max_batch_size == 1:
                raise
            settings = replace(settings, max_batch_size=settings.max_batch_size // 2)
            reading = replace(reading, batch_size=settings.max_batch_size)
        else:
            seconds = time.perf_counter() - started
            record = replace(evaluated.evaluation, seconds=seconds, batch_size=settings.max_batch_size)
            return replace(evaluated, evaluation=record)


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's first tensor."""
    tensor = next(iter(module.parameters()), next(iter(module.buffers()), None))
    return torch.device("cpu") if tensor is None else tensor.device


def _moved(batch: Any, reader: BatchReader, device: torch.device) -> LabelledImages:
    """Read a batch before it moves, since only its tensors can."""
    return to_device(read_batch(batch, reader), device)


def _parts_of(batch: LabelledImages) -> tuple[Any, ...]:
    """Return a batch that is read already as a function of `batch` returns it."""
    return batch.images, batch.labels, batch.masks, *batch.extras


def _are_tensors(data: Any) -> bool:
    """Tell tensors of all images from a list of batches."""
    return isinstance(data, tuple) or (isinstance(data, list) and all(isinstance(part, Tensor) for part in data))


def _reader_of(data: Any, batch: BatchReader) -> BatchReader:
    """Read masks too where they are among the tensors, as they are not looked for in a batch of three."""
    return (0, 1, 2) if batch is None and _are_tensors(data) and len(data) == 3 else batch


def source_of(data: Any) -> Source:
    """Make a source of a loader or of tensors of all images.

    Raises:
        TypeError: If it is something else.
        ValueError: If the tensors have different lengths.
    """
    if not _are_tensors(data):
        if isinstance(data, Tensor) or not hasattr(data, "__iter__"):
            raise TypeError(
                f"`data` must be a loader or a tuple of tensors, but got {type(data).__name__}.  "
                "Pass (images, labels) or a `DataLoader`."
            )
        return Source(data)
    if len(data) not in (2, 3) or not all(isinstance(part, Tensor) for part in data):
        kinds = ", ".join(type(part).__name__ for part in data)
        raise TypeError(
            f"`data` must be two or three tensors, but got ({kinds}).  "
            "Pass (images, labels), (images, labels, masks) or a loader."
        )
    sizes = [len(part) for part in data]
    if len(set(sizes)) > 1:
        raise ValueError(f"`data` must be tensors of equal length, but got lengths {sizes}.  Pass one row an image.")
    return Source(DataLoader(TensorDataset(*data)))


def _checked_share(share: Any) -> tuple[int, int]:
    message = (
        f"`share` must be (rank, number of processes), where ranks start at 0, but got {share!r}.  "
        "Leave it out for one process."
    )
    if not (isinstance(share, tuple | list) and list(map(type, share)) == [int, int]):
        raise TypeError(message)
    rank, world_size = share
    if not 0 <= rank < world_size:
        raise ValueError(message)
    return rank, world_size


def _unwrapped(network: nn.Module) -> nn.Module:
    """Take off wrappers whose forward is a collective or changes the type of the images."""
    while isinstance(network, DistributedDataParallel | DataParallel) or type(network).__name__ == "_FabricModule":
        network = cast("nn.Module", network.module)
    return network
