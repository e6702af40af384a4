"""TensorBoard's layout of charts and its table of runs."""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any, NamedTuple

from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency._name_spaces import register
from lightning_saliency.loggers._events import last_tensor


class Chart(NamedTuple):
    """A chart of several scalars.

    Attributes:
        title: Its title.
        lines: Regular expressions of the tags drawn as lines.
        bands: Tags of a value, its lower and its upper bound, drawn instead of lines.

    Example:
        >>> Chart("RCAP", lines=("saliency/.*/rcap$",)).bands
        ()
    """

    title: str
    lines: tuple[str, ...] = ()
    bands: tuple[tuple[str, str, str], ...] = ()


@singledispatch
def write_layout(logger: Any, layout: Mapping[str, Sequence[Chart]]) -> None:
    """Arrange charts by category in TensorBoard, beside those that are there; other loggers ignore it.

    TensorBoard shows the last layout of a run, so that it has to hold what earlier ones held.

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


def _layout_to_tensorboard(logger: TensorBoardLogger, layout: Mapping[str, Sequence[Chart]]) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    logger.experiment.flush()
    last = last_tensor(logger.log_dir, metadata.CONFIG_SUMMARY_TAG)
    merged = layout_pb2.Layout.FromString(last)
    for title, charts in layout.items():
        _add_charts(merged, title, [_chart(chart) for chart in charts])
    content = merged.SerializeToString()
    if content == last:
        return
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME)
    value = Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        tensor=TensorProto(dtype="DT_STRING", string_val=[content]),
        metadata=SummaryMetadata(plugin_data=plugin),
    )
    _add(logger, Summary(value=[value]))


def _hyperparameters_to_tensorboard(
    logger: TensorBoardLogger, hyperparameters: Mapping[str, object], metrics: Sequence[str]
) -> None:
    from torch.utils.tensorboard.summary import hparams

    # Values of metrics are those of the scalars with their tags.
    for summary in hparams(dict(_flat(hyperparameters)), dict.fromkeys(metrics, 0.0)):
        _add(logger, summary)


def _add_charts(layout: Any, title: str, charts: Sequence[Any]) -> None:
    """Add charts to the category of a title, except those that it has."""
    same = [category for category in layout.category if category.title == title]
    category = same[0] if same else layout.category.add(title=title)
    category.chart.extend([chart for chart in charts if chart not in category.chart])


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


register(write_layout, TensorBoardLogger, _layout_to_tensorboard)
register(write_hyperparameters, TensorBoardLogger, _hyperparameters_to_tensorboard)
