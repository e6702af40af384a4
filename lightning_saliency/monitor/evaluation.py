"""The record of one evaluation: row by row what was computed for each image, and how parts of it are merged."""

import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lightning_saliency.cues import Cue
from lightning_saliency.following import Following
from lightning_saliency.monitor._compact import MapsByImage, MapsByMethod, SmallMap
from lightning_saliency.monitor._normalization import Colours
from lightning_saliency.monitor.fault import Fault, first_fault
from lightning_saliency.names import Since

Key: TypeAlias = tuple[str, str]
Column: TypeAlias = dict[Key, Tensor]
DriftColumn: TypeAlias = dict[tuple[str, str, Since], Tensor]


def _no_rows() -> Tensor:
    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results for some images, on the CPU; row n of every tensor belongs to the image `indices[n]`.

    Attributes:
        indices: The images that were explained, (N,).
        unused: Images that were read, and not explained because their target was not probable enough, (M,).
        left_out: Why images could not be used, by index.
        scores: Scores (N,) by (method, metric); NaN where an image has none.
        curves: The curves (N, P) that scores were made of, where a metric has one.
        drift: Similarity to earlier maps (N,) by (method, measure, since); NaN where there is nothing to compare.
        invalid: Whether a map was not finite, (N,) by method.
        blank: Whether a map was constant, (N,) by method.
        followings: Records of cues that were put from these images into hosts, by name of the cue.
        relevance: Small maps that tell where these images are relevant as donors of cues, once a cue is suspected.
        targets: Class explained, or a negative number for what is no class, (N,).
        predicted: Class predicted, or -1, (N,).
        class_names: Names of the targets by number: classes where the data set has names, and what is no class.
        fingerprints: A number for each image, by which a later run knows that it is the same, (N,).
        maps: Small maps by method and image; an image whose map was not finite has none.
        seconds: Time spent.
        batch_size: Most images in one pass that memory had room for.
        colours: How images were normalised.
        fault: The reason why there are no results.
    """

    indices: Tensor = field(default_factory=_no_rows)
    unused: Tensor = field(default_factory=_no_rows)
    left_out: dict[int, str] = field(default_factory=dict)
    scores: Column = field(default_factory=dict)
    curves: Column = field(default_factory=dict)
    drift: DriftColumn = field(default_factory=dict)
    invalid: dict[str, Tensor] = field(default_factory=dict)
    blank: dict[str, Tensor] = field(default_factory=dict)
    followings: dict[str, Following] = field(default_factory=dict)
    relevance: MapsByImage = field(default_factory=dict)
    targets: Tensor = field(default_factory=_no_rows)
    predicted: Tensor = field(default_factory=_no_rows)
    class_names: dict[int, str] = field(default_factory=dict)
    fingerprints: Tensor = field(default_factory=_no_rows)
    maps: MapsByMethod = field(default_factory=dict)
    seconds: float = 0.0
    batch_size: int = sys.maxsize
    colours: Colours | None = None
    fault: Fault | None = None

    @property
    def num_read(self) -> int:
        """Number of images that were read."""
        return len(self.indices) + len(self.unused)

    @property
    def num_donors(self) -> int:
        """Number of images whose cues were put into hosts."""
        return max((len(following.indices) for following in self.followings.values()), default=0)

    def count(self, flags: Mapping[str, Tensor], method: str) -> int:
        """Return for how many images a flag of a method is set."""
        return int(flags[method].sum()) if method in flags else 0


def fingerprint_of(evaluation: Evaluation) -> str:
    """Return eight letters and digits that tell these images, in this order, from any others."""
    return f"{zlib.crc32(torch.stack([evaluation.indices, evaluation.fingerprints]).numpy().tobytes()):08x}"


def merge(parts: Sequence[Evaluation]) -> Evaluation:
    """Put parts together, in the order of the images' indices; an image that several parts have counts once.

    An image that a part leaves out has no row. The result depends neither on the number of parts nor on their order,
    except for the fault, which is that of the first part with one.
    """
    filled = [part for part in parts if len(part.indices)]
    indices = torch.cat([_no_rows(), *(part.indices for part in filled)])
    left_out = {index: reason for part in parts for index, reason in part.left_out.items()}
    distinct, rows = np.unique(indices.numpy(), return_index=True)
    order = torch.from_numpy(rows[~np.isin(distinct, list(left_out))])
    columns: dict[str, Any] = {
        name: _merged_columns([getattr(part, name) for part in filled], [len(part.indices) for part in filled], order)
        for name in ("scores", "curves", "drift", "invalid", "blank")
    }
    vectors: dict[str, Any] = {
        name: torch.cat([_no_rows(), *(getattr(part, name) for part in filled)])[order]
        for name in ("targets", "predicted", "fingerprints")
    }
    maps: MapsByMethod = {}
    for part in parts:
        for method, by_image in part.maps.items():
            kept = {index: small for index, small in by_image.items() if index not in left_out}
            maps.setdefault(method, {}).update(kept)
    return Evaluation(
        indices=indices[order],
        unused=_without(torch.cat([_no_rows(), *(part.unused for part in parts)]).unique(), left_out),
        left_out=left_out,
        class_names={number: name for part in parts for number, name in part.class_names.items()},
        maps=maps,
        followings=_merged_followings(parts, left_out),
        relevance={index: small for part in parts for index, small in part.relevance.items() if index not in left_out},
        seconds=max((part.seconds for part in parts), default=0.0),
        batch_size=min((part.batch_size for part in parts), default=sys.maxsize),
        colours=next((part.colours for part in parts if part.colours is not None), None),
        fault=first_fault([part.fault for part in parts]),
        **columns,
        **vectors,
    )


def _merged_followings(parts: Sequence[Evaluation], left_out: Mapping[int, str]) -> dict[str, Following]:
    names = dict.fromkeys(name for part in parts for name in part.followings)
    records = {name: [part.followings[name] for part in parts if name in part.followings] for name in names}
    merged = {name: Following.merge(of_cue) for name, of_cue in records.items()}
    return {name: one.take((~_among(one.indices, left_out)).nonzero().flatten()) for name, one in merged.items()}


def _without(indices: Tensor, left_out: Mapping[int, str]) -> Tensor:
    return indices[~_among(indices, left_out)]


def _among(indices: Tensor, left_out: Mapping[int, str]) -> Tensor:
    return torch.isin(indices, torch.tensor(list(left_out), dtype=torch.int64))


def _merged_columns(tables: Sequence[dict[Any, Tensor]], sizes: Sequence[int], order: Tensor) -> dict[Any, Tensor]:
    """Join columns of equal names; a part without one has no values there."""
    samples = {key: column for table in tables for key, column in table.items()}
    return {
        key: torch.cat([_column(table, key, size, sample) for table, size in zip(tables, sizes, strict=True)])[order]
        for key, sample in samples.items()
    }


def _column(table: Mapping[Any, Tensor], key: Any, size: int, sample: Tensor) -> Tensor:
    if key in table:
        return table[key]
    absent = torch.nan if sample.is_floating_point() else 0
    return sample.new_full((size, *sample.shape[1:]), absent)


class Parcel(NamedTuple):
    """An evaluation on its way to another process: few arrays, since every array brings a header.

    Attributes:
        vectors: Indices, unused, targets, predicted and fingerprints.
        columns: By name of an attribute: the keys, and the columns one below the other.
        curves: Curves by (method, metric).
        followings: Cues, their records and why one does not apply.
        maps: By method: the images, all values in a row, shapes (N, D) and ranges (N, 2).
        relevance: The same for the maps of donors; empty if there are none.
        rest: By name of an attribute: what goes as it is.
    """

    vectors: tuple[np.ndarray, ...]
    columns: dict[str, tuple[list[Any], np.ndarray]]
    curves: dict[Key, np.ndarray]
    followings: list[tuple[Cue, np.ndarray, str]]
    maps: dict[str, tuple[np.ndarray, ...]]
    relevance: tuple[np.ndarray, ...]
    rest: dict[str, Any]


REST = ("left_out", "class_names", "seconds", "batch_size", "colours", "fault")
VECTORS = ("indices", "unused", "targets", "predicted", "fingerprints")
COLUMNS = ("scores", "drift", "invalid", "blank")


def pack(evaluation: Evaluation) -> Parcel:
    """Put an evaluation into few arrays."""
    columns = {name: getattr(evaluation, name) for name in COLUMNS}
    return Parcel(
        tuple(getattr(evaluation, name).numpy() for name in VECTORS),
        {name: (list(table), torch.stack(list(table.values())).numpy()) for name, table in columns.items() if table},
        {key: curves.numpy() for key, curves in evaluation.curves.items()},
        [(each.cue, each.pack().to(torch.int32).numpy(), each.misfit) for each in evaluation.followings.values()],
        {method: _packed_maps(by_image) for method, by_image in evaluation.maps.items() if by_image},
        _packed_maps(evaluation.relevance) if evaluation.relevance else (),
        {name: getattr(evaluation, name) for name in REST},
    )


def unpack(parcel: Parcel) -> Evaluation:
    """Do the reverse of `pack`."""
    vectors: dict[str, Any] = dict(zip(VECTORS, map(torch.from_numpy, parcel.vectors), strict=True))
    columns: dict[str, Any] = {
        name: dict(zip(keys, torch.from_numpy(values), strict=True)) for name, (keys, values) in parcel.columns.items()
    }
    return Evaluation(
        curves={key: torch.from_numpy(curves) for key, curves in parcel.curves.items()},
        followings={
            cue.name: Following.unpack(cue, torch.from_numpy(rows).long(), misfit)
            for cue, rows, misfit in parcel.followings
        },
        maps={method: _unpacked_maps(*arrays) for method, arrays in parcel.maps.items()},
        relevance=_unpacked_maps(*parcel.relevance) if parcel.relevance else {},
        **parcel.rest,
        **vectors,
        **columns,
    )


def _packed_maps(by_image: Mapping[int, SmallMap]) -> tuple[np.ndarray, ...]:
    maps = list(by_image.values())
    return (
        np.array(list(by_image), dtype=np.int64),
        np.concatenate([small.values.numpy().ravel() for small in maps]),
        np.array([small.values.shape for small in maps], dtype=np.int32),
        np.array([(small.low, small.high) for small in maps], dtype=np.float64),
    )


def _unpacked_maps(
    indices: np.ndarray, values: np.ndarray, shapes: np.ndarray, ranges: np.ndarray
) -> dict[int, SmallMap]:
    ends = shapes.prod(axis=1).cumsum()
    pieces = np.split(values, ends[:-1])
    return {
        index: SmallMap(torch.from_numpy(piece.reshape(shape).copy()), low, high)
        for index, piece, shape, (low, high) in zip(indices.tolist(), pieces, shapes, ranges.tolist(), strict=True)
    }
