"""Results of an evaluation in Python: tables, pictures, files."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

import lightning_saliency.monitor.evaluation as records
from lightning_saliency.following import Alarm, Following
from lightning_saliency.monitor._scalars import Scalar, scalars
from lightning_saliency.monitor.alarms import decide
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.cue_values import alarm_scalar, cue_scalars
from lightning_saliency.monitor.drawing import draw_curve_figures, draw_strips
from lightning_saliency.monitor.evaluated import Thumbnail
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.summary import rows
from lightning_saliency.names import SCHEMA, SCORE_COLUMNS, table_file


class Summary(dict[str, Scalar]):
    """Values by name, each with its standard error and number of images; printed as a table."""

    def __repr__(self) -> str:
        """Write a line for each value."""
        width = max(map(len, self), default=4)
        lines = [f"{'name':<{width}}  {'value':>9}  {'stderr':>9}  images"]
        lines += [f"{name:<{width}}  {_cells(scalar)}" for name, scalar in self.items()]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores and maps of the images that were explained, as tables, pictures and files.

    `lightning_saliency.evaluate` returns it. A process that evaluated a share has the results of its share. Send them
    anywhere with `pickle` or `torch.distributed.gather_object`, and put them together with `Evaluation.merge`.

    Args:
        record: The results image by image, on the CPU.
        settings: The arguments of the evaluation.
        thumbnails: The images that are drawn, by index.
        panels: Indices of the images that are drawn.

    Example:
        >>> import torch
        >>> from lightning_saliency import evaluate
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
        >>> data = (torch.rand(5, 3, 8, 8), torch.tensor([0, 1, 0, 1, 0]))
        >>> evaluation = evaluate(network, data, methods=["gradient"], metrics=["rcap"])
        >>> evaluation.summary()["saliency/gradient/rcap"].num_images
        5
        >>> evaluation.rows()[0]["method"], tuple(evaluation.maps["gradient"][0].shape)
        ('gradient', (8, 8))
        >>> halves = [evaluate(network, data, methods=["gradient"], share=(rank, 2)) for rank in (0, 1)]
        >>> len(Evaluation.merge(halves).indices)
        5
    """

    record: records.Evaluation
    settings: Settings
    thumbnails: Mapping[int, Thumbnail] = field(default_factory=dict)
    panels: Sequence[int] = ()

    def __repr__(self) -> str:
        """Say how large it is."""
        return f"Evaluation of {len(self.indices)} images by {', '.join(self.settings.methods)}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out arguments that are of no use any more, since functions often cannot be pickled."""
        settings = replace(self.settings, target=None, model=None, output=None, batch=None, on_alarm="warn")
        return {**self.__dict__, "settings": settings}

    @property
    def indices(self) -> Tensor:
        """The images that were explained, (N,): row n of every column belongs to the n-th of them."""
        return self.record.indices

    @property
    def targets(self) -> Tensor:
        """The classes that were explained, (N,); a negative number stands for what is no class, see `rows`."""
        return self.record.targets

    @property
    def predicted(self) -> Tensor:
        """The classes that were predicted, (N,); -1 where the target is not that of one class."""
        return self.record.predicted

    @property
    def scores(self) -> dict[tuple[str, str], Tensor]:
        """Scores (N,) by (method, metric), NaN where an image has none; controls are among the methods."""
        return self.record.scores

    @property
    def followings(self) -> dict[str, Following]:
        """Records of what predictions do when other images get a cue of these, by name of the cue."""
        return self.record.followings

    @property
    def alarm(self) -> Alarm:
        """Whether predictions follow a cue: suspected (1) or, if two halves of the images show it, confirmed (2)."""
        return decide(self.record, self.settings, None) if self.record.followings else Alarm()

    @property
    def maps(self) -> dict[str, dict[int, Tensor]]:
        """Maps by method and image, with raw values, averaged down to at most 64 positions a side."""
        return {
            method: {index: small.raw() for index, small in by_image.items()}
            for method, by_image in self.record.maps.items()
        }

    def summary(self) -> Summary:
        """Return the values that `SaliencyMonitor` computes, with standard errors and numbers of images."""
        values = scalars(self.record, self.settings) | cue_scalars(self.record, self.settings)
        if self.record.followings:
            values |= alarm_scalar(self.alarm, self.settings, self.record.num_donors)
        return Summary(values)

    def rows(self, *, epoch: int = 0, step: int = 0) -> list[dict[str, Any]]:
        """Return every score of every image as in `saliency.csv`, ready for a table of pandas or polars.

        The column `stage` is `"validate"`, and `run` is empty.

        Args:
            epoch: Entry of the column `epoch`.
            step: Entry of the column `step`.
        """
        origin = (SCHEMA, "validate", "")
        return [dict(zip(SCORE_COLUMNS, (*origin, *row), strict=True)) for row in rows(self.record, epoch, step)]

    def to_pandas(self, *, epoch: int = 0, step: int = 0) -> Any:
        """Return `rows` as a data frame.

        Args:
            epoch: Entry of the column `epoch`.
            step: Entry of the column `step`.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "`to_pandas` must have pandas, but it is not installed.  Install it, or use `rows()`."
            ) from error
        return pd.DataFrame(self.rows(epoch=epoch, step=step), columns=list(SCORE_COLUMNS))

    def pictures(self) -> dict[str, Tensor]:
        """Return strips of the drawn images and curves of all methods, (3, H, W) uint8 by name."""
        start = self.settings.name
        strips = draw_strips(self.record, self.thumbnails, self.panels, self.settings, Memory(), start)
        return strips | draw_curve_figures(self.record, self.settings, start)

    def save(self, folder: str | Path, *, epoch: int = 0, step: int = 0) -> None:
        """Write `saliency.csv` and `pictures/<name>.png` into a folder, in place of what an earlier call wrote.

        Args:
            folder: The folder; it is made where there is none.
            epoch: Entry of the column `epoch`.
            step: Entry of the column `step`.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        with (path / table_file(self.settings.name)).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, SCORE_COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows(epoch=epoch, step=step))
        for name, picture in self.pictures().items():
            target = path / "pictures" / f"{name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(target)

    @staticmethod
    def merge(parts: Sequence["Evaluation"]) -> "Evaluation":
        """Put the results of several processes together; an image that several have counts once.

        Args:
            parts: Evaluations of the same network with the same arguments and different shares.

        Raises:
            ValueError: If there are none, or they have different methods or metrics.
        """
        if not parts:
            raise ValueError("`parts` must hold an evaluation, but got none.  Pass those of all processes.")
        first = parts[0].settings
        for part in parts:
            if _names(part.settings) != _names(first):
                raise ValueError(
                    f"`parts` must have equal methods and metrics, but got {_names(first)} and "
                    f"{_names(part.settings)}.  Evaluate with the same arguments in every process."
                )
        panels = dict.fromkeys(index for part in parts for index in part.panels)
        return Evaluation(
            records.merge([part.record for part in parts]),
            first,
            {index: thumbnail for part in parts for index, thumbnail in part.thumbnails.items()},
            list(panels) if len(panels) <= first.num_panels else sorted(panels)[: first.num_panels],
        )


def _names(settings: Settings) -> list[str]:
    return [*settings.all_methods, *settings.metrics]


def _cells(scalar: Scalar) -> str:
    error = "" if scalar.error is None else f"{scalar.error:.4g}"
    return f"{scalar.value:>9.4g}  {error:>9}  {scalar.num_images:>6}"
