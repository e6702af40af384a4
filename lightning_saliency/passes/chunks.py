"""How many images go through a network together."""

import math
from typing import Final

from torch import Tensor

SMALLEST: Final = 8
POSITIONS_TOGETHER: Final = 2**19


def chunk_size(images: Tensor, max_batch_size: int) -> int:
    """Return how many images make a pass: at most `max_batch_size`, and on a CPU fewer where images are large.

    Activations of large batches do not fit into a CPU's caches, so that each image takes longer: with a ResNet-50 at
    224 pixels, batches of 64 take 1.5 times as long per image as batches of 8 to 16. Fewer than 8 images do not fill
    the CPU's vector units. Maps and scores do not depend on the size.
    """
    if images.device.type != "cpu":
        return max_batch_size
    return min(max_batch_size, max(SMALLEST, POSITIONS_TOGETHER // max(1, math.prod(images.shape[2:]))))
