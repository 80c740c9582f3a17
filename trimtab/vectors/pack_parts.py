"""What the parts of a pack have in common: every field is made what its annotation says, or refused."""

from __future__ import annotations

import functools
import math
import operator
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from trimtab.engine.program import Array
from trimtab.engine.text import clean_line
from trimtab.errors import ProgramError
from trimtab.vectors.pack_errors import PackError


@dataclass(frozen=True)
class Between:
    """The least and the greatest a number may be."""

    low: float = -1e30
    high: float = 1e30


@dataclass(frozen=True)
class AtMost:
    """How long a text may be, or how many members a list may have."""

    count: int


@dataclass(frozen=True)
class Like:
    """What a text must look like, in words and as a pattern."""

    words: str
    pattern: re.Pattern[str]


Number: TypeAlias = Annotated[float, Between()]
Size: TypeAlias = Annotated[float, Between(0.0)]
Share: TypeAlias = Annotated[float, Between(0.0, 1.0)]
Cosine: TypeAlias = Annotated[float, Between(-1.001, 1.001)]
"""With room for rounding."""
Line: TypeAlias = Annotated[str, AtMost(200)]
Sentence: TypeAlias = Annotated[str, AtMost(1000)]
Hash: TypeAlias = Annotated[str, Like("64 hexadecimal digits", re.compile(r"[0-9a-f]{64}|"))]
"""Empty where it is not known."""
Id: TypeAlias = Annotated[
    str, AtMost(64), Like("lower case letters, digits and hyphens", re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"))
]
LayerNumber: TypeAlias = Annotated[int, Between(0, 511)]

Make: TypeAlias = Callable[[str, Any], Any]
"""Makes a value what it should be; told what to call it."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen, equal by content, checked when it is made; texts are without control and bidi characters."""

    title: ClassVar[str] = "A part of a pack"

    def __post_init__(self) -> None:
        for field, name, make in _makers(type(self)):
            value = getattr(self, field)
            made = make(name, value)
            if made is not value:
                force_setattr(self, field, made)


def require_unit(what: str, array: Array) -> None:
    """A unit vector is one long; what it is not, is not rescaled in silence."""
    length = float(np.linalg.norm(array.values.astype(np.float64)))
    if abs(length - 1.0) > 1e-4:
        raise PackError(f"{what} is {length:g} long instead of 1.")


@functools.cache
def _makers(part: type[Part]) -> tuple[tuple[str, str, Make], ...]:
    hints = typing.get_type_hints(part, include_extras=True)
    return tuple(
        (field, f"{part.title}'s {field.replace('_', ' ')}", _maker(hints[field]))
        for field in part.__struct_fields__
    )


def _maker(kind: Any) -> Make:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        base, *rules = typing.get_args(kind)
        return _ruled(base, rules)
    if origin is Literal:
        return functools.partial(_one_of, typing.get_args(kind))
    if origin is tuple:
        return functools.partial(_tuple, _maker(typing.get_args(kind)[0]))
    if origin in (types.UnionType, typing.Union):
        [inner] = [each for each in typing.get_args(kind) if each is not type(None)]
        return functools.partial(_optional, _maker(inner))
    if kind is str:
        return _text
    if kind is Array:
        return _array
    return functools.partial(_instance, kind)


def _ruled(base: Any, rules: list[Any]) -> Make:
    if base in (int, float):
        [bounds] = rules
        return functools.partial(_whole if base is int else _number, bounds.low, bounds.high)
    make = _maker(base)
    for rule in rules:
        make = functools.partial(_at_most if isinstance(rule, AtMost) else _like, rule, make)
    return make


def _number(low: float, high: float, what: str, value: Any) -> float:
    if type(value) is not float:
        if isinstance(value, bool | np.bool_) or not isinstance(
            value, int | float | np.integer | np.floating
        ):
            raise PackError(f"{what} is no number.")
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    number: float = value
    if not low <= number <= high:
        raise PackError(f"{what} is {number:g}; it lies between {low:g} and {high:g}.")
    return number


def _whole(low: float, high: float, what: str, value: Any) -> int:
    if type(value) is not int:
        if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
            raise PackError(f"{what} is no whole number.")
        value = operator.index(value)
    number: int = value
    if not low <= number <= high:
        raise PackError(f"{what} is out of range: it lies between {low:g} and {high:g}.")
    return number


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PackError(f"{what} is no text.")
    return value if value.isascii() and value.isprintable() else clean_line(value)


def _at_most(rule: AtMost, make: Make, what: str, value: Any) -> Any:
    made = make(what, value)
    if len(made) > rule.count:
        raise PackError(f"{what} has {len(made)} parts; {rule.count} is the most.")
    return made


def _like(rule: Like, make: Make, what: str, value: Any) -> Any:
    made = make(what, value)
    if not rule.pattern.fullmatch(made):
        raise PackError(f"{what} is {made[:40]!r}; it consists of {rule.words}.")
    return made


def _one_of(allowed: tuple[str, ...], what: str, value: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise PackError(f"{what} is {' or '.join(allowed)}.")
    return value


def _tuple(make: Make, what: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise PackError(f"{what} is no list.")
    made = tuple([make(what, member) for member in value])
    return value if isinstance(value, tuple) and made == value else made


def _optional(make: Make, what: str, value: Any) -> Any:
    return None if value is None else make(what, value)


def _array(what: str, value: Any) -> Array:
    try:
        return Array.of(value)
    except ProgramError as error:
        raise PackError(f"{what} is no vector of finite numbers.") from error


def _instance(kind: type, what: str, value: Any) -> Any:
    if not isinstance(value, kind):
        raise PackError(f"{what} is no {kind.__name__}.")
    return value
