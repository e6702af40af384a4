"""An object that a detector finds."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_saliency._types import Scores
from lightning_saliency.targets._outputs import kind_of
from lightning_saliency.targets._region import check_class_or_classes
from lightning_saliency.targets._rows import RowTarget
from lightning_saliency.targets._target import Activation, Offer

NO_CLASS = -1


class Detection(RowTarget):
    """The score of the detection that fits a class and a box best: the greatest overlap times score.

    The output is that of torchvision's detectors in evaluation mode: for each image a dictionary with `boxes` (N, 4)
    as (x0, y0, x1, y1), `labels` (N,) and `scores` (N,). The overlap is the intersection over union with the box. The
    value lies in [0, 1] and is the probability, too; 0 where no detection of the class meets the box.

    Args:
        classes: One class for all images, or one for each (B,). `None` takes the class of the detection with the
            highest score.
        box: One box for each image, (B, 4). `None` takes the box of the detection of the class with the highest score
            for the intact image. Images without a detection have maps of zeros.

    Raises:
        TypeError: If `classes` are no whole numbers; when asked for a value, if the output is not a list of detections.
        ValueError: If `box` is not (B, 4), or there are other numbers of images.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]])
        >>> output = [{"boxes": boxes, "labels": torch.tensor([1, 1]), "scores": torch.tensor([0.5, 0.8])}]
        >>> Detection(1, boxes[:1]).value(output)
        tensor([0.5000])
        >>> Detection(1).completed(output).value(output)
        tensor([0.8000])
    """

    offers: ClassVar[frozenset[Offer]] = frozenset({"probability"})
    per_image: ClassVar[tuple[str, ...]] = ("classes", "box")
    box: Tensor | None

    def __init__(self, classes: int | Tensor | None = None, box: Tensor | None = None) -> None:
        if classes is not None:
            check_class_or_classes(classes)
        if box is not None and not isinstance(box, Tensor):
            raise TypeError(f"`box` must be a tensor (B, 4) or None, but got {type(box).__name__}.  Pass a tensor.")
        if box is not None and (box.ndim != 2 or box.shape[1] != 4):
            raise ValueError(f"`box` must have shape (B, 4), but got {tuple(box.shape)}.  Pass one box an image.")
        super().__init__(classes=classes, box=None if box is None else box.float())

    @property
    def texts(self) -> list[str]:
        """The numbers of the classes, or that there is no detection."""
        numbers = [NO_CLASS] * len(self) if self.classes is None else self.classes.tolist()
        return ["no detection" if number == NO_CLASS else str(number) for number in numbers]

    @property
    def is_complete(self) -> bool:
        """Whether there are classes and boxes."""
        return self.classes is not None and self.box is not None

    def completed(self, output: Any, labels: Tensor | None = None) -> "Detection":
        """Take the detections with the highest scores."""
        if self.is_complete:
            return self
        detections = _detections(output, self._size)
        twin = self.of(len(detections))
        boxes = [None] * len(detections) if twin.box is None else twin.box
        classes = [None] * len(detections) if twin.classes is None else twin.classes.tolist()
        best = [_best(*each) for each in zip(detections, classes, boxes, strict=True)]
        box = torch.stack([box for _, box in best])
        return Detection(torch.tensor([label for label, _ in best], device=box.device), box)

    def value(self, output: Any) -> Scores:
        """Return the best overlap times score of each image (B,)."""
        detections = _detections(output, self._size)
        if self.classes is None or self.box is None:
            raise ValueError("`classes` and `box` must be there for a value, but got None.  Take `completed(output)`.")
        return torch.stack([_fit(*each) for each in zip(detections, self.classes.tolist(), self.box, strict=True)])

    def probability(self, output: Any, activation: Activation = "softmax") -> Scores:
        """Return the values, which lie in [0, 1]."""
        return self.value(output)

    def strongest(self, output: Any) -> Scores:
        """Return the sum of all scores of each image."""
        return torch.stack([detection["scores"].sum() for detection in _detections(output, None)])


def overlaps(box: Tensor, boxes: Tensor) -> Tensor:
    """Return the intersection over union of one box (4,) with others (N, 4)."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (box[2:] - box[:2]).prod()
    union = areas - shared
    return torch.where(union > 0, shared / torch.where(union > 0, union, 1.0), 0.0)


def _fit(detection: Mapping[str, Tensor], label: int, box: Tensor) -> Tensor:
    scores = detection["scores"]
    fits = overlaps(box.to(detection["boxes"]), detection["boxes"]) * scores
    fits = fits[detection["labels"] == label]
    # Of no detections the sum of their scores still has a graph.
    return fits.max() if len(fits) else 0 * scores.sum()


def _best(detection: Mapping[str, Tensor], label: int | None, box: Tensor | None) -> tuple[int, Tensor]:
    """Choose what is left open by the highest score; class -1 and an empty box where there is no detection."""
    scores = detection["scores"].detach()
    if label is not None:
        scores = scores.masked_fill(detection["labels"] != label, -1)
    if not len(scores) or scores.max() < 0:
        return (NO_CLASS if label is None else label), scores.new_zeros(4) if box is None else box
    row = int(scores.argmax())
    return int(detection["labels"][row]), detection["boxes"][row].detach() if box is None else box


def _detections(output: Any, batch_size: int | None) -> Sequence[Mapping[str, Tensor]]:
    keys = ("boxes", "labels", "scores")
    is_list = isinstance(output, list | tuple) and all(
        isinstance(each, Mapping) and all(key in each for key in keys) for each in output
    )
    if not is_list or batch_size not in (None, len(output)):
        kind = f"{len(output)} of them" if is_list else kind_of(output)
        raise TypeError(
            f"The output of the model must be a list of dictionaries with {', '.join(keys)} for Detection, one an "
            f"image, but got {kind}.  Tell the monitor where they are with its `output` argument."
        )
    detections: Sequence[Mapping[str, Tensor]] = output
    return detections
