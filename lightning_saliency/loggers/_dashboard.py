"""TensorBoard's layout of charts and its table of runs."""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any, NamedTuple

from lightning.pytorch.loggers import TensorBoardLogger


class Chart(NamedTuple):
    """A chart of several scalars.

    Attributes:
        title: Its title.
        lines: Regular expressions of the tags drawn as lines.
        bands: Tags of a value, its lower and its upper bound, drawn instead of lines.
    """

    title: str
    lines: tuple[str, ...] = ()
    bands: tuple[tuple[str, str, str], ...] = ()


@singledispatch
def write_layout(logger: Any, layout: Mapping[str, Sequence[Chart]]) -> None:
    """Arrange charts by category in TensorBoard; other loggers ignore it.

    Args:
        logger: A logger of the trainer.
        layout: Charts by category.

    Example:
        >>> write_layout(None, {"saliency": [Chart("rcap", lines=("^saliency/.*/rcap$",))]})
    """


@singledispatch
def write_hyperparameters(logger: Any, hyperparameters: Mapping[str, object], metrics: Sequence[str]) -> None:
    """Enter a run into TensorBoard's table of runs, with the last values of some scalars.

    TensorBoard keeps the first such entry of a run.

    Args:
        logger: A logger of the trainer.
        hyperparameters: Values that distinguish the run; mappings may be nested.
        metrics: Tags of scalars.

    Example:
        >>> write_hyperparameters(None, {"lr": 0.1}, ["saliency/grad_cam/rcap"])
    """


@write_layout.register(TensorBoardLogger)
def _layout_to_tensorboard(logger: TensorBoardLogger, layout: Mapping[str, Sequence[Chart]]) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    categories = [
        layout_pb2.Category(title=title, chart=[_chart(chart) for chart in charts]) for title, charts in layout.items()
    ]
    content = layout_pb2.Layout(category=categories).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME)
    value = Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        tensor=TensorProto(dtype="DT_STRING", string_val=[content]),
        metadata=SummaryMetadata(plugin_data=plugin),
    )
    _add(logger, Summary(value=[value]))


@write_hyperparameters.register(TensorBoardLogger)
def _hyperparameters_to_tensorboard(
    logger: TensorBoardLogger, hyperparameters: Mapping[str, object], metrics: Sequence[str]
) -> None:
    from torch.utils.tensorboard.summary import hparams

    # Values of metrics are those of the scalars with their tags.
    for summary in hparams(dict(_flat(hyperparameters)), dict.fromkeys(metrics, 0.0)):
        _add(logger, summary)


def _chart(chart: Chart) -> Any:
    from tensorboard.plugins.custom_scalar import layout_pb2

    if not chart.bands:
        return layout_pb2.Chart(title=chart.title, multiline=layout_pb2.MultilineChartContent(tag=chart.lines))
    series = [
        layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
        for value, lower, upper in chart.bands
    ]
    return layout_pb2.Chart(title=chart.title, margin=layout_pb2.MarginChartContent(series=series))


def _flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, bool | int | float | str]]:
    pairs: list[tuple[str, bool | int | float | str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}/")
        else:
            pairs.append((f"{prefix}{key}", value if isinstance(value, bool | int | float | str) else str(value)))
    return pairs


def _add(logger: TensorBoardLogger, summary: Any) -> None:
    # `SummaryWriter` has no method for these summaries. Lightning's adapter uses its file writer too.
    logger.experiment._get_file_writer().add_summary(summary)
