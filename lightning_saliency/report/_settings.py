"""The hyper-parameters of a run: from the hparams plugin, else from the file that Lightning writes."""

from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorboard.plugins.hparams import error, metadata

FILE: Final = "hparams.yaml"


def settings_of(events: Any, folder: Path) -> dict[str, str]:
    """Return hyper-parameters by name; a file that the plugin does not know is one text."""
    return _logged(events) or _written(folder / FILE)


def _logged(events: Any) -> dict[str, str]:
    try:
        content = events.PluginTagToContent(metadata.PLUGIN_NAME)[metadata.SESSION_START_INFO_TAG]
        found = metadata.parse_session_start_info_plugin_data(content).hparams
    # Logs without, and logs of another version.
    except (KeyError, DecodeError, error.HParamsError):
        return {}
    return {name: _shown(found[name]) for name in sorted(found)}


def _shown(value: Any) -> str:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return f"{value.number_value:.15g}"
    if kind == "bool_value":
        return str(value.bool_value)
    return str(value.string_value)


def _written(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return {}
    return {file.name: text} if text not in ("", "{}") else {}
