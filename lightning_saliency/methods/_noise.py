"""Checks that all noise methods share."""

from lightning_saliency._checks import check_integer, check_number


def check_noise(num_samples: int, noise_level: float, seed: int) -> None:
    """Refuse noise that cannot be drawn."""
    check_integer("num_samples", num_samples, minimum=1)
    check_number("noise_level", noise_level, minimum=0)
    check_integer("seed", seed, minimum=0)
