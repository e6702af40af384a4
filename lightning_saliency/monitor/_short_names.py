"""Methods and metrics by their names, as configuration files like to have them, and which ones are the default."""

from abc import ABC
from collections.abc import Mapping, Sequence
from inspect import isabstract
from types import ModuleType
from typing import Any, Final, TypeAlias

from lightning_saliency import methods as all_methods
from lightning_saliency import metrics as all_metrics
from lightning_saliency.evaluation import by_name
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad, Method
from lightning_saliency.metrics import RCAP, ExplanationMetric, Insertion
from lightning_saliency.targets import Target

# Twice the passes of RCAP, which it stands in for.
STEPS: Final = 10


class MethodClass(ABC):
    """Any class whose instances can be called, which is all that a method's class has to be.

    Configuration tools ask for subclasses where they build objects from class paths, and do not know what to
    make of a protocol.
    """

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        """Take every class with a call for a subclass, except classes of classes."""
        return not issubclass(other, type) and any("__call__" in vars(base) for base in other.__mro__)


MethodChoice: TypeAlias = Sequence[str | MethodClass | Method] | Mapping[str, str | MethodClass | Method] | None
MetricChoice: TypeAlias = Sequence[str | ExplanationMetric] | Mapping[str, str | ExplanationMetric] | None


def methods_by_name(choice: MethodChoice) -> dict[str, Method]:
    """Return methods by name, by default Guided AbsoluteGrad and Grad-CAM."""
    return by_name("methods", [GuidedAbsoluteGrad(), GradCAM()] if choice is None else known_methods(choice))


def metrics_by_name(choice: MetricChoice, target: Any = None) -> dict[str, ExplanationMetric]:
    """Return metrics by name, by default RCAP, or insertion for a target without probabilities."""
    return by_name("metrics", _usual_metrics(target) if choice is None else known_metrics(choice))


def _usual_metrics(target: Any) -> list[ExplanationMetric]:
    offers = target.offers if isinstance(target, Target) else ("probability", "classes")
    if "probability" not in offers:
        return [Insertion(STEPS)]
    return [RCAP()]


def known_methods(members: Any) -> Any:
    """Replace names such as `"grad_cam"` or `"GradCAM"` by methods with default arguments."""
    return _resolve_all("methods", members, all_methods, object)


def known_metrics(members: Any) -> Any:
    """Replace names such as `"rcap"` or `"RCAP"` by metrics with default arguments."""
    return _resolve_all("metrics", members, all_metrics, ExplanationMetric)


def _resolve_all(argument: str, members: Any, module: ModuleType, base: type) -> Any:
    if isinstance(members, str) or not isinstance(members, Sequence | Mapping):
        return members
    if isinstance(members, Mapping):
        return {name: _resolved(argument, member, module, base) for name, member in members.items()}
    return [_resolved(argument, member, module, base) for member in members]


def _resolved(argument: str, member: Any, module: ModuleType, base: type) -> Any:
    if not isinstance(member, str):
        return member
    exported = [getattr(module, name) for name in vars(module)["__all__"]]
    classes = [
        kind
        for kind in exported
        if isinstance(kind, type) and issubclass(kind, base) and not isabstract(kind) and hasattr(kind, "name")
    ]
    for kind in classes:
        if member in (kind.__name__, getattr(kind, "name", None)):
            return kind()
    names = ", ".join(sorted(str(getattr(kind, "name", kind.__name__)) for kind in classes))
    raise ValueError(f"Expected `{argument}` to be named among {names}, but got {member!r}.")
