"""Frozen dataclasses of our own beside those of Python."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar

import pytest

from bfncodec.records import dataclass

T = TypeVar("T")
Decorator = Callable[..., Any]


def classes(decorate: Decorator) -> list[type[Any]]:
    """Classes of several kinds; each takes one number."""

    @decorate(frozen=True)
    class Plain:
        x: int
        y: str = "y"
        z: list[int] = dataclasses.field(default_factory=list, compare=False)
        hidden: int = dataclasses.field(default=3, repr=False)

    @decorate(frozen=True)
    class Own:
        x: int
        double: int = dataclasses.field(init=False)
        parts: dict[str, int] = dataclasses.field(init=False, default_factory=dict, compare=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "double", 2 * self.x)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and self.x % 10 == other.x % 10

        def __repr__(self) -> str:
            return f"<{self.x}>"

    @decorate(frozen=True)
    class Heir(Plain):
        more: tuple[int, ...] = ()

    @decorate(frozen=True)
    class Of(Generic[T]):
        value: T

        @cached_property
        def string(self) -> str:
            return str(self.value)

    @decorate(frozen=True, eq=False)
    class Same:
        x: int

    return [Plain, Own, Heir, Of, Same]


def facts(cls: type[Any]) -> list[Any]:
    """What a class does."""
    a, same, other = cls(1), cls(1), cls(11)
    first = dataclasses.fields(cls)[0].name
    found = [repr(a), a == same, a == other, a != same, a == 1, len({a, same, other})]
    found += [dataclasses.asdict(a), dataclasses.replace(a, **{first: 5}) == cls(5), cls.__match_args__]
    found += [copy.deepcopy(a) == a, vars(cls(**{first: 2})), dataclasses.is_dataclass(a)]
    for change in (lambda: setattr(a, first, 2), lambda: delattr(a, first)):
        with pytest.raises(dataclasses.FrozenInstanceError) as refused:
            change()
        found.append(str(refused.value))
    with pytest.raises(TypeError):
        cls()
    with pytest.raises(TypeError):
        cls(1, nonsense=2)
    return found


def test_classes_do_what_those_of_python_do() -> None:
    for ours, pythons in zip(classes(dataclass), classes(dataclasses.dataclass), strict=True):
        assert facts(ours) == facts(pythons)


def test_classes_without_fields_and_with_themselves_within() -> None:
    @dataclass(frozen=True)
    class Nothing:
        pass

    @dataclass(frozen=True)
    class Loop:
        parts: list[Any]

    loop = Loop([])
    loop.parts.append(loop)
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(loop).endswith("Loop(parts=[...])")
    assert of_seven.string == "7"


@dataclass(frozen=True)
class Number(Generic[T]):
    value: T

    @cached_property
    def string(self) -> str:
        return str(self.value)


of_seven = Number(7)


def test_objects_are_sent_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(of_seven)) == of_seven


def test_frozen_classes_of_python_may_inherit() -> None:
    @dataclasses.dataclass(frozen=True)
    class Heir(Number[int]):
        more: int = 2

    assert Heir(1) == Heir(1, 2) != Heir(1, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Heir(1).more = 3  # type: ignore[misc]

    @dataclass(frozen=True)
    class Second(Heir):
        most: int = 3

    assert Second(1, 2, 3) == Second(1)
    assert dataclasses.asdict(Second(1)) == {"value": 1, "more": 2, "most": 3}
