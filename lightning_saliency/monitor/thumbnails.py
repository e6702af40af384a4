"""Images as they can be shown, and what is written below them."""

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.monitor._display import shown
from lightning_saliency.monitor.batches import are_classes
from lightning_saliency.monitor.evaluated import Thumbnail
from lightning_saliency.monitor.task import Batch, Task, names_of
from lightning_saliency.targets import ClassLogit


def thumbnails_of(batch: Batch, task: Task) -> dict[int, Thumbnail]:
    """Keep the images as they can be shown; what is neither a picture nor a volume is not drawn."""
    pictures = _pictures(batch.images, task)
    rows = zip(batch.indices, pictures, _captions(batch, task), strict=True) if pictures else ()
    return {index: Thumbnail(picture, caption) for index, picture, caption in rows}


def _pictures(images: Images, task: Task) -> list[Tensor]:
    """Return images as they can be shown, (3, *S) uint8; none of what is neither a picture nor a volume."""
    if images.ndim not in (4, 5):
        return []
    raw = (task.normalization.to_raw(images) if task.normalization else images).float().cpu()
    return [shown(image, task.display) for image in raw]


def shown_together(images: Images, task: Task) -> Tensor | None:
    """Return images as they can be shown, (B, 3, H, W) uint8; `None` for what is no picture."""
    return torch.stack(_pictures(images, task)) if images.ndim == 4 else None


def _captions(batch: Batch, task: Task) -> list[list[str]]:
    """Write for each image its index, and its true, predicted and explained class with their probabilities."""
    if batch.logits is None or batch.target.classes is None:
        pairs = zip(batch.indices, batch.target.texts, strict=True)
        return [[f"image {index}", f"explained {text}"] for index, text in pairs]
    names, last = names_of(batch, task), batch.logits.shape[1] - 1
    roles = {"predicted": batch.logits.argmax(dim=1)}
    if are_classes(batch.labels):
        roles = {"true": batch.labels, **roles}
    if not any(torch.equal(batch.target.classes, classes.clamp(0, last)) for classes in roles.values()):
        roles["explained"] = batch.target.classes
    probabilities = {
        role: ClassLogit(classes.clamp(0, last)).probability(batch.logits, task.activation)
        for role, classes in roles.items()
    }
    captions = []
    for row, index in enumerate(batch.indices):
        lines = [f"image {index}"]
        for role, classes in roles.items():
            label = int(classes[row])
            probability = f" ({probabilities[role][row].item():.2f})" if 0 <= label <= last else ""
            lines.append(f"{role} {names.get(label, label)}{probability}")
        captions.append(lines)
    return captions
