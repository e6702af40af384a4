"""Max-sensitivity in closed form and against captum's procedure."""

import pytest
import torch

from lightning_saliency import score
from lightning_saliency.methods import Gradient, SmoothGrad
from lightning_saliency.metrics import MaxSensitivity
from tests.metrics.samples import FIRST, batch, curved, summing


def brightness(model, images, targets):
    return images.mean(dim=1)


def test_agrees_with_the_authors_procedure():
    images, targets = batch()
    model, method = curved(), Gradient(reduce="sum_abs")
    maps = method(model, images, targets)
    shaken = []

    def watched(model, images, targets):
        shaken.append(images)
        return method(model, images, targets)

    scores = MaxSensitivity(radius=0.1, num_samples=4, seed=2).scores(model, images, maps, targets, method=watched)
    naive = []
    assert len(shaken) == 4
    for row, (image, map_, target) in enumerate(zip(images, maps, targets, strict=True)):
        distances = []
        for moved in (changed[row : row + 1] for changed in shaken):
            assert 0 < (moved - image).abs().max() <= 0.1 * (image.max() - image.min())
            distances.append((method(model, moved, target[None])[0] - map_).norm() / map_.norm())
        naive.append(max(distances))
    torch.testing.assert_close(scores, torch.stack(naive), atol=1e-6, rtol=0)
    assert bool((scores > 0).all())


def test_linear_model_has_a_gradient_that_never_moves():
    images = torch.rand(3, 1, 4, 4)
    method = Gradient()
    targets = FIRST.expand(3) + 1
    maps = method(summing, images, targets)
    assert MaxSensitivity().scores(summing, images, maps, targets, method=method).tolist() == [0, 0, 0]


def test_score_is_bounded_by_the_radius_where_the_map_is_the_image():
    images, targets = batch(channels=1)
    scores = MaxSensitivity(radius=0.05).scores(curved(1), images, images[:, 0], targets, method=brightness)
    assert bool((scores <= 0.05 * 42**0.5 / images.flatten(1).norm(dim=1)).all())
    assert bool((scores > 0).all())


def test_blank_map_scores_zero_where_its_neighbours_are_blank_and_one_where_not():
    images, targets = batch()
    blank = torch.zeros(5, 6, 7)
    for method, expected in ((lambda *_: blank, 0), (brightness, 1)):
        assert MaxSensitivity().scores(curved(), images, blank, targets, method=method).tolist() == [expected] * 5


def test_methods_are_explained_again_together_once_for_each_change():
    images, targets = batch()
    model = curved()
    methods = {"gradient": Gradient(), "again": Gradient("sum_abs"), "smooth": SmoothGrad(num_samples=3)}
    maps = {name: method(model, images, targets) for name, method in methods.items()}
    passed = []
    handle = model.register_forward_hook(lambda module, inputs, output: passed.append(len(inputs[0])))
    score(model, images, maps, targets, [MaxSensitivity(num_samples=4)], methods=methods)
    handle.remove()
    # For each change one clean and three noisy copies.
    assert sum(passed) == 5 * 4 * (1 + 3)


def test_scores_of_several_methods_are_those_of_each_alone():
    images, targets = batch()
    model = curved()
    methods = {"gradient": Gradient(), "smooth": SmoothGrad(num_samples=3)}
    maps = {name: method(model, images, targets) for name, method in methods.items()}
    together = score(model, images, maps, targets, [MaxSensitivity()], methods=methods)
    for name, method in methods.items():
        alone = MaxSensitivity().scores(model, images, maps[name], targets, method=method)
        torch.testing.assert_close(together[name]["max_sensitivity"], alone)


def test_missing_methods_are_refused_by_name():
    images, targets = batch()
    with pytest.raises(ValueError, match="Expected `methods` for metric 'max_sensitivity', but got None"):
        score(curved(), images, {"a": images[:, 0]}, targets, [MaxSensitivity()])
    with pytest.raises(ValueError, match="Expected `method` for metric 'max_sensitivity', but got None"):
        MaxSensitivity().update(curved(), images, images[:, 0], targets)


@pytest.mark.parametrize("arguments", [{"radius": -0.1}, {"num_samples": 0}, {"seed": -1}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MaxSensitivity(**arguments)
