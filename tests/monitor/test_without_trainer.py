"""`evaluate` does without a Trainer what the monitor does with one."""

import csv
import inspect
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

from lightning_saliency import Evaluation, SaliencyMonitor, evaluate
from lightning_saliency.methods import EigenCAM, Gradient, SmoothGrad
from lightning_saliency.metrics import RCAP, PointingGame
from tests.callbacks.processes import spawn
from tests.callbacks.training import CLASSES, MEAN, STD, Classifier, Data, Network, Patterns, trainer
from tests.models import pictures, small_cnn
from tests.traces import assert_no_trace, mixed_modes, trace_of

COLOURS = {"mean": MEAN, "std": STD}
OPTIONS = [
    {},
    {"methods": [SmoothGrad(num_samples=3), "eigen_cam"], "metrics": ["deletion", "rcap"], "controls": ("edges",)},
    {"target": "predicted", "min_confidence": 0.34, "seed": 3, "num_images": 7, "max_batch_size": 2},
    {"metrics": ["road"], "name": "other", "scale": "common"},
]
# A network that has learned nothing may have constant maps.
pytestmark = pytest.mark.filterwarnings("ignore:.*are constant")


class Stream(IterableDataset):
    """The images of this process, in their order."""

    def __init__(self, images, labels, rank=0, world_size=1):
        self.pairs = list(zip(images, labels, strict=True))[rank::world_size]

    def __iter__(self):
        return iter(self.pairs)


def network():
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        return Network()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [18, 40])
def test_the_values_are_those_that_validate_logs(options, size):
    module = Classifier(network())
    options = {"num_images": 16, **COLOURS, **options}
    monitor = SaliencyMonitor(**options, cues=())
    run = trainer([monitor])
    run.validate(module, Data(num_val=size), verbose=False)
    summary = evaluate(module, Data(num_val=size).val_dataloader(), **options, cues=()).summary()
    (record,) = monitor.history
    timeless = {name for name in record.values if not name.endswith("/seconds")}
    assert timeless == {name for name in summary if not name.endswith("/seconds")}
    for name in timeless:
        assert summary[name].value == pytest.approx(record.values[name], abs=1e-6)
        assert summary[name].num_images == record.counts[name]
        if summary[name].error is not None:
            assert summary[name].error == pytest.approx(record.errors[name], abs=1e-6)


def test_arguments_that_the_monitor_has_too_have_its_defaults():
    here = inspect.signature(evaluate).parameters
    there = inspect.signature(SaliencyMonitor).parameters
    common = here.keys() & there.keys()
    assert common == here.keys() - {"network", "data", "share"}
    assert {name: here[name].default for name in common} == {name: there[name].default for name in common}
    assert all(here[name].kind is inspect.Parameter.KEYWORD_ONLY for name in here.keys() - {"network", "data"})


def test_the_network_and_the_random_state_stay_as_they_were():
    model = mixed_modes(small_cnn())
    before = trace_of(model)
    images, labels = pictures(6)
    evaluate(model, (images, labels), methods=["guided_absolute_grad", SmoothGrad(num_samples=2)], cues=())
    evaluate(model, DataLoader(Stream(images, labels), 2), methods=["gradient"], cues=())
    assert_no_trace(model, before)


def test_a_fault_leaves_no_trace_either():
    def broken(model, images, targets):
        raise RuntimeError("broken on purpose")

    model = mixed_modes(small_cnn())
    before = trace_of(model)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        evaluate(model, pictures(6), methods={"broken": broken}, cues=())
    assert_no_trace(model, before)


def test_tensors_a_loader_and_a_stream_of_the_same_images_have_the_same_scores():
    images, labels = pictures(6)
    pairs = list(zip(images, labels, strict=True))
    sources = [
        (images, labels),
        [images, labels],
        DataLoader(pairs, 4),
        DataLoader(Stream(images, labels), 4),
        [(images[:4], labels[:4]), (images[4:], labels[4:])],
        [{"image": images, "label": labels}],
    ]
    first, *others = [evaluate(small_cnn(), data, methods=["gradient"], cues=()) for data in sources]
    assert len(first.indices) == 6
    for other in others:
        assert torch.equal(other.indices, first.indices)
        for key, column in first.scores.items():
            if key[0] == "gradient":
                assert torch.allclose(other.scores[key], column, atol=1e-6)


def test_images_and_labels_may_come_from_inference_mode():
    images, labels = pictures(4)
    model = small_cnn()
    expected = evaluate(model, (images, labels), methods=["gradient"], cues=())
    with torch.inference_mode():
        for data in [(images + 0, labels + 0), DataLoader(Stream(images + 0, labels + 0), 4)]:
            evaluation = evaluate(model, data, methods=["gradient"], cues=())
            assert torch.equal(evaluation.scores["gradient", "rcap"], expected.scores["gradient", "rcap"])


def test_masks_are_the_third_tensor():
    images, labels = pictures(4)
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[:2] = True  # the whole image: nobody can miss it
    scores = evaluate(
        small_cnn(), (images, labels, masks), methods=["gradient"], metrics=[PointingGame()], cues=()
    ).scores
    column = scores["gradient", "pointing_game"]
    assert column[:2].tolist() == [1, 1]
    assert not (column[2:] == 1).any()


def test_a_stream_is_read_no_further_than_needed_and_no_further_than_memory_allows():
    images, labels = pictures(30)

    def batches():
        for start in range(0, 30, 5):
            assert start <= 10, "read too far"
            yield images[start : start + 5], labels[start : start + 5]

    assert len(evaluate(small_cnn(), batches(), methods=["gradient"], num_images=12, cues=()).indices) == 12
    size = 4 * images[0].numel()
    few = evaluate(small_cnn(), batches(), methods=["gradient"], max_kept_bytes=6 * size, cues=())
    assert few.indices.tolist() == list(range(10))


def test_shares_merge_into_the_evaluation_of_one_process():
    data = pictures(11)
    options = {"methods": [SmoothGrad(num_samples=3), Gradient()], "num_images": 9, "controls": ("random", "edges")}
    alone = evaluate(small_cnn(), data, **options, cues=())
    for world_size in (2, 4):
        parts = [
            evaluate(small_cnn(), data, share=(rank, world_size), **options, cues=()) for rank in range(world_size)
        ]
        assert [len(part.indices) for part in parts] == [len(range(rank, 9, world_size)) for rank in range(world_size)]
        merged = Evaluation.merge([pickle.loads(pickle.dumps(part)) for part in parts])
        assert_same(merged, alone)
        assert merged.pictures().keys() == alone.pictures().keys()


def test_shares_of_streams_merge_too():
    images, labels = pictures(9)
    alone = evaluate(small_cnn(), DataLoader(Stream(images, labels), 4), methods=["gradient"], num_images=7, cues=())
    parts = [
        evaluate(
            small_cnn(),
            DataLoader(Stream(images, labels, rank, 2), 4),
            methods=["gradient"],
            num_images=7,
            share=(rank, 2),
            cues=(),
        )
        for rank in (1, 0)
    ]
    assert_same(Evaluation.merge(parts), alone, controls=())


def test_more_processes_than_images_leave_some_without_any():
    data = pictures(2)
    parts = [evaluate(small_cnn(), data, methods=["gradient"], share=(rank, 3), cues=()) for rank in range(3)]
    assert [len(part.indices) for part in parts] == [1, 1, 0]
    assert_same(Evaluation.merge(parts), evaluate(small_cnn(), data, methods=["gradient"], cues=()))


def test_evaluations_travel_although_functions_among_the_arguments_cannot():
    evaluation = evaluate(
        small_cnn(),
        pictures(4),
        methods=["gradient"],
        target=lambda logits, labels: labels,
        model=lambda model, images: model(images),
        output=lambda logits: logits,
        batch=lambda batch: batch,
        cues=(),
    )
    assert_same(pickle.loads(pickle.dumps(evaluation)), evaluation)


def assert_same(one, other, controls=("random",)):
    assert torch.equal(one.indices, other.indices)
    assert torch.equal(one.targets, other.targets)
    assert one.scores.keys() == other.scores.keys()
    for key, column in other.scores.items():
        if key[0] != "random" or "random" in controls:
            assert torch.allclose(one.scores[key], column, atol=1e-6, equal_nan=True), key
    for method, maps in other.maps.items():
        assert one.maps[method].keys() == maps.keys()
        for index, single in maps.items():
            assert torch.allclose(one.maps[method][index], single, atol=1e-3 * float(single.abs().max()) + 1e-9)


def plain_ddp():
    rank, world_size = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    distributed.init_process_group("gloo", rank=rank, world_size=world_size)
    model = DistributedDataParallel(small_cnn())
    # The first process has one image more, so that a collective in a pass would wait forever.
    part = evaluate(model, pictures(7), methods=[Gradient()], share=(rank, world_size), cues=())
    parts = [None] * world_size
    distributed.all_gather_object(parts, part)
    return Evaluation.merge(parts)


def fabric():
    run = Fabric(accelerator="cpu", devices=2, strategy="ddp", num_nodes=1)
    run.launch()
    model = run.setup(small_cnn())
    part = evaluate(model, pictures(7), methods=[Gradient()], share=(run.global_rank, run.world_size), cues=())
    parts = [None] * run.world_size
    distributed.all_gather_object(parts, part)
    return Evaluation.merge(parts)


def blocks_of_the_page():
    page = Path(__file__).parents[2] / "docs" / "without-a-trainer.md"
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def page_in_processes():
    rank, world_size = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    distributed.init_process_group("gloo", rank=rank, world_size=world_size)
    (block,) = (block for block in blocks_of_the_page() if "all_gather_object" in block)
    names = {"network": small_cnn(), "loader": DataLoader(list(zip(*pictures(6), strict=True)), 4)}
    exec(block, names)
    return len(names["evaluation"].indices)


def test_the_blocks_of_the_page_run_in_one_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"network": small_cnn(), "loader": DataLoader(list(zip(*pictures(6), strict=True)), 4)}
    names["train"] = lambda network: None
    for block in blocks_of_the_page()[:2]:
        exec(block, names)
    assert (tmp_path / "explanations" / "saliency.csv").exists()
    assert {row["epoch"] for row in names["tables"]} == {0, 1, 2}


def test_the_block_of_the_page_runs_in_several_processes(tmp_path):
    assert spawn(page_in_processes, tmp_path) == [6, 6]


@pytest.mark.parametrize("scenario", [plain_ddp, fabric])
def test_processes_of_ddp_and_fabric_have_the_results_of_one(scenario, tmp_path):
    for merged in spawn(scenario, tmp_path):
        assert_same(merged, evaluate(small_cnn(), pictures(7), methods=[Gradient()], cues=()))


def test_a_module_of_fabric_alone_is_evaluated_without_its_wrapper():
    model = Fabric(accelerator="cpu", devices=1).setup(small_cnn())
    assert_same(evaluate(model, pictures(4), cues=()), evaluate(small_cnn(), pictures(4), cues=()))


@pytest.mark.parametrize("room", [1, 3, 17])
def test_automatic_batches_halve_until_they_fit(room):
    class Tight(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = small_cnn()

        def forward(self, images):
            if len(images) > room:
                raise torch.OutOfMemoryError("no room on purpose")
            return self.network(images)

    data = pictures(6)
    evaluation = evaluate(Tight(), data, methods=["gradient"], max_batch_size="auto", cues=())
    expected = evaluate(small_cnn(), data, methods=["gradient"], cues=())
    assert torch.allclose(evaluation.scores["gradient", "rcap"], expected.scores["gradient", "rcap"], atol=1e-6)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(Tight(), pictures(20), methods=["gradient"], cues=())


def test_the_summary_has_means_errors_and_counts_and_prints_a_line_each():
    evaluation = evaluate(small_cnn(), pictures(6), methods=["gradient"], metrics=[RCAP()], cues=())
    summary = evaluation.summary()
    column = evaluation.scores["gradient", "rcap"].numpy()
    scalar = summary["saliency/gradient/rcap"]
    assert scalar.value == pytest.approx(column.mean())
    assert scalar.error == pytest.approx(column.std(ddof=1) / np.sqrt(6))
    head, *lines = str(summary).splitlines()
    assert head.split() == ["name", "value", "stderr", "images"]
    assert [line.split()[0] for line in lines] == list(summary)
    (line,) = [line for line in lines if line.startswith("saliency/gradient/rcap ")]
    assert line.split()[1:] == [f"{scalar.value:.4g}", f"{scalar.error:.4g}", "6"]


def test_rows_data_frames_and_the_saved_table_agree_with_the_monitors(tmp_path):
    module = Classifier(network())
    options = {"methods": [Gradient(), EigenCAM()], "num_images": 5, **COLOURS}
    run = trainer([SaliencyMonitor(**options, cues=())], logger=True, default_root_dir=tmp_path / "logs")
    run.validate(module, Data(), verbose=False)
    (table,) = (tmp_path / "logs").rglob("saliency.csv")
    evaluation = evaluate(module, Data().val_dataloader(), **options, cues=())
    evaluation.save(tmp_path / "here")
    evaluation.save(tmp_path / "here")  # an earlier call does not matter
    theirs, ours = read(table), read(tmp_path / "here" / "saliency.csv")
    assert [without_score(row) for row in ours] == [without_score(row) for row in theirs]
    assert [float(row["score"]) for row in ours] == pytest.approx([float(row["score"]) for row in theirs], abs=1e-6)
    assert [{key: str(value) for key, value in row.items()} for row in evaluation.rows()] == ours
    frame = evaluation.to_pandas(epoch=3, step=40)
    assert list(frame.columns) == list(ours[0])
    assert len(frame) == len(ours)
    assert set(frame["epoch"]) == {3}
    assert set(frame["step"]) == {40}


def test_strips_are_saved_as_pictures(tmp_path):
    evaluation = evaluate(small_cnn(), pictures(6), methods=["gradient"], num_panels=2, cues=())
    evaluation.save(tmp_path)
    files = sorted(path.relative_to(tmp_path / "pictures").as_posix() for path in tmp_path.rglob("*.png"))
    drawings = evaluation.pictures()
    assert files == sorted(f"{name}.png" for name in drawings)
    assert sum(name.startswith("saliency/gradient/image_") for name in drawings) == 2
    for name, drawing in drawings.items():
        image = np.asarray(Image.open(tmp_path / "pictures" / f"{name}.png"))
        assert np.array_equal(image, drawing.permute(1, 2, 0).numpy())


def test_without_pandas_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    evaluation = evaluate(small_cnn(), pictures(2), methods=["gradient"], cues=())
    with pytest.raises(ImportError, match=r"pandas, but it is not installed\.  Install it, or use `rows\(\)`"):
        evaluation.to_pandas()
    assert evaluation.rows()


def test_an_evaluation_without_scores_has_the_columns_of_a_table():
    evaluation = evaluate(small_cnn(), pictures(2), methods=["gradient"], min_confidence=0.999999, cues=())
    assert evaluation.to_pandas().columns.tolist()[-3:] == ["method", "metric", "score"]
    assert evaluation.summary()["saliency/used"].value == 0


def test_maps_have_the_values_that_the_method_returned():
    images, labels = pictures(3)
    maps = evaluate(small_cnn(), (images, labels), methods=["gradient"], cues=()).maps["gradient"]
    expected = Gradient()(small_cnn(), images, labels)
    for index, single in maps.items():
        assert torch.allclose(single, expected[index], atol=2e-3 * float(expected[index].abs().max()))


IMAGES, LABELS = pictures(4)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (lambda images: images, (IMAGES, LABELS)),
            {},
            TypeError,
            "`network` must be .*, but got function",
        ),
        ((small_cnn(), IMAGES), {}, TypeError, "`data` must be a loader or a tuple of tensors, but got Tensor"),
        ((small_cnn(), 3), {}, TypeError, "`data` must be a loader or a tuple of tensors, but got int"),
        ((small_cnn(), (IMAGES,)), {}, TypeError, r"`data` must be two or three tensors, but got \(Tensor\)"),
        ((small_cnn(), (IMAGES, [0, 1])), {}, TypeError, r"but got \(Tensor, list\)"),
        ((small_cnn(), (IMAGES, LABELS[:3])), {}, ValueError, r"equal length, but got lengths \[4, 3\]"),
        ((small_cnn(), (IMAGES[:0], LABELS[:0])), {}, ValueError, "`data` must hold images, but got none"),
        ((small_cnn(), iter([])), {}, ValueError, "`data` must hold images, but got none"),
        ((small_cnn(), (IMAGES, LABELS)), {"share": (2, 2)}, ValueError, r"but got \(2, 2\)"),
        ((small_cnn(), (IMAGES, LABELS)), {"share": (-1, 2)}, ValueError, r"but got \(-1, 2\)"),
        ((small_cnn(), (IMAGES, LABELS)), {"share": 2}, TypeError, "`share` must be .* but got 2"),
        ((small_cnn(), (IMAGES, LABELS)), {"share": (0.5, 2)}, TypeError, r"but got \(0.5, 2\)"),
        ((small_cnn(), (IMAGES, LABELS)), {"num_images": 0}, ValueError, "`num_images` to be at least 1, but got 0"),
        ((small_cnn(), (IMAGES, LABELS)), {"methods": ["no_such"]}, ValueError, "but got 'no_such'"),
        ((small_cnn(), (IMAGES, LABELS)), {"model": "no.such"}, ValueError, "but got 'no.such'"),
        ((small_cnn(), (IMAGES, LABELS)), {"max_batch_size": "all"}, TypeError, "but got 'all'"),
        ((small_cnn(), (IMAGES, LABELS + CLASSES + 4)), {}, ValueError, "`targets` to lie in"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(*arguments, **options, cues=())


def test_only_evaluations_of_the_same_methods_merge():
    one, other = (
        evaluate(small_cnn(), (IMAGES, LABELS), methods=[method], cues=()) for method in ("gradient", "square_grad")
    )
    with pytest.raises(ValueError, match=r"equal methods and metrics, but got .*gradient.* and .*square_grad"):
        Evaluation.merge([one, other])
    with pytest.raises(ValueError, match="`parts` must hold an evaluation, but got none"):
        Evaluation.merge([])


def test_a_default_metric_that_needs_unknown_colours_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match=r"pass `mean` and `std`"):
        evaluation = evaluate(small_cnn(), (IMAGES * 4 - 2, LABELS), methods=["gradient"], cues=())
    colours = {"mean": 0.5, "std": 0.25}
    complete = evaluate(small_cnn(), (IMAGES * 4 - 2, LABELS), methods=["gradient"], **colours, cues=())
    assert len(complete.scores) > len(evaluation.scores)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_score(row):
    return {key: value for key, value in row.items() if key not in ("score", "run")}


def test_data_sets_with_transforms_are_read_by_index_whatever_the_sampler():
    data = Patterns(18, augment=True)
    loaders = [DataLoader(data, 8, shuffle=shuffle, drop_last=shuffle) for shuffle in (False, True)]
    first, second = (
        evaluate(network(), loader, methods=["gradient"], num_images=6, **COLOURS, cues=()) for loader in loaders
    )
    assert_same(first, second)
