"""Checks that all noise methods share."""

from lightning_saliency._checks import check_integer, check_level


def check_noise(num_samples: int, noise_level: float, seed: int) -> None:
    """Refuse noise that cannot be drawn."""
    check_integer("num_samples", num_samples, minimum=1)
    check_level("noise_level", noise_level)
    check_integer("seed", seed, minimum=0)
