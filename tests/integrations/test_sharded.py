"""Parameters spread over two processes: the scores of one, and training as it would be without the monitor."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch.utils.data import DataLoader, IterableDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.callbacks._sharding import refuse_unshardable
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import LRP, FullGrad, GradCAM, GuidedAbsoluteGrad, GuidedBackprop, IntegratedGradients
from lightning_saliency.metrics import ParameterRandomization
from lightning_saliency.monitor._choice import choose_indices
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trainer

ODD = 7


class Sharded(Classifier):
    """Shards its convolutions, its head and the rest."""

    def configure_model(self):
        from torch.distributed._composable.fsdp import fully_shard

        if self.device_mesh is not None:
            mesh = self.device_mesh["data_parallel"]
            for part in (self.network[0], self.network[3], self.network[-1], self.network):
                fully_shard(part, mesh=mesh)


class FrozenStart(Sharded):
    def __init__(self):
        super().__init__()
        self.network[0].requires_grad_(False)


def strategy():
    return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1, process_group_backend="gloo")


def monitor(**options):
    methods = [GuidedAbsoluteGrad(num_samples=4), GradCAM(), IntegratedGradients(num_steps=3)]
    everything = {"drift": [*DRIFT_MEASURES], "best": "grad_cam/rcap", "log": ("*",)}
    options = {"num_images": ODD, "max_batch_size": 3, "mean": MEAN, "std": STD, "cues": (), **everything, **options}
    return SaliencyMonitor(methods, **options)


class Stream(IterableDataset):
    def __iter__(self):
        items = Patterns(18)
        return (items[index] for index in range(18))


def data(items=None):
    source = Data()
    source.val_dataloader = lambda: DataLoader(items or Patterns(18), 5)
    return source


def validated(callback, **options):
    torch.manual_seed(3)
    run = trainer([callback], **options)
    run.validate(Sharded(), data(), verbose=False)
    return {name: value.item() for name, value in run.callback_metrics.items() if not name.endswith("seconds")}


def gathered(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def trained(callbacks, make=Sharded, source=None, **options):
    run, module = fit(callbacks, make, source or data(), strategy=strategy(), devices=2, **options)
    states = run.optimizers[0].state.values()
    return {
        "weights": {name: gathered(value).clone() for name, value in module.state_dict().items()},
        "momentum": [gathered(state["momentum_buffer"]).clone() for state in states],
        "losses": module.losses,
        "flags": {name: parameter.requires_grad for name, parameter in module.named_parameters()},
        "chance": torch.get_rng_state(),
        "hooks": [len(part._forward_hooks) for part in module.modules()],
    }, sorted(name for name in run.callback_metrics if name.startswith("saliency"))


class Torn(Patterns):
    """Holds an image that the second process is to explain, cannot be read, and is none of the first ten."""

    def __init__(self, size):
        super().__init__(size)
        second = choose_indices(Patterns(size), range(size), ODD, 0)[1::2]
        self.torn = next(index for index in second if index >= 10)

    def __getitem__(self, index):
        if index == self.torn:
            raise RuntimeError("a torn file")
        return super().__getitem__(index)


def refusal(callback, source=None):
    try:
        trained([callback], source=source)
    except (TypeError, ValueError) as error:
        return str(error)


def scenario():
    results = {
        "scores": validated(monitor(), strategy=strategy(), devices=2),
        "one image": validated(monitor(num_images=1), strategy=strategy(), devices=2),
        "cues": validated(monitor(cues=None), strategy=strategy(), devices=2),
        "alone": trained([])[0],
        "frozen alone": trained([], FrozenStart)[0],
    }
    results["watched"], results["names"] = trained([monitor()])
    rough = {"scoring_precision": "bf16"}
    results["rough scores"] = validated(monitor(**rough), strategy=strategy(), devices=2)
    results["rough watched"], _ = trained([monitor(**rough)])
    results["frozen watched"], _ = trained([monitor()], FrozenStart)
    torn = data(Torn(18))
    results["torn"], results["torn names"] = trained([monitor()], source=torn, limit_val_batches=1)
    results["torn alone"], _ = trained([], source=data(), limit_val_batches=1)
    results["refused"] = [
        refusal(monitor(max_batch_size="auto", max_seconds=5, max_fraction_of_epoch=0.05)),
        refusal(monitor(), data(Stream())),
    ]
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return spawn(scenario, tmp_path_factory.mktemp("sharded"))


@pytest.mark.parametrize(("key", "count"), [("scores", ODD), ("one image", 1)])
def test_sharded_modules_have_the_scores_of_whole_ones(ranks, key, count):
    one = validated(monitor(num_images=count))
    for rank in ranks:
        assert rank[key].keys() == one.keys()
        for name, value in one.items():
            assert rank[key][name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_sharded_modules_follow_cues_as_whole_ones_do(ranks):
    one = validated(monitor(cues=None))
    assert {"saliency/alarm", "saliency/cues/wide_frame"} <= set(one)
    for rank in ranks:
        assert rank["cues"] == pytest.approx(one, rel=1e-4, abs=1e-6)


def test_scores_in_half_precision_are_nearly_those_of_whole_modules(ranks):
    one = validated(monitor())
    for rank in ranks:
        assert rank["rough scores"].keys() == one.keys()
        name = "saliency/grad_cam/rcap"
        assert rank["rough scores"][name] == pytest.approx(one[name], abs=0.1)


@pytest.mark.parametrize(
    ("watched", "alone"),
    [
        ("watched", "alone"),
        ("rough watched", "alone"),
        ("frozen watched", "frozen alone"),
        ("torn", "torn alone"),
    ],
)
def test_training_is_bit_identical_with_and_without_the_monitor(ranks, watched, alone):
    for rank in ranks:
        assert_identical(rank[watched], rank[alone])
        assert "saliency/grad_cam/drift_spearman" in rank["names"]


def test_an_image_that_one_process_cannot_read_is_left_out_on_both(ranks):
    assert all("saliency/left_out" in rank["torn names"] for rank in ranks)


def test_what_makes_numbers_of_passes_differ_is_refused_by_name_on_all_processes(ranks):
    for rank in ranks:
        budget, stream = rank["refused"]
        assert "but got `max_batch_size` 'auto', `max_seconds`, `max_fraction_of_epoch`" in budget
        assert "can be read by index" in stream
        assert "Stream" in stream


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"metrics": [ParameterRandomization(name="changing")]}, "metric 'changing'"),
        ({"methods": {"guided": GuidedBackprop()}}, "method 'guided'"),
        ({"methods": {"relevance": LRP()}}, "method 'relevance'"),
        ({"methods": {"full": FullGrad()}}, "method 'full'"),
        ({"min_confidence": 0.5}, "`min_confidence`"),
    ],
)
def test_what_changes_parameters_or_gradients_is_refused_by_name(options, culprit):
    settings = SaliencyMonitor(**{"mean": MEAN, "std": STD, **options}, cues=()).settings
    with pytest.raises(ValueError, match=culprit):
        refuse_unshardable(SimpleNamespace(strategy=ModelParallelStrategy()), settings)


@pytest.mark.parametrize("kind", [FSDPStrategy, DeepSpeedStrategy])
def test_other_sharding_strategies_are_refused(kind):
    strategy = object.__new__(kind)
    with pytest.raises(TypeError, match=f"got {kind.__name__}: use DDPStrategy, or ModelParallelStrategy"):
        refuse_unshardable(SimpleNamespace(strategy=strategy), monitor().settings)
