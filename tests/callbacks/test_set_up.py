"""A stage without explanations refuses nothing, and what cannot work is refused in a sentence of this package."""

import pytest
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, Patterns, fit, trainer


def monitor(**options):
    return SaliencyMonitor([Gradient()], **{"num_images": 6, "mean": MEAN, "std": STD, **options})


class NoForward(Classifier):
    """Calls its network without a forward."""

    forward = Classifier.__mro__[1].forward

    def training_step(self, batch, batch_idx):
        return self.network(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        """Do nothing."""

    def predict_step(self, batch, batch_idx) -> Tensor:
        return self.network(batch[0])


def callbacks(folder):
    return [monitor(), GatedCheckpoint(folder, gates={"saliency/gradient/rcap": ">= 0"})]


def test_a_prediction_of_a_module_without_forward_is_not_refused(tmp_path):
    predictions = trainer(callbacks(tmp_path)).predict(NoForward(), DataLoader(Patterns(8), 4))
    assert sum(map(len, predictions)) == 8


@pytest.mark.parametrize("options", [{}, {"limit_val_batches": 0}])
@pytest.mark.filterwarnings("ignore:.*here is no validation", "ignore:.*Skipping val loop")
def test_a_fit_without_a_validation_is_not_refused(tmp_path, options):
    loader = DataLoader(Patterns(24), 8)
    run = trainer(callbacks(tmp_path), max_epochs=1, **options)
    run.fit(NoForward(), *([loader, loader] if options else [loader]))
    assert run.global_step == 3


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_what_explains_refuses_a_module_without_forward(stage):
    with pytest.raises(ValueError, match="NoForward must have a `forward`"):
        getattr(trainer([monitor()]), stage)(NoForward(Network()), Data())


@pytest.mark.parametrize("name", ["saliency", "watch"])
def test_monitors_of_equal_names_are_refused_with_the_way_out(name):
    with pytest.raises(
        ValueError, match=rf"`name` must be another one for every SaliencyMonitor, but got '{name}'.*Pass"
    ):
        fit([monitor(name=name), SaliencyMonitor([Gradient()], name=name)])


def test_one_monitor_in_two_trainers_keeps_its_key():
    watcher = monitor()
    module = fit([watcher], max_epochs=1)[1]
    trainer([watcher]).validate(module, Data(), verbose=False)
    assert watcher.state_key == "SaliencyMonitor[saliency]"
