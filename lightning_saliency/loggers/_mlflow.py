"""Pictures for MLflow."""

from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor

from lightning_saliency.loggers._images import as_image, file_name


def write_to_mlflow(logger: MLFlowLogger, tag: str, picture: Tensor, step: int) -> None:
    """Keep a picture (3, H, W) uint8 among the run's artifacts, in a folder of its tag."""
    logger.experiment.log_image(logger.run_id, as_image(picture), f"pictures/{tag}/{file_name(step)}")
