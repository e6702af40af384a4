"""The hyper-parameters of a run: from the hparams plugin, otherwise from the file that Lightning writes."""

from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorboard.plugins.hparams import error, metadata

from lightning_saliency.report._files import NoPlainFileError, open_plain
from lightning_saliency.report._limits import LONGEST_SETTING, LONGEST_TEXT, MOST_SETTINGS, LeftOut, shortened

FILE: Final = "hparams.yaml"
# A character has at most four bytes.
MOST_BYTES: Final = 4 * LONGEST_TEXT


def settings_of(content: bytes, folder: Path, faults: list[str], left_out: LeftOut) -> dict[str, str]:
    """Return hyper-parameters by name; Lightning's file is returned as one text.

    Args:
        content: Contents of the hparams plugin.
        folder: Folder of the run.
        faults: Gets a sentence if the file must not be read.
        left_out: Counts hyper-parameters that are not returned.
    """
    return _from_plugin(content, left_out) or _from_file(folder, faults)


def _from_plugin(content: bytes, left_out: LeftOut) -> dict[str, str]:
    try:
        settings = metadata.parse_session_start_info_plugin_data(content).hparams
    # Logs without hyper-parameters, and logs of another version.
    except (DecodeError, error.HParamsError):
        return {}
    names = sorted(settings)
    left_out.add("hyper-parameters", len(names[MOST_SETTINGS:]))
    return {shortened(name, LONGEST_SETTING): _text(settings[name]) for name in names[:MOST_SETTINGS]}


def _text(value: Any) -> str:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return f"{value.number_value:.15g}"
    if kind == "bool_value":
        return str(value.bool_value)
    return shortened(str(value.string_value), LONGEST_SETTING)


def _from_file(folder: Path, faults: list[str]) -> dict[str, str]:
    try:
        with open_plain(folder / FILE, folder) as file:
            text = file.read(MOST_BYTES).decode("utf-8", errors="replace").strip()
            text = shortened(text, LONGEST_TEXT) + ("\n\n(The rest of the file was left out.)" if file.read(1) else "")
    except NoPlainFileError as error:
        faults.append(f"{error}.")
        return {}
    except OSError:
        return {}
    return {FILE: text} if text not in ("", "{}") else {}
