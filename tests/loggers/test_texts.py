"""Texts in every front-end."""

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_saliency.loggers import write_text
from tests.loggers.test_pictures import _file_store, local, offline  # noqa: F401 - a fixture

TEXT = "# Title\n\n± `code`"


def test_tensorboard_keeps_the_text(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    write_text(logger, "saliency/card", TEXT, 12)
    logger.experiment.flush()
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    (event,) = events.Tensors("saliency/card/text_summary")
    assert event.step == 12
    assert event.tensor_proto.string_val[0].decode() == TEXT


def test_files_lie_under_texts_beside_the_table(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="run")
    write_text(logger, "saliency/card", TEXT, 12)
    assert (tmp_path / "run" / "texts" / "saliency" / "card" / "000000012.md").read_text(encoding="utf-8") == TEXT


@pytest.mark.usefixtures("_file_store")
def test_mlflow_keeps_the_text_among_artifacts(tmp_path):
    write_text(local(tmp_path), "saliency/card", TEXT, 12)
    (file,) = tmp_path.rglob("000000012.md")
    assert file.read_text(encoding="utf-8") == TEXT


def test_wandb_keeps_the_text_in_a_table(tmp_path):
    logger = offline(tmp_path)
    write_text(logger, "saliency/card", TEXT, 12)
    logger.experiment.finish()
    (table,) = tmp_path.rglob("*.table.json")
    assert "# Title" in table.read_text(encoding="utf-8")


def test_a_logger_without_an_adapter_keeps_none_and_a_user_can_add_one():
    class Silent(Logger):
        name, version = "silent", 0

        def log_metrics(self, metrics, step=None): ...

        def log_hyperparams(self, params): ...

    texts = []
    write_text(Silent(), "tag", TEXT, 1)
    write_text.register(Silent, lambda logger, tag, text, step: texts.append((tag, text, step)))
    write_text(Silent(), "tag", TEXT, 1)
    assert texts == [("tag", TEXT, 1)]
