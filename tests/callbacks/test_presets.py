"""Presets differ from the default in the counts that they name, and take all arguments."""

import inspect
from dataclasses import fields

import lightning.pytorch as pl
import pytest
from jsonargparse import ArgumentParser

from lightning_saliency import SaliencyMonitor
from lightning_saliency.monitor.config import Settings

PRESETS = {
    "fast": {"every_n_epochs": 4},
    "thorough": {"num_images": 128, "num_hosts": 8},
}


def values_of(settings):
    """Return the settings, of metrics the names, because they hold states."""
    values = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    return {**values, "metrics": list(settings.metrics)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_default_with_other_counts(name):
    settings = getattr(SaliencyMonitor, name)().settings
    assert values_of(settings) == {**values_of(SaliencyMonitor().settings), **PRESETS[name]}


@pytest.mark.parametrize("name", PRESETS)
def test_given_arguments_win(name):
    given = {"num_images": 5, "num_hosts": 3, "every_n_epochs": 7, "cues": ["level"], "seed": 4, "name": "other"}
    settings = getattr(SaliencyMonitor, name)(["gradient"], ["rcap"], **given).settings
    assert values_of(settings) == values_of(SaliencyMonitor(["gradient"], ["rcap"], **given).settings)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_of_a_subclass_is_one_of_it(name):
    class Mine(SaliencyMonitor):
        pass

    assert type(getattr(Mine, name)()) is Mine


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_refuses_what_the_monitor_refuses(name):
    preset = getattr(SaliencyMonitor, name)
    with pytest.raises(TypeError, match="num_pictures"):
        preset(num_pictures=3)
    with pytest.raises(ValueError, match="num_hosts"):
        preset(num_hosts=0)


@pytest.mark.parametrize("name", PRESETS)
def test_the_counts_of_a_preset_are_its_defaults(name):
    parameters = inspect.signature(getattr(SaliencyMonitor, name)).parameters
    usual = inspect.signature(SaliencyMonitor).parameters
    counts = {key: parameters[key].default for key in parameters if key in PRESETS[name]}
    assert counts == PRESETS[name]
    for key in parameters.keys() & usual.keys():
        assert parameters[key].annotation == usual[key].annotation


# Lightning calls jsonargparse by names that are going to change.
@pytest.mark.filterwarnings("ignore:(?s).*(JSONARGPARSE_DEPRECATION|removed in v5)")
@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_file_names_a_preset_by_its_path(name):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--callback", type=pl.Callback)
    written = {"class_path": f"lightning_saliency.SaliencyMonitor.{name}", "init_args": {"methods": ["grad_cam"]}}
    count = next(iter(PRESETS[name]))
    written["init_args"][count] = 5
    written["dict_kwargs"] = {"seed": 4}
    monitor = parser.instantiate_classes(parser.parse_object({"callback": written})).callback
    assert list(monitor.settings.methods) == ["grad_cam"]
    assert values_of(monitor.settings) | {"methods": None} == {
        **values_of(getattr(SaliencyMonitor, name)(seed=4, **{count: 5}).settings),
        "methods": None,
        "methods_are_default": False,
    }
