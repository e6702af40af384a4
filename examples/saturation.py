"""Why gradients are integrated: on the path from black to an image the score saturates, and Grad-CAM vanishes.

Trains a small network whose class scores saturate on scikit-learn's digits. Along the straight path from black
to a digit it prints the score, the similarity of the layer's activation to its last value, and the size of the
gradient that Grad-CAM would use there; then the maps of Grad-CAM and Expected Grad-CAM for the digit.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency.methods import ExpectedGradCAM, GradCAM


class Saturating(nn.Module):
    """Convolutions and a head whose scores end at 1."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10))

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, 10) in [0, 1]."""
        scores: Tensor = self.head(self.features(images)).sigmoid()
        return scores


def trained(images: Tensor, labels: Tensor) -> Saturating:
    """Train until most scores are saturated."""
    torch.manual_seed(0)
    network = Saturating()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(12):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            scores = network(images[rows])
            functional.binary_cross_entropy(scores, functional.one_hot(labels[rows], 10).float()).backward()
            optimizer.step()
    return network.eval()


def main() -> None:
    """Train, walk the path, explain."""
    scans, classes = load_digits(return_X_y=True)
    images = torch.tensor(scans, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(classes)
    network = trained(images[200:], labels[200:])
    image, label = images[:1], labels[:1]
    last = network.features(image).flatten()
    print("share of the image   score   layer's similarity   Grad-CAM's gradient")
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        activation = network.features(share * image).detach().requires_grad_()
        score = network.head(activation).sigmoid()[0, label.item()]
        (gradient,) = torch.autograd.grad(score, activation)
        similarity = functional.cosine_similarity(activation.flatten(), last, dim=0)
        print(f"{share:18.1f}   {score.item():5.3f}   {similarity.item():18.3f}   {gradient.abs().sum().item():19.5f}")
    black = torch.zeros(1, 1, 8, 8)
    for name, method in (
        ("Grad-CAM", GradCAM("features")),
        ("Expected Grad-CAM", ExpectedGradCAM("features", black)),
    ):
        print(f"{name} at the image: strongest value {method(network, image, label).max().item():.5f}")
    gap = network(image)[0, label.item()] - network(black)[0, label.item()]
    total = ExpectedGradCAM("features", black, num_samples=100).attribute(network, image, label).sum()
    print(f"Expected Grad-CAM accounts for {total.item():.3f} of the score's rise by {gap.item():.3f}.")


if __name__ == "__main__":
    main()
