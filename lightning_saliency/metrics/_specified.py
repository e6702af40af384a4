"""Metrics whose hyper-parameters are the annotated fields of their class, held by a frozen `spec`."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from typing import Any, ClassVar, dataclass_transform

from torch import Tensor
from torchmetrics import Metric

from lightning_saliency._checks import check_dense


@dataclass(frozen=True)
class NoParameters:
    """The root of all specs: no hyper-parameters."""


@dataclass_transform(field_specifiers=(field,))
class Specified(Metric):
    """A `torchmetrics.Metric` that is constructed from hyper-parameters and never changes them.

    A metric cannot be a frozen dataclass, since its constructor assigns. So the annotated fields of a subclass make a
    frozen dataclass `Spec`: the constructor takes its arguments, the metric holds it as `spec` and has its
    fields as read-only properties. The identity of the metric (equality, the names of its states) is the spec.

    Args:
        args: Hyper-parameters.
        name: Key in results and logs; `None` for the usual one.
        kwargs: Hyper-parameters, and options of `torchmetrics.Metric`.

    Attributes:
        spec: The hyper-parameters, frozen.
    """

    Spec: ClassVar[type] = NoParameters
    spec: Any
    name: str
    higher_is_better: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.Spec = _spec_of(cls)
        for parameter in fields(cls.Spec):
            setattr(cls, parameter.name, property(_reader_of(parameter.name)))
        # A module that holds a metric can be scripted, although TorchScript knows no such properties.
        properties = {name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, property)}
        cls.__jit_unused_properties__ = sorted(properties)
        if "__init__" not in vars(cls):
            cls.__init__ = _constructor(cls)  # type: ignore[method-assign]

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        parameters = {key: kwargs.pop(key) for key in [each.name for each in fields(self.Spec)] if key in kwargs}
        super().__init__(**kwargs)
        self.spec = self.Spec(
            *(_frozen(value) for value in args), **{key: _frozen(value) for key, value in parameters.items()}
        )
        self._arguments = {"name": name, **kwargs}

    def _respecified(self, **changes: Any) -> Any:
        """Return a metric without scores that differs in these hyper-parameters."""
        parameters = {each.name: getattr(self.spec, each.name) for each in fields(self.Spec)}
        return type(self)(**{**parameters, **changes}, **self._arguments)


def _reader_of(name: str) -> Callable[[Specified], Any]:
    def read(self: Specified) -> Any:
        return getattr(self.spec, name)

    return read


def _spec_of(cls: type[Specified]) -> type:
    fields_here = [
        (name, annotation, vars(cls)[name]) if name in vars(cls) else (name, annotation)
        for name, annotation in inspect.get_annotations(cls).items()
        if "ClassVar" not in str(annotation)
    ]
    bases = tuple(base.Spec for base in cls.__bases__ if issubclass(base, Specified))
    spec = make_dataclass("Spec", fields_here, bases=bases, frozen=True)
    spec.__module__, spec.__qualname__ = cls.__module__, f"{cls.__qualname__}.Spec"
    return spec


def _constructor(cls: type[Specified]) -> Callable[..., None]:
    """Return a constructor with the signature that editors, `help` and configuration tools read."""

    def construct(self: Specified, *args: Any, **kwargs: Any) -> None:
        super(cls, self).__init__(*args, **kwargs)

    kinds = inspect.Parameter
    parameters = [
        kinds("self", kinds.POSITIONAL_OR_KEYWORD),
        *sorted(map(_parameter, fields(cls.Spec)), key=lambda parameter: parameter.kind),
        kinds("name", kinds.KEYWORD_ONLY, default=None, annotation=str | None),
        kinds("kwargs", kinds.VAR_KEYWORD, annotation=Any),
    ]
    construct.__signature__ = inspect.Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
    construct.__name__, construct.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
    return construct


def _parameter(each: "Field[Any]") -> inspect.Parameter:
    default = inspect.Parameter.empty if each.default is MISSING else each.default
    kind = inspect.Parameter.KEYWORD_ONLY if each.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(each.name, kind, default=default, annotation=each.type)


def _frozen(value: Any) -> Any:
    """Make tuples of lists, arrays and tensors, so that the spec can be hashed."""
    if isinstance(value, Tensor):
        check_dense("hyper-parameters", value)
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
