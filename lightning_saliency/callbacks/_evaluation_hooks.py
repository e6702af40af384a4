"""When to evaluate: the hooks of a trainer in which a monitor starts, works, reports and restores."""

from abc import abstractmethod
from typing import Any

import lightning.pytorch as pl
from torch import nn

from lightning_saliency._model import is_initialized
from lightning_saliency._name_spaces import Callback
from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._arming import arm
from lightning_saliency.callbacks._asked_names import awaits_values
from lightning_saliency.callbacks._dashboard import enter_run, write_charts
from lightning_saliency.callbacks._distributed import tell_everyone
from lightning_saliency.callbacks._kept_values import keep_values
from lightning_saliency.callbacks._lightning import (
    evaluates_in,
    has_validation_images,
    is_fresh,
    refuse_namesakes,
    validates_by_epochs,
)
from lightning_saliency.callbacks._reporting import report
from lightning_saliency.callbacks._results import ResultsFile
from lightning_saliency.callbacks._sharding import refuse_unshardable
from lightning_saliency.callbacks._state import INCOMPLETE, NOTHING, MonitorState
from lightning_saliency.callbacks._working import is_complete, work
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.memory import Memory


class EvaluationHooks(Callback):
    """The part of a monitor that a trainer calls."""

    def __init__(self, arguments: Settings) -> None:
        self._arguments = arguments
        self._state = MonitorState(arguments, ResultsFile())
        self._loops: list[Any] = []
        self._has_no_namesake = False

    @abstractmethod
    def find_network(self, pl_module: pl.LightningModule) -> nn.Module:
        """Return the module from images (B, C, *S) to logits (B, K)."""

    @property
    def settings(self) -> Settings:
        """The arguments, with the batch size and the number of images that proved possible."""
        return self._state.settings

    @property
    def memory(self) -> Memory:
        """The maps that drift is measured from."""
        return self._state.memory

    @property
    def state_key(self) -> str:
        """Distinguishes monitors of different names in a checkpoint.

        Until `setup` has looked for namesakes it tells any two monitors apart. Otherwise the trainer would refuse them
        without saying what to do.
        """
        text = f"{type(self).__name__}[{self.settings.name}]"
        return text if self._has_no_namesake else f"{text} at {id(self)}"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work, and turn off inference mode, under which nothing can be explained."""
        if stage == "fit" and is_fresh(trainer):
            results = self._state.results
            results.read()  # nothing of an earlier training counts
            self._state = MonitorState(self._arguments, results)
        refuse_namesakes(
            "SaliencyMonitor", [monitor.settings.name for monitor in _monitors(trainer)], self.settings.name
        )
        self._has_no_namesake = True
        if evaluates_in(trainer, stage):
            refuse_unshardable(trainer, self.settings)
            self.find_network(pl_module)
        self._state.subsets = {}
        self._state.spent = 0.0
        self._state.compares_images = stage == "fit"
        # A test after training belongs to the same run.
        self._state.introduced &= stage != "fit"
        self._restore_loops()
        for loop in (trainer.validate_loop, trainer.test_loop):
            if loop.inference_mode:  # and no other monitor has turned it off
                self._loops.append(loop)
                loop.inference_mode = False

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the loops, and the charts where the user has laid out others since."""
        self._restore_loops()
        if stage == "fit":
            self._state.mention_interrupted()
            if self._state.introduced and self is _monitors(trainer)[0]:
                self._settle_incomplete(
                    write_charts(trainer, [monitor.settings for monitor in _monitors(trainer)]), trainer
                )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the loops where no teardown comes, and say what is lost."""
        self._restore_loops()
        run, self._state.run = self._state.run, None
        if run is not None and run.trains:
            self._state.interrupted = (run.epoch, run.step)
        self._state.mention_interrupted()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the scores to TensorBoard's table of runs, before Lightning enters the run without them."""
        self._enter_run(trainer, starts=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce them now where the user may have had an entry of their own."""
        self._enter_run(trainer, starts=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, also where training goes on in the middle of an epoch, and let others read the last values."""
        self._state.clock.start(self._state.spent, is_rest=self._state.resumed)
        keep_values(trainer, pl_module, self._state)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, of which explaining takes a share, and say if there will be nothing to explain."""
        if validates_by_epochs(trainer):
            self._state.clock.start(self._state.spent)
        if not has_validation_images(trainer):
            reason = "there is no validation, or it has no images.  Give the training a validation loader."
            self._state.settle(Fault(False, f"NoImages: {reason}"), consequence=NOTHING)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm, if an evaluation is due."""
        if trainer.sanity_checking and not is_initialized(pl_module):
            return  # a forward of ours would choose the sizes and the first weights of lazy modules
        epoch_is_due = (trainer.current_epoch + 1) % self.settings.every_n_epochs == 0
        if trainer.sanity_checking or trainer.state.fn != "fit" or epoch_is_due or self._is_awaited(trainer):
            self._state.run = arm(trainer, pl_module, self, self._state, trainer.val_dataloaders)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm."""
        self._state.run = arm(trainer, pl_module, self, self._state, trainer.test_dataloaders)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Work at the first batch: by now averaged weights are in place, whatever the order of callbacks."""
        run = self._state.run
        if run is not None and not (run.collects or run.waits):
            work(trainer, pl_module, self._state, run, self.find_network)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Work where DDP has shared buffers by now; keep images that cannot be read by index until there are enough."""
        run = self._state.run
        if run is None or run.evaluated is not None:
            return
        is_watched = run.subset.source.yields(batch_idx, dataloader_idx)
        if run.collects and not is_complete(trainer, self._state, run, batch if is_watched else None):
            return
        work(trainer, pl_module, self._state, run, self.find_network)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the results of all processes, and log them before checkpoints look."""
        run = self._state.run
        if run is None:
            return
        work(trainer, pl_module, self._state, run, self.find_network)
        with signals_held():
            self._state.run = None
            # Monitors of one trainer watch one run.
            self._state.run_id = _monitors(trainer)[0]._state.run_id
            report(trainer, pl_module, self._state, run, [monitor.settings for monitor in _monitors(trainer)])
        if not validates_by_epochs(trainer):
            self._state.clock.start(self._state.spent)

    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _is_awaited(self, trainer: pl.Trainer) -> bool:
        """Return whether a callback or scheduler needs a value while there is none."""
        has_values = any(record.stage == "fit" for record in self._state.history)
        return not has_values and awaits_values(trainer, self.settings.name)

    def _enter_run(self, trainer: pl.Trainer, *, starts: bool) -> None:
        """Enter the run once for all monitors, by the first of them."""
        if self is not _monitors(trainer)[0]:
            return
        self._settle_incomplete(
            enter_run(trainer, [monitor.settings for monitor in _monitors(trainer)], starts=starts), trainer
        )

    def _settle_incomplete(self, fault: Fault | None, trainer: pl.Trainer) -> None:
        """Raise or warn where something could not be logged."""
        if self.settings.on_error == "raise":  # everywhere, so that no process waits for another
            fault = tell_everyone(fault, trainer)
        if fault is not None:
            self._state.settle(fault, None, INCOMPLETE)

    def _restore_loops(self) -> None:
        while self._loops:
            self._loops.pop().inference_mode = True


def _monitors(trainer: pl.Trainer) -> list[EvaluationHooks]:
    return [callback for callback in trainer.callbacks if isinstance(callback, EvaluationHooks)]  # type: ignore[attr-defined]
