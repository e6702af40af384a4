"""The lessons of a training: what a monitor keeps from one evaluation to the next, and in checkpoints."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from lightning.pytorch.utilities import rank_zero_warn

from lightning_saliency.callbacks._results import ResultsFile
from lightning_saliency.callbacks._run import Run
from lightning_saliency.monitor._clock import EpochClock
from lightning_saliency.monitor.alarms import Watch
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.history import Record, new_run, newest
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.preflight import Preflight
from lightning_saliency.monitor.results import Evaluation
from lightning_saliency.monitor.subset import Subset

SKIPPED: Final = "Skipped the explanations of this validation"
NOTHING: Final = "Nothing is explained in this training"
INCOMPLETE: Final = "Some results could not be logged"


@dataclass
class MonitorState:
    """The subject and the lessons of one training; a training that starts anew has a new one.

    Attributes:
        settings: The arguments, with the batch size and the number of images that proved possible.
        results: The file through which the process that started training learns the results.
        memory: Maps that drift is measured from.
        records: The records of all evaluations, oldest first.
        run_id: Tells this training's rows in files from those of others.
        run: The evaluation that is going on.
        subsets: The watched images by loader.
        clock: Counts the seconds of an epoch.
        succeeded: Whether the arguments have worked once.
        resumed: Whether a checkpoint was loaded, and nothing has been published since.
        compares_images: Whether the images may be other ones than those that are remembered.
        introduced: Whether loggers have the card and the charts.
        swaps: The sentence of the last card on the cues that are swapped in training.
        affordable: The number of images that the budgets of time allow, once it is known.
        interrupted: Epoch and step of an evaluation that did not end.
        preflight: The subject and the cost, as the first images have shown them.
        last: The results of the last evaluation.
        spent: Seconds that merging, drawing and logging have taken since they were last counted.
        watch: The decision on cues of the last evaluation in training.
        warnings: Keys of what has been said.
    """

    settings: Settings
    results: ResultsFile
    memory: Memory = field(default_factory=Memory)
    records: list[Record] = field(default_factory=list)
    run_id: str = field(default_factory=new_run)
    run: Run | None = None
    subsets: dict[int, Subset] = field(default_factory=dict)
    clock: EpochClock = field(default_factory=EpochClock)
    succeeded: bool = False
    resumed: bool = False
    compares_images: bool = False
    introduced: bool = False
    swaps: str = ""
    affordable: int | None = None
    interrupted: tuple[int, int] | None = None
    preflight: Preflight | None = None
    last: Evaluation | None = None
    watch: Watch = field(default_factory=Watch)
    spent: float = 0.0
    warnings: set[str] = field(default_factory=set)

    @property
    def history(self) -> list[Record]:
        """The records of all evaluations, also of those that ran in processes of a launcher."""
        records = self.results.read()
        if records is not None:
            self.run_id = records["run"]
            self.records = [Record.of_state(record) for record in records["history"]]
        return self.records

    def add(self, record: Record, *, writes: bool) -> None:
        """Append the record of an evaluation, on the first process also for the one that started it."""
        self.records = newest([*self.history, record])
        if writes:
            try:
                self.results.write({"run": self.run_id, "history": [record.state() for record in self.records]})
            except OSError as error:
                self.warn("results", f"The process that started training cannot learn the results: {error}")

    def contents(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        run = self.run
        return {
            "memory": self.memory.state(),
            "affordable": self.affordable,
            "run": self.run_id,
            "history": [record.state() for record in self.history],
            "watch": self.watch.state(),
            "interrupted": [run.epoch, run.step] if run is not None and run.trains else None,
        }

    def load(self, contents: dict[str, Any]) -> None:
        """Continue from what a checkpoint kept."""
        self.memory = Memory.of_state(contents["memory"], self.settings.best)
        self.run_id = contents["run"]
        self.records = [Record.of_state(record) for record in contents["history"]]
        self.watch = Watch.of_state(contents["watch"]) if "watch" in contents else Watch()
        interrupted = contents["interrupted"]
        self.interrupted = None if interrupted is None else (interrupted[0], interrupted[1])
        self.resumed = True
        if self.settings.has_budget and contents["affordable"] is not None:
            self.afford(contents["affordable"])

    def afford(self, num_images: int) -> None:
        """Fix the number of images for the rest of the run."""
        self.affordable = num_images
        self.settings = replace(self.settings, num_images=num_images, max_seconds=None, max_fraction_of_epoch=None)

    def settle(self, fault: Fault, error: Exception | None = None, consequence: str = SKIPPED) -> None:
        """Raise on every process, or warn and go on."""
        if fault.is_configuration or self.settings.on_error == "raise":
            raise error or RuntimeError(fault.description)
        self.warn(fault.kind, f"{consequence}: {fault.description}")

    def warn(self, key: str, message: str) -> None:
        """Say something once."""
        if key not in self.warnings:
            self.warnings.add(key)
            rank_zero_warn(f"SaliencyMonitor {self.settings.name!r}: {message}")

    def mention_interrupted(self) -> None:
        """Say which evaluation was lost, once it is clear that its validation does not run again."""
        if self.interrupted is not None:
            epoch, step = self.interrupted
            self.interrupted = None
            self.warn(
                f"interrupted {step}",
                f"The validation of epoch {epoch} at step {step} was interrupted, so it has no explanations. "
                "Training is not affected.",
            )
