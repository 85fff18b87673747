"""Frozen dataclasses that are defined quickly.

For each frozen class Python up to 3.12 compiles six functions, which takes as long as to import a small module, and a
command that codes a text defines a hundred classes. The `dataclass` of this module makes the same classes of functions
that all of them share. Only `__init__` is a class's own, and it is compiled when the first object is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache, partial
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]


def _defined(cls: type[Any], eq: bool) -> type[Any]:
    """Make a class a dataclass; what it defines itself stays."""
    own, inherits = dict(vars(cls)), any(map(dataclasses.is_dataclass, cls.__bases__))
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, frozen=inherits)(cls)
    made.__dataclass_params__.frozen = True  # frozen classes alone may inherit from it, also those of `dataclasses`
    shared: dict[str, Any] = {"__repr__": _repr, "__setattr__": _refuse, "__delattr__": _refuse}
    shared |= {"__eq__": _equal, "__hash__": _hash} if eq else {}
    for name, method in {"__init__": _first_init(made), **shared}.items():
        if own.get(name) is None:
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, eq: bool = True) -> Callable[[type[Any]], type[Any]]:
        """Return the decorator that does what ``dataclasses.dataclass`` does; frozen: True."""
        assert frozen
        return partial(_defined, eq=eq)


# ---- what classes share -------------------------------------------------------------------------


@recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")


def _equal(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    values = _values(self.__class__)
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(_values(self.__class__)(self))


@lru_cache(maxsize=512)
def _values(cls: Any) -> Callable[[Any], Any]:
    """Return what gives the values of an object's fields that are compared."""
    names = [each.name for each in dataclasses.fields(cls) if each.compare]
    return attrgetter(*names) if names else lambda _: ()


# ---- what is a class's own ----------------------------------------------------------------------


def _first_init(cls: type[Any]) -> Callable[..., None]:
    """Return the `__init__` that puts the compiled one in its own place."""

    def init(self: Any, *args: Any, **named: Any) -> None:
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *args, **named)

    return init


def _compiled_init(cls: type[Any]) -> Any:
    missing, parameters, lines = dataclasses.MISSING, ["self"], list[str]()
    scope: dict[str, Any] = {"put": object.__setattr__}
    for each in dataclasses.fields(cls):
        name, made = each.name, each.default_factory is not missing
        if made or each.default is not missing:
            scope[f"_{name}"] = each.default_factory if made else each.default
        if each.init:
            default = "=put" if made else f"=_{name}" if f"_{name}" in scope else ""
            parameters.append(name + default)
            lines.append(f"put(self, {name!r}, {f'_{name}() if {name} is put else {name}' if made else name})")
        elif made:
            lines.append(f"put(self, {name!r}, _{name}())")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n  " + "\n  ".join(lines or ["pass"]), scope)
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return scope["__init__"]
