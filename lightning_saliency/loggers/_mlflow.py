"""Pictures for MLflow."""

from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor

from lightning_saliency.loggers._images import as_image, file_name


def write_to_mlflow(logger: MLFlowLogger, tag: str, picture: Tensor, step: int) -> None:
    """Log a picture (3, H, W) uint8 as an artifact of the run, in a folder named by its tag."""
    logger.experiment.log_image(logger.run_id, as_image(picture), f"pictures/{tag}/{file_name(step)}")
