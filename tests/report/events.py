"""Event files written record by record, as an attacker would."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FILE = "events.out.tfevents.1"


def write_records(folder: Path, records: Iterable[bytes], name: str = FILE) -> Path:
    """Write records with right checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)
    return path


def event(step: int = 0, tag: str = "val_loss", value: float = 0.5, **options: object) -> bytes:
    """Encode one scalar."""
    return Event(
        wall_time=1.0, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]), **options
    ).SerializeToString()


def summary(value: Summary.Value, step: int = 0) -> bytes:
    """Encode one value of any kind."""
    return Event(wall_time=1.0, step=step, summary=Summary(value=[value])).SerializeToString()


def evaluations(values: Mapping[str, float], steps: Iterable[int] = (0,), monitor: str = "saliency") -> list[bytes]:
    """Encode evaluations of a monitor, with what makes it one."""
    needed = {f"{monitor}/seconds": 1.0, f"{monitor}/grad_cam/invalid": 0.0}
    return [event(step, tag, value) for step in steps for tag, value in (needed | dict(values)).items()]


def repeat(path: Path, times: int) -> None:
    """Write the records of a file again and again."""
    path.write_bytes(path.read_bytes() * times)
