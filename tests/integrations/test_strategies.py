"""Two processes under each strategy and launcher: scores of one process, and training as without a monitor."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import GradCAM, Gradient
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, trace, trainer

pytestmark = pytest.mark.filterwarnings("ignore")

EPOCHS = 3
VOLATILE = ("seconds", "fraction_of_epoch")
KEEPING = {"filename": "epoch={epoch}", "auto_insert_metric_name": False, "save_top_k": -1}
SCRIPT = """
import sys
from pathlib import Path

from tests.integrations.test_strategies import started_by_torchrun

if __name__ == "__main__":
    started_by_torchrun(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""


class Steady(Classifier):
    """Draws the same numbers in a step whether or not training was resumed."""

    def on_train_batch_start(self, batch, batch_idx):
        torch.manual_seed(self.global_step)


class Partial(Steady):
    """Has parameters that no loss uses."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)


class Sharded(Steady):
    """Spreads the parameters of three layers over the processes."""

    def configure_model(self):
        if self.device_mesh is not None:
            for part in (self.network[0], self.network[3], self.network[-1], self.network):
                fully_shard(part, mesh=self.device_mesh["data_parallel"])


class Fragile(Steady):
    """Kills the second process once, at the start of the last epoch."""

    def __init__(self, marker):
        super().__init__()
        self.marker = marker

    def on_train_epoch_start(self):
        if self.current_epoch == EPOCHS - 1 and self.global_rank == 1 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class RequeuedError(Exception):
    """A job that SLURM has put into its queue again ends."""


class Ending(Steady):
    """Ends at the start of the last epoch."""

    def on_train_epoch_start(self):
        if self.current_epoch == EPOCHS - 1:
            raise RequeuedError


class Replay(Classifier):
    """Has the next of several weights in each epoch, and trains nothing."""

    def __init__(self, weights):
        super().__init__()
        self.automatic_optimization = False
        self.weights = weights

    def on_train_epoch_start(self):
        self.load_state_dict(self.weights[self.current_epoch], strict=False)

    def training_step(self, batch, batch_idx):
        pass


class Signalling:
    """A method that sends SLURM's signal to its process in one of its calls."""

    def __init__(self, call=None):
        self.call = call
        self.calls = 0

    def __call__(self, model, images, targets):
        self.calls += 1
        if self.calls == self.call:
            os.kill(os.getpid(), signal.SIGUSR1)
        return images.mean(dim=1)


def data():
    source = Data()
    source.train_dataloader = lambda: DataLoader(Patterns(48), 8, shuffle=True)
    source.val_dataloader = lambda: DataLoader(Patterns(18), 5)
    return source


def monitor(method=None):
    methods = {"gradient": Gradient(), "grad_cam": GradCAM(), "mean": method or Signalling()}
    everything = {"drift": [*DRIFT_MEASURES], "best": "gradient/rcap", "log": ("*",)}
    return SaliencyMonitor(methods, num_images=7, mean=MEAN, std=STD, **everything, cues=())


def watched(folder, make=Steady, method=None, callbacks=(), **options):
    """Train with a monitor and a gate that passes; return the training's traces, and the scores of each epoch."""
    watcher = monitor(method)
    gate = GatedCheckpoint(folder, gates={"saliency/gradient/rcap": ">= 0"}, **KEEPING)
    run, module = trained([watcher, gate, *callbacks], make, **options)
    scores = {
        record.epoch: {name: value for name, value in record.values.items() if not name.endswith(VOLATILE)}
        for record in watcher.history
    }
    return trace(run, module), scores


def alone(folder, make=Steady, **options):
    """Train without a monitor, and keep the checkpoint of each epoch."""
    return trace(*trained([ModelCheckpoint(folder, **KEEPING)], make, **options))


def trained(callbacks, make, ckpt_path=None, **options):
    seed_everything(1, verbose=False)
    module = make()
    run = trainer(callbacks, **{"max_epochs": EPOCHS, "num_sanity_val_steps": 0, **options})
    run.fit(module, data(), ckpt_path=ckpt_path)
    return run, module


def checkpoints(folder):
    return {path.name: torch.load(path, weights_only=True) for path in sorted(folder.glob("*.ckpt"))}


def assert_scores_of_one_process(scores, folder, tolerance=1e-6):
    """Explain the checkpoints' networks of the epochs in `scores` in one process, and compare every value."""
    weights = {checkpoint["epoch"]: checkpoint["state_dict"] for checkpoint in checkpoints(folder).values()}
    watcher = monitor()
    trained([watcher], partial(Replay, [weights[epoch] for epoch in scores]), max_epochs=len(scores))
    for (epoch, values), record in zip(scores.items(), watcher.history, strict=True):
        assert values.keys() == {name for name in record.values if not name.endswith(VOLATILE)}
        for name, value in values.items():
            assert value == pytest.approx(record.values[name], rel=tolerance, abs=tolerance), (epoch, name)


def assert_kept_alike(folder, other):
    saved, expected = checkpoints(folder), checkpoints(other)
    assert list(saved) == list(expected) == [f"epoch={epoch}.ckpt" for epoch in range(EPOCHS)]
    for name, checkpoint in saved.items():
        for part in ("epoch", "global_step", "state_dict", "optimizer_states"):
            assert_identical(checkpoint[part], expected[name][part], f"{name}/{part}")


STRATEGIES = {
    "ddp": (Steady, lambda: "ddp"),
    "find_unused": (Partial, lambda: "ddp_find_unused_parameters_true"),
    "static_graph": (Steady, lambda: DDPStrategy(static_graph=True)),
}


def each_strategy(folder):
    results = {}
    for name, (make, strategy) in STRATEGIES.items():
        with_monitor, scores = watched(folder / name / "watched", make, strategy=strategy(), devices=2)
        without = alone(folder / name / "alone", make, strategy=strategy(), devices=2)
        results[name] = with_monitor, without, scores
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Both processes' results under every strategy, and the folder with the checkpoints."""
    folder = tmp_path_factory.mktemp("strategies")
    return folder, spawn(partial(each_strategy, folder), folder)


@pytest.mark.parametrize("name", STRATEGIES)
def test_training_is_that_without_a_monitor_and_scores_are_those_of_one_process(ranks, name):
    folder, results = ranks
    for rank in results:
        with_monitor, without, scores = rank[name]
        assert_identical(with_monitor, without)
        assert list(scores) == list(range(EPOCHS))
        assert_scores_of_one_process(scores, folder / name / "watched")
    assert_kept_alike(folder / name / "watched", folder / name / "alone")


def sharded(folder):
    """Train with sharded parameters; whole ones are in the checkpoints."""
    sizes = {"data_parallel_size": 2, "tensor_parallel_size": 1}

    def strategy():
        return ModelParallelStrategy(**sizes, save_distributed_checkpoint=False, process_group_backend="gloo")

    alone(folder / "alone", Sharded, strategy=strategy(), devices=2)
    _, scores = watched(folder / "watched", Sharded, strategy=strategy(), devices=2)
    return scores


def test_sharded_parameters_are_kept_as_without_a_monitor_and_have_the_scores_of_one_process(tmp_path):
    for scores in spawn(partial(sharded, tmp_path), tmp_path):
        assert list(scores) == list(range(EPOCHS))
        assert_scores_of_one_process(scores, tmp_path / "watched", tolerance=1e-4)
    assert_kept_alike(tmp_path / "watched", tmp_path / "alone")


def started_by_torchrun(folder, num_nodes, marker):
    """Train as one of torchrun's processes, from the last checkpoint if this is a second attempt."""
    torch.set_num_threads(1)
    make = partial(Fragile, Path(marker)) if marker else Steady
    resumed = (folder / "last" / "last.ckpt").exists()
    recovery = ModelCheckpoint(folder / "last", save_last=True)
    options = {"strategy": "ddp", "num_nodes": num_nodes, "devices": 2 // num_nodes, "callbacks": [recovery]}
    options["ckpt_path"] = "last" if resumed else None
    results = watched(folder / "watched", make, **options)
    torch.save((resumed, *results), folder / f"{torch.distributed.get_rank()}.pt")


def torchrun(folder, *options, num_nodes=1, marker=""):
    """Start an agent, which starts one process or two."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    # By default all attempts share a store, in which gloo finds the addresses of the first attempt's processes.
    environment = {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *map(str, options), script, folder, str(num_nodes), marker],
        env={**os.environ, **environment, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results_of(folder, *agents):
    """Wait for the agents and return what each process saved."""
    try:
        outputs = [agent.communicate(timeout=200)[0] for agent in agents]
    finally:
        for agent in agents:
            agent.terminate()
    assert all(agent.returncode == 0 for agent in agents), "\n".join(outputs)[-5000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_agents_of_torchrun_train_as_two_processes_of_one(tmp_path, ranks):
    folder, results = ranks
    options = ("--nnodes", 2, "--nproc-per-node", 1, "--master-addr", "127.0.0.1", "--master-port", free_port())
    agents = [torchrun(tmp_path, *options, "--node-rank", rank, num_nodes=2) for rank in range(2)]
    for rank, (resumed, traces, scores) in enumerate(results_of(tmp_path, *agents)):
        assert not resumed
        assert_identical(traces, results[rank]["ddp"][1])
        assert list(scores) == list(range(EPOCHS))
        assert_scores_of_one_process(scores, tmp_path / "watched")
    assert_kept_alike(tmp_path / "watched", folder / "ddp" / "alone")


def test_a_run_that_torchrun_restarts_after_a_kill_ends_as_if_nothing_had_happened(tmp_path, ranks):
    folder, results = ranks
    marker = tmp_path / "killed"
    agent = torchrun(tmp_path, "--standalone", "--nproc-per-node", 2, "--max-restarts", 1, marker=marker)
    for rank, (resumed, traces, scores) in enumerate(results_of(tmp_path, agent)):
        assert resumed
        assert list(scores) == list(range(EPOCHS))
        assert_identical(traces["weights"], results[rank]["ddp"][1]["weights"])
        assert_identical(traces["optimizer"], results[rank]["ddp"][1]["optimizer"])
        assert_scores_of_one_process(scores, tmp_path / "watched")
    assert marker.exists()
    assert_kept_alike(tmp_path / "watched", folder / "ddp" / "alone")


def requeued(folder):
    """Receive SLURM's signal in the second epoch's evaluation, end, and train on as the requeued job."""
    rank = os.environ["LOCAL_RANK"]
    job = {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_PROCID": rank,
        "SLURM_LOCALID": rank,
        "SLURM_NODEID": "0",
    }
    os.environ |= {**job, "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train"}
    options = {"strategy": "ddp", "devices": 2, "default_root_dir": folder}
    with mock.patch("lightning.pytorch.trainer.connectors.signal_connector.call", return_value=0) as requeue:
        plugins = [SLURMEnvironment(auto_requeue=True)]
        with suppress(RequeuedError):
            watched(folder / "watched", Ending, Signalling(call=2), plugins=plugins, **options)
        commands = [call.args[0] for call in requeue.call_args_list]
        traces, scores = watched(folder / "watched", plugins=plugins, **options)
    return commands, traces, scores


def test_a_job_that_slurm_requeues_in_an_evaluation_ends_as_if_nothing_had_happened(tmp_path, ranks):
    folder, results = ranks
    jobs = spawn(partial(requeued, tmp_path), tmp_path)
    assert [commands for commands, _, _ in jobs] == [[["scontrol", "requeue", "1"]], []]
    for rank, (_, traces, scores) in enumerate(jobs):
        assert_identical(traces["weights"], results[rank]["ddp"][1]["weights"])
        assert_identical(traces["optimizer"], results[rank]["ddp"][1]["optimizer"])
        # The interrupted evaluation is lost, so that drift is measured from the one before it.
        assert list(scores) == [0, 2]
        assert_scores_of_one_process(scores, tmp_path / "watched")
    assert_kept_alike(tmp_path / "watched", folder / "ddp" / "alone")
