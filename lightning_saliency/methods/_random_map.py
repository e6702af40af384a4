"""A control: random maps."""

import zlib
from dataclasses import dataclass

import torch

from lightning_saliency._checks import check_integer
from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._control import Control


@dataclass(frozen=True)
class RandomMap(Control):
    """Uniform noise in [0, 1), seeded by the image's content: a good explanation has to score better.

    The same image gets the same map, alone, in any batch and in any process, whatever the model and the target.
    Cost: no pass.

    Args:
        seed: Seed of the noise.
        name: Key in results and logs.

    Raises:
        ValueError: If `seed` is negative.

    Example:
        >>> import torch
        >>> images = torch.rand(2, 3, 4, 4)
        >>> maps = RandomMap()(None, images)
        >>> torch.equal(maps[1:], RandomMap()(None, images[1:]))
        True

    References:
        Adebayo et al., "Sanity Checks for Saliency Maps", 2018. https://arxiv.org/abs/1810.03292
    """

    seed: int = 0
    name: str = "random_map"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("seed", self.seed, minimum=0)

    def draw(self, images: Images) -> Maps:
        """Draw a map for each image."""
        return torch.stack([self._noise(image) for image in images.float().cpu()]).to(images.device)

    def _noise(self, image: torch.Tensor) -> torch.Tensor:
        content = zlib.crc32(image.numpy().tobytes())
        generator = keyed_generator("random_map", self.seed, content)
        return torch.rand(image.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
