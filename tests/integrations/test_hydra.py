"""Hydra builds monitors and gates from class paths."""

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import GradCAM, SmoothGrad
from lightning_saliency.metrics import RCAP


def built(**arguments):
    return instantiate(OmegaConf.create(arguments))


def monitor(**arguments):
    return built(_target_="lightning_saliency.SaliencyMonitor", **arguments)


def method(name, **arguments):
    return {"_target_": f"lightning_saliency.methods.{name}", **arguments}


def test_methods_and_metrics_are_built_by_class_paths():
    metrics = [{"_target_": "lightning_saliency.metrics.RCAP"}]
    methods = [method("GradCAM", layer=["layer3", "layer4"]), method("SmoothGrad", num_samples=3)]
    settings = monitor(_convert_="all", methods=methods, metrics=metrics).settings
    assert settings.methods == {"grad_cam": GradCAM(layer=("layer3", "layer4")), "smooth_grad": SmoothGrad(3)}
    assert [type(metric) for metric in settings.metrics.values()] == [RCAP]


def test_a_method_that_hydra_turned_into_a_configuration_is_refused_with_the_key_to_add():
    with pytest.raises(InstantiationException, match=r"'num_samples': 3.*_convert_: all"):
        monitor(methods=[method("SmoothGrad", num_samples=3)])


def test_names_need_no_conversion():
    built_by_names = monitor(methods=["grad_cam"], metrics=["rcap"], cues=["wide_frame"], allow=["colour"])
    assert isinstance(built_by_names, SaliencyMonitor)
    assert list(built_by_names.settings.methods) == ["grad_cam"]


def test_a_gate_is_built_by_its_class_path():
    gate = built(_target_="lightning_saliency.GatedCheckpoint", gates={"saliency/alarm": "<= 0"})
    assert isinstance(gate, GatedCheckpoint)
    assert [gate.metric for gate in gate.gates] == ["saliency/alarm"]
