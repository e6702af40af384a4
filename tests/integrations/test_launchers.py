"""Launchers that train in processes of their own: the process that called `fit` learns what was decided."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys, warnings
from pathlib import Path
import torch

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, trainer


class Failing(Classifier):
    def on_train_epoch_start(self):
        if self.current_epoch == 2:
            raise RuntimeError("late")


def main(strategy, folder):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    monitor = SaliencyMonitor([Gradient()], num_images=5, mean=MEAN, std=STD)
    gates = [
        GatedCheckpoint(Path(folder) / name, gates={"saliency/gradient/rcap": bound}, name=name)
        for name, bound in {"first": ">= 0", "second": ">= 2"}.items()
    ]
    options = {"strategy": strategy, "devices": 2} if strategy != "one" else {}
    run = trainer([monitor, *gates], max_epochs=2, **options)
    run.fit(Classifier(), Data(num_val=18))
    report = {"decisions": [[d.passed for d in gate.decisions] for gate in gates]}
    report["history"] = [record.state() for record in monitor.history]
    again = trainer([monitor, *gates], max_epochs=3, **options)
    try:
        again.fit(Failing(), Data(num_val=18))
    except BaseException as error:
        report["error"] = str(error)
    report["after an error"] = [len(monitor.history), *(len(gate.decisions) for gate in gates)]
    print("REPORT" + json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def reported(tmp_path, strategy):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(
        [sys.executable, script, strategy, tmp_path / strategy],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("REPORT")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[-1].removeprefix("REPORT"))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("one"), "one")


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_decisions_and_results_come_back_from_launched_processes(tmp_path, one, strategy):
    report = reported(tmp_path, strategy)
    assert report["decisions"] == one["decisions"] == [[True, True], [False, False]]
    assert [record["epoch"] for record in report["history"]] == [0, 1]
    assert report["history"][0]["values"].keys() == one["history"][0]["values"].keys()
    assert "late" in report["error"]
    assert report["after an error"] == [2, 2, 2]
    assert not list((tmp_path / "temporary").glob("lightning_saliency*"))
