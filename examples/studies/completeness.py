"""How far attributions of guided and expected gradients are from completeness at 224 pixels, by the number of steps.

The network is a trained EfficientNet-Lite0, see `imagenet.py`. For each image, method and number of steps (samples of
expected gradients) one row is appended: `CompletenessGap`, what is missing of the logit's change from the baseline, and
the change. Rows that are in the table are kept, so that an interrupted study continues. With `--quick` the images are
noise and the steps few, which shows that the study runs and nothing else. `completeness_tables.py` makes the table.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1]))

import timm
from certainty import read, write
from imagenet import image_files, load_lite0, read_images

from lightning_saliency.methods import ExpectedGradients, GuidedIntegratedGradients, SaliencyMethod
from lightning_saliency.metrics import CompletenessGap

ROWS: Final = Path(__file__).with_name("completeness.csv")
COLUMNS: Final = ("image", "method", "steps", "gap", "missing", "change")
STEPS: Final = (20, 50, 100)
NUM_IMAGES: Final = 10
NUM_REFERENCES: Final = 20


def main(options: argparse.Namespace) -> None:
    """Measure what has no row yet, until the time is over."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    network, images, references = _noise() if options.quick else _photographs(Path(options.data_dir))
    network.requires_grad_(requires_grad=False)
    rows = read(options.rows)
    finished = {(row["image"], row["method"], row["steps"]) for row in rows}
    for number, image in enumerate(images):
        for steps in (2, 4) if options.quick else STEPS:
            for method in methods(steps, references):
                key = (str(number), method.name, str(steps))
                if key not in finished and time.perf_counter() - started < options.seconds:
                    values = measured(network, image[None], method)
                    rows.append(dict(zip(COLUMNS, (*key, *values), strict=True)))
                    write(options.rows, rows)
        print(f"image {number}: {time.perf_counter() - started:.0f} s", flush=True)


def methods(steps: int, references: Tensor) -> list[SaliencyMethod]:
    """Make the methods with so many steps; all else is the default."""
    return [GuidedIntegratedGradients(steps), ExpectedGradients(references, num_samples=steps)]


def measured(network: nn.Module, image: Tensor, method: SaliencyMethod) -> list[str]:
    """Return the gap, what is missing, and the change of the predicted class's logit."""
    with torch.no_grad():
        logits = network(image)
        target = logits.argmax(dim=1)
        starts = torch.cat([network(start)[:, target] for start in method.baselines(image) or ()])
    value, start = logits.max().item(), starts.mean().item()
    gap = CompletenessGap().scores(network, image, image[:, 0], target, method=method).item()
    return [f"{number:.4g}" for number in (gap, gap * (abs(value) + abs(start)), value - start)]


def _photographs(folder: Path) -> tuple[nn.Module, Tensor, Tensor]:
    """Spread the images over the classes; references are of other classes."""
    files = image_files(folder)
    explained, others = files[:: len(files) // NUM_IMAGES][:NUM_IMAGES], files[5 :: len(files) // NUM_REFERENCES]
    return load_lite0(), read_images(explained)[0], read_images(others[:NUM_REFERENCES])[0]


def _noise() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("test_resnet", num_classes=5).eval()
    return network, torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)


def parsed() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data-dir", default=os.environ.get("LIGHTNING_SALIENCY_DATA", ""), help="folder of the data")
    parser.add_argument("--rows", type=Path, default=ROWS, help="table that rows are appended to")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no row after this time")
    parser.add_argument("--quick", action="store_true", help="noise, a small network and few steps")
    options = parser.parse_args()
    if not options.data_dir and not options.quick:
        parser.error("`--data-dir` must name the folder with images, but got none. Or pass `--quick`.")
    return options


if __name__ == "__main__":
    main(parsed())
