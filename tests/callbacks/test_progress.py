import io
from contextlib import redirect_stderr, redirect_stdout

import pytest
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, trainer

BARS = {"tqdm": TQDMProgressBar, "rich": RichProgressBar}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def monitor(method=None, **options):
    methods = [Gradient()] if method is None else {"method": method}
    return SaliencyMonitor(methods, num_images=6, max_batch_size=2, mean=MEAN, std=STD, **options, cues=())


def screen_of(callbacks, stage="fit", **options):
    """Return the text that a terminal showed."""
    terminal = Terminal()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        run = trainer(callbacks, **{"enable_progress_bar": True, **options})
        keywords = {} if stage == "fit" else {"verbose": False}
        getattr(run, stage)(Classifier(), Data(), **keywords)
    return terminal.getvalue()


@pytest.mark.parametrize("order", [1, -1], ids=["in front", "behind"])
@pytest.mark.parametrize("kind", BARS)
def test_the_bar_counts_images_while_they_are_explained(kind, order):
    text = screen_of([BARS[kind](refresh_rate=1), monitor()][::order])
    for count in ("Explaining 0/2", "Explaining 2/6", "Explaining 4/6", "Explaining 6/6"):
        assert count in text


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("kind", BARS)
def test_the_bar_counts_in_validate_and_test_too(kind, stage):
    assert "Explaining 6/6" in screen_of([BARS[kind](refresh_rate=1), monitor()], stage)


def broken(model, images, targets):
    raise RuntimeError("not today")


def test_tqdms_own_text_is_back_after_a_fault():
    bar = TQDMProgressBar(refresh_rate=1)
    with pytest.warns(UserWarning, match="not today"):
        text = screen_of([bar, monitor(broken)])
    assert text.rindex("Validation DataLoader 0") > text.rindex("Explaining")
    assert "Explaining" not in bar.val_progress_bar.desc


def test_richs_own_lines_are_left_after_a_fault():
    class Kept(RichProgressBar):
        def on_validation_end(self, trainer, pl_module):
            self.visible = [task.description for task in self.progress.tasks if task.visible]
            super().on_validation_end(trainer, pl_module)

    bar = Kept(refresh_rate=1)
    with pytest.warns(UserWarning, match="not today"):
        text = screen_of([bar, monitor(broken)])
    assert "Explaining 0/6" in text
    assert bar.visible
    assert not any("Explaining" in visible for visible in bar.visible)


@pytest.mark.parametrize(
    ("callbacks", "options"),
    [
        ([], {"enable_progress_bar": False}),
        ([TQDMProgressBar(refresh_rate=0)], {}),
        ([RichProgressBar(refresh_rate=0)], {}),
    ],
    ids=["no bar", "tqdm off", "rich off"],
)
def test_nothing_is_written_where_bars_are_off(callbacks, options):
    assert "Explaining" not in screen_of([*callbacks, monitor()], **options)
