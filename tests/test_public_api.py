"""The public names, and that each is explained."""

import inspect
from importlib import resources
from types import ModuleType

import pytest

import lightning_saliency
from lightning_saliency import methods, metrics

ROOF = {"GatedCheckpoint", "SaliencyMonitor", "explain", "methods", "metrics", "normalize", "score"}
METHODS = {"GradCAM", "Gradient", "GuidedAbsoluteGrad", "Method", "SmoothGrad"}
METRICS = {"Allegiance", "ExplanationMetric", "RCAP"}


def public() -> dict[str, object]:
    """List what users can import, but for modules."""
    found: dict[str, object] = {}
    for module in (lightning_saliency, methods, metrics):
        for name in module.__all__:
            member = getattr(module, name, None)
            if member is not None and not isinstance(member, ModuleType):
                found[f"{module.__name__}.{name}"] = member
    return found


def arguments(member: object) -> list[str]:
    """List what a user passes, but for what every member takes."""
    if inspect.isclass(member) and (inspect.isabstract(member) or getattr(member, "_is_protocol", False)):
        return []
    return [name for name in inspect.signature(member).parameters if name not in ("self", "args", "kwargs")]


@pytest.mark.parametrize(
    ("module", "names"), [(lightning_saliency, ROOF), (methods, METHODS), (metrics, METRICS)], ids=lambda value: ""
)
def test_at_least_these_names_are_public(module: ModuleType, names: set[str]) -> None:
    assert names <= set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))


@pytest.mark.parametrize("module", [methods, metrics], ids=lambda module: module.__name__)
def test_every_public_name_can_be_imported(module: ModuleType) -> None:
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", public())
def test_every_public_object_is_explained_with_an_example(name: str) -> None:
    member = public()[name]
    text = inspect.getdoc(member) or ""
    first = text.splitlines()[0]
    assert first.endswith((".", "?"))
    assert len(first) < 120
    if inspect.isabstract(member):
        return
    assert "Example:" in text
    assert ">>>" in text
    if arguments(member):
        assert "Args:" in text


@pytest.mark.parametrize("name", public())
def test_every_argument_is_explained(name: str) -> None:
    member = public()[name]
    text = inspect.getdoc(member) or ""
    missing = [argument for argument in arguments(member) if f" {argument}: " not in text]
    assert not missing


@pytest.mark.parametrize("name", public())
def test_what_can_be_refused_says_when(name: str) -> None:
    member = public()[name]
    checks = getattr(member, "__post_init__", None) or (None if inspect.isclass(member) else member)
    if checks is not None and "check_" in inspect.getsource(checks):
        assert "Raises:" in (inspect.getdoc(member) or "")


def test_types_are_for_users_too() -> None:
    assert resources.files("lightning_saliency").joinpath("py.typed").is_file()
