"""The training store: networks trained once by their designs, with the weights of every epoch.

A folder, `LIGHTNING_SALIENCY_STORE` or `runs/store`, holds one file a training. One that is there is read, any other
is trained anew from its seed.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import torch
from designs import Design
from images import Domain, Images, read_domain
from networks import build
from signs import CODES, plant, touched
from torch import Tensor, nn
from torch.nn import functional

BATCH: Final = 64
FEW: Final = 150
RARE: Final = 0.05
WRONG_LABELS: Final = 0.2
SMOOTHING: Final = 0.2
DECAY: Final = 3.0


class Training(NamedTuple):
    """A finished training.

    Attributes:
        design: The row of the plan.
        states: The weights after each epoch.
        data: Images to train on and to validate on with their signs, and the test images without.
    """

    design: Design
    states: list[dict[str, Tensor]]
    data: Domain

    def networks(self) -> Iterator[nn.Module]:
        """Yield the network after each epoch, in evaluation mode."""
        network = build(self.design.network, num_classes(self.data)).eval()
        for state in self.states:
            network.load_state_dict(state)
            yield network


def store_folder() -> Path:
    """Return where trainings are kept."""
    return Path(os.environ.get("LIGHTNING_SALIENCY_STORE", "runs/store"))


def train_or_read(design: Design, folder: Path) -> Training:
    """Return the training of a design from the folder, trained first if it is not there."""
    data = planted_domain(design)
    path = folder / f"{design.name}.pt"
    if path.exists():
        return Training(design, torch.load(path, weights_only=True), data)
    states = list(_epochs(design, data))
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    torch.save(states, draft)
    draft.replace(path)
    return Training(design, states, data)


def planted_domain(design: Design) -> Domain:
    """Plant the signs of a design in the images to train on and to validate on."""
    domain = read_domain(design.domain)
    train = domain.train
    if design.control == "few":
        train = Images(train.images[:FEW], train.labels[:FEW])
    train, val = (_planted(part, design, part_seed) for part_seed, part in enumerate((train, domain.val)))
    if design.control == "noise":
        train = Images(train.images, _mislabelled(train.labels, num_classes(domain), design.seed))
    return Domain(train, val, domain.test)


def signed(part: Images, kind: str, codes: Tensor, seed: int) -> Images:
    """Plant signs that stand for classes `codes` (N,) in images."""
    return Images(plant(part.images, _spread(codes, kind, int(part.labels.max()) + 1), kind, seed), part.labels)


def drawn_codes(labels: Tensor, agreement: float, seed: int) -> Tensor:
    """Return the label with this probability, and otherwise one drawn from all."""
    generator = torch.Generator().manual_seed(seed)
    others = labels[torch.randperm(len(labels), generator=generator)]
    return torch.where(torch.rand(len(labels), generator=generator) < agreement, labels, others)


def num_classes(domain: Domain) -> int:
    """Count the classes of a domain."""
    return int(domain.test.labels.max()) + 1


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Return logits (N, K)."""
    with torch.no_grad():
        return torch.cat([network(part) for part in images.split(250)])


def accuracy(network: nn.Module, part: Images) -> float:
    """Return the share of images whose class is right."""
    return (predict(network, part.images).argmax(dim=1) == part.labels).float().mean().item()


def _planted(part: Images, design: Design, part_seed: int) -> Images:
    if design.kind == "none":
        return part
    seed = 10 * design.seed + part_seed
    agreement = 0.0 if design.control == "random" else design.agreement
    codes = drawn_codes(part.labels, agreement, seed)
    if design.control == "rare":
        chosen = torch.rand(len(codes), generator=torch.Generator().manual_seed(seed + 5)) < RARE
        codes = torch.where(chosen, codes, -1)
    return signed(part, design.kind, codes, seed)


def _spread(codes: Tensor, kind: str, classes: int) -> Tensor:
    """Let the signs of few classes differ as much as those of ten, where each class has a sign."""
    if len(touched(kind)) < CODES:
        return codes
    return torch.where(codes < 0, codes, codes * (CODES - 1) // (classes - 1))


def _mislabelled(labels: Tensor, classes: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    wrong = torch.rand(len(labels), generator=generator) < WRONG_LABELS
    return torch.where(wrong, torch.randint(classes, (len(labels),), generator=generator), labels)


def _epochs(design: Design, data: Domain) -> Iterator[dict[str, Tensor]]:
    torch.manual_seed(design.seed)
    network = build(design.network, num_classes(data)).train()
    optimizer = _optimizer(network, design)
    smoothing = SMOOTHING if design.control == "smooth" else 0.0
    for _ in range(design.epochs):
        for rows in torch.randperm(len(data.train.labels)).split(BATCH):
            if len(rows) == 1:
                continue  # BatchNorm needs two
            images = CHANGES.get(design.control, _same)(data.train.images[rows])
            optimizer.zero_grad()
            functional.cross_entropy(network(images), data.train.labels[rows], label_smoothing=smoothing).backward()
            optimizer.step()
        yield {key: value.clone() for key, value in network.state_dict().items()}


def _optimizer(network: nn.Module, design: Design) -> torch.optim.Optimizer:
    usual = 5e-4 if design.network in ("resnet20", "lite0") else 2e-3
    rate = 1e-4 if design.control == "weak" else usual
    if design.control == "decay":
        return torch.optim.AdamW(network.parameters(), rate, weight_decay=DECAY)
    return torch.optim.Adam(network.parameters(), rate)


def _same(images: Tensor) -> Tensor:
    return images


def _augmented(images: Tensor) -> Tensor:
    """Move each image by up to three pixels, and mirror every second batch."""
    padded = functional.pad(images, (3, 3, 3, 3), mode="replicate")
    top, left = torch.randint(7, (2,)).tolist()
    moved = padded[:, :, top : top + images.shape[2], left : left + images.shape[3]]
    return moved.flip(3) if torch.rand(()) < 0.5 else moved


def _erased(images: Tensor) -> Tensor:
    """Fill a square of half the side with the mean of the batch, at one place of the batch."""
    side = images.shape[-1] // 2
    top, left = torch.randint(side + 1, (2,)).tolist()
    erased = images.clone()
    erased[:, :, top : top + side, left : left + side] = images.mean()
    return erased


CHANGES: Final[dict[str, Callable[[Tensor], Tensor]]] = {"augment": _augmented, "erase": _erased}
