"""Read strips back from TensorBoard's files."""

import io

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def last_strips(log_dir: str, place: int = 0) -> dict[str, Image.Image]:
    """Return the last strip of one image by method.

    Args:
        log_dir: The run's folder.
        place: Position among the images that are always drawn, in the order of their indices.
    """
    events = _events_of(log_dir)
    strips = [tag.rsplit("/image_") for tag in events.Tags()["images"] if "/image_" in tag]
    index = sorted({index for _, index in strips}, key=int)[place]
    return {
        method.split("/")[-1]: Image.open(io.BytesIO(events.Images(f"{method}/image_{index}")[-1].encoded_image_string))
        for method, other in strips
        if other == index
    }


def last_picture(log_dir: str, tag: str) -> Image.Image | None:
    """Return the last picture of a tag, if there is one.

    Args:
        log_dir: The run's folder.
        tag: Name of the picture.
    """
    events = _events_of(log_dir)
    if tag not in events.Tags()["images"]:
        return None
    return Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string))


def _events_of(log_dir: str) -> EventAccumulator:
    events = EventAccumulator(log_dir, size_guidance={"images": 0})
    events.Reload()
    return events
