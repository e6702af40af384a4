"""The hyper-parameters of a run: from the hparams plugin, otherwise from the file that Lightning writes."""

from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorboard.plugins.hparams import error, metadata

FILE: Final = "hparams.yaml"


def settings_of(events: Any, folder: Path) -> dict[str, str]:
    """Return hyper-parameters by name; Lightning's file is returned as one text."""
    return _from_plugin(events) or _from_file(folder / FILE)


def _from_plugin(events: Any) -> dict[str, str]:
    try:
        content = events.PluginTagToContent(metadata.PLUGIN_NAME)[metadata.SESSION_START_INFO_TAG]
        settings = metadata.parse_session_start_info_plugin_data(content).hparams
    # Logs without hyper-parameters, and logs of another version.
    except (KeyError, DecodeError, error.HParamsError):
        return {}
    return {name: _text(settings[name]) for name in sorted(settings)}


def _text(value: Any) -> str:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return f"{value.number_value:.15g}"
    if kind == "bool_value":
        return str(value.bool_value)
    return str(value.string_value)


def _from_file(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return {}
    return {file.name: text} if text not in ("", "{}") else {}
