"""The callback that swaps cues between training images."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Literal, get_args

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._name_spaces import Callback
from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Images
from lightning_saliency.callbacks._batch_images import BatchPlace, check_place, read_training_batch
from lightning_saliency.callbacks._card_author import CardAuthor
from lightning_saliency.callbacks._lightning import is_fresh
from lightning_saliency.callbacks._loading import refusing_damage
from lightning_saliency.callbacks._swap_checks import find_monitor, refuse_allowed, refuse_iterator, require_alarm
from lightning_saliency.callbacks._swap_state import SwapState
from lightning_saliency.callbacks._transfer import TransferHook
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor
from lightning_saliency.cues import Cue
from lightning_saliency.monitor.alarms import CONFIRMED
from lightning_saliency.monitor.cure import announcement, remedies, remedy_choices, without
from lightning_saliency.monitor.history import Record
from lightning_saliency.names import swap_name
from lightning_saliency.swapping import SwapCues
from lightning_saliency.swapping.choices import Choices, fitting
from lightning_saliency.swapping.detail import Detail
from lightning_saliency.swapping.places import Places
from lightning_saliency.swapping.swapped import swap

When = Literal["always", "alarm"]
STAND_INS = {Places.name: "cell", Detail.name: "texture"}
"""The cue by which `cues` lets in what is swapped for it after an alarm."""


class CueSwap(Callback, CardAuthor):
    """Cures a network of a shortcut: gives training images cues of others, and leaves their labels alone.

    Each training image draws a donor from its batch and a cue. If the donor is of another class, the image gets this
    cue of it, so that the cue tells nothing about the class any more. With `when="alarm"` nothing is changed until the
    alarm of a `SaliencyMonitor` is confirmed. From then on the cue that it names is swapped, with half the probability
    once the alarm has been quiet for `patience` evaluations. If it does not end for more than three evaluations in
    spite of the swap, the next cue that is suspected is swapped, too. Some cues leave a trace of a sign when they are
    swapped alone: for the texture all detail finer than 8 pixels is swapped, and the colour in turn with the spectrum.
    For cues that are a place, the places are swapped that the maps of the evaluation mark (`Alarm.places`), all at
    once. An image gets all places and one of the other cues of its donor. Validations and tests see images as they are.
    `cue_swap/<cue>` is the share of an epoch's images that got a cue.

    Add at most one to a trainer. It changes training on purpose, which a monitor never does: a cue that rightly
    decides, such as the colour of fruit, must not be swapped. List it in `SaliencyMonitor(allow=...)`.

    Args:
        cues: Names and instances of cues that need no maps; `"cell"` is 4 of 16 cells, and after an alarm it stands
            for the places that maps mark. `None` takes every cue that the alarm names, and with `when="always"` the
            default cues of `SwapCues`.
        probability: Chance that an image draws.
        when: `"alarm"` swaps what the alarm names, `"always"` swaps from the first batch on.
        patience: Number of evaluations in a row without a suspicion after which the probability is halved.
        monitor: Name of the monitor whose alarm counts, and whose `allow` is never swapped.
        batch: How to get images and labels from a training batch: their keys, or functions (read, write), where
            `read(batch)` returns (images, labels) and `write(batch, images)` a batch with other images. Labels may be
            `None`.
        seed: Seed of the draws, which also depend on the batch's number and the process.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If an argument is out of its range; in `setup`, if there is no such monitor, `cues` has one that
            the monitor allows, or `training_step` takes `dataloader_iter`; at the first training batch, if it
            has no images of floating point, or a cue does not apply to them.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_saliency import SaliencyMonitor
        >>> callbacks = [SaliencyMonitor(allow=["colour"]), CueSwap()]
        >>> trainer = Trainer(callbacks=callbacks, logger=False, barebones=False, accelerator="cpu")
    """

    def __init__(
        self,
        cues: Sequence[str | Cue] | None = None,
        *,
        probability: float = 1.0,
        when: When = "alarm",
        patience: int = 10,
        monitor: str = "saliency",
        batch: BatchPlace = None,
        seed: int = 0,
    ) -> None:
        self._swap = SwapCues(cues, probability, seed)
        check_choice("when", when, get_args(When))
        check_integer("patience", patience, minimum=1)
        check_place(batch)
        self._when, self._patience, self._batch = when, patience, batch
        # Not called `monitor`, which other callbacks take for the name of a value.
        self._monitor_name = monitor
        self._monitor: SaliencyMonitor | None = None
        self._state = SwapState()
        self._warnings: set[str] = set()
        self._hook: TransferHook | None = None
        self._is_checked = False
        self._rank = 0
        self._last: Record | None = None

    @property
    def num_left_batches(self) -> int:
        """How many batches have been left as they are, because they had one image, or images of one class."""
        return int(self._state.num_left)

    @property
    def remarks(self) -> dict[str, str]:
        """A sentence on the swaps for a monitor's card, by the monitor's name; empty where there are none."""
        names = list(without(self._swap.choices, self._allow)) if self._when == "always" else []
        always = f"In training cues are swapped between images, with probability {self._swap.probability:g}: "
        text = self._state.cure.remark(self._swap.probability, self._patience)
        text = f"{always}{', '.join(names)}." if names else text
        return {self._monitor_name: text} if text else {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work."""
        if stage != "fit":
            return
        refuse_iterator(pl_module)
        self._monitor = find_monitor(trainer, self._monitor_name)
        if self._when == "alarm":
            require_alarm(trainer, self._monitor, self._monitor_name)
        refuse_allowed(self._swap, self._allow)
        self._rank, self._is_checked = trainer.global_rank, False
        if is_fresh(trainer):
            self._state, self._warnings = SwapState(), set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to change training batches; the sanity run is over."""
        self._hook = TransferHook(trainer, self._change)
        if self._when == "always":
            rank_zero_info(f"CueSwap: {self.remarks.get(self._monitor_name, 'The monitor allows every cue.')}")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Count the batch. One that failed is drawn again as it was."""
        self._state.complete_batch(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the shares of the epoch's images that got cues."""
        tally = self._state.tally
        if tally.num_images and not trainer.barebones:
            # Together the two arguments mean that Lightning starts no collective for a value.
            values = {swap_name(name): share for name, share in tally.shares().items()}
            pl_module.log_dict(values, sync_dist=True, rank_zero_only=True, reduce_fx="max", batch_size=1)
        if tally.num_batches and int(tally.num_left) == tally.num_batches:
            self._warn_once(
                "All batches of an epoch had images of one class only, so no cue was swapped and training went on "
                "without. Shuffle the training data."
            )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the last evaluation, to tell whether this validation has one."""
        self._last = self._last_record()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Follow the alarm, which is the same on all processes, before checkpoints are written."""
        is_training = trainer.state.fn == "fit" and not trainer.sanity_checking
        if self._monitor is None or not is_training or self._when != "alarm" or self._last_record() is self._last:
            return
        decision, before = self._monitor.alarm, self._state.cure
        offered = remedies(decision, self._monitor.settings.cues)
        may_swap = partial(self._may_swap, places=decision.places)
        chosen = [names for group in offered if (names := list(filter(may_swap, group)))]
        if decision.state == CONFIRMED and not chosen:
            self._warn_once(
                f"Predictions follow the cue {decision.cue!r}, which cannot be swapped or is not among `cues`, so "
                "training goes on without a swap of it. Pass other `cues`, or clean the data."
            )
        self._state.cure = before.after(decision, chosen, trainer.current_epoch)
        text = announcement(before, self._state.cure, decision, self._swap.probability, self._patience)
        if text:
            rank_zero_info(f"CueSwap: {text}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the hook."""
        self._restore()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the hook where training did not come to its end."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the hook where no teardown comes."""
        self._restore()

    def state_dict(self) -> dict[str, Any]:
        """Return the cues that alarms have named, and the number of batches, on which draws depend."""
        return self._state.contents()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: If the state is damaged.
        """
        with refusing_damage("CueSwap"):
            self._state = SwapState.of_contents(state_dict)

    @property
    def _allow(self) -> tuple[str, ...]:
        return () if self._monitor is None else self._monitor.settings.allow

    def _last_record(self) -> Record | None:
        history = [] if self._monitor is None else self._monitor.history
        return history[-1] if history else None

    def _may_swap(self, name: str, places: Tensor | None) -> bool:
        """Return whether the monitor does not allow a cue to decide, and `cues` does not leave it out."""
        usual = self._swap.choices.items()
        named = {each for key, group in usual for each in (key, *(cue.name for cue in group))}
        named |= {stand_in for stand_in, key in STAND_INS.items() if key in named}
        is_named = self._swap.cues is None or name in named
        return is_named and bool(self._remedy_choices([name], places))

    def _remedy_choices(self, names: Collection[str], places: Tensor | None) -> Choices:
        cues = () if self._monitor is None else self._monitor.settings.cues
        return remedy_choices(names, cues, self._allow, places)

    def _change(self, batch: Any) -> Any:
        """Return a training batch in which images have cues of others."""
        is_due = self._when == "always" or bool(self._state.cure.epochs)
        if batch is None or (self._is_checked and not is_due):
            return batch
        images, labels, replace = read_training_batch(batch, self._batch)
        usual = self._swap.choices_for(images)
        self._is_checked = True
        choices = self._choices(usual, images)
        if not (is_due and choices):
            return batch
        probability = self._swap.probability * self._state.cure.strength(self._patience)
        generator = keyed_generator("cue swap", self._swap.seed, self._rank, self._state.num_batches)
        self._state.pending = swap(images, labels, choices, probability, generator, joins_places=self._when == "alarm")
        return replace(self._state.pending.images)

    def _choices(self, usual: Choices, images: Images) -> Choices:
        """Return the cues that are swapped now, as long as they apply to the images."""
        if self._when == "always":
            return without(usual, self._allow)
        cure = self._state.cure
        return fitting(self._remedy_choices(cure.epochs, cure.places), tuple(images.shape[1:]))

    def _warn_once(self, message: str) -> None:
        if message not in self._warnings:
            self._warnings.add(message)
            rank_zero_warn(f"CueSwap: {message}")

    def _restore(self) -> None:
        if self._hook is not None:
            self._hook.restore()
            self._hook = None
