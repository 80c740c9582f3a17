"""What the parts of a program have in common: checked types, equality by content, arrays known by hash."""

from __future__ import annotations

import functools
import hashlib
import math
import operator
import types
import typing
from typing import Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import force_setattr

from trimtab.engine.text import clean
from trimtab.errors import ProgramError


class Array:
    """A read-only float32 vector that knows the hash of its content."""

    __slots__ = ("digest", "values")

    def __init__(self, values: npt.ArrayLike, *, digest: str | None = None) -> None:
        try:
            array = np.array(values, dtype=np.float32, order="C")
        except (TypeError, ValueError) as error:
            raise ProgramError("A steering vector holds something that is no number.") from error
        if array.ndim != 1 or array.size == 0:
            raise ProgramError(f"A steering vector has one dimension, this one has shape {array.shape}.")
        if not np.isfinite(array).all():
            raise ProgramError("A steering vector holds NaN or infinity.", "Rebuild or re-import it.")
        array.setflags(write=False)
        found = hashlib.sha256(array.astype("<f4", copy=False).tobytes()).hexdigest()
        if digest is not None and digest != found:
            raise ProgramError(f"An array announced as {digest[:12]} hashes to {found[:12]}.")
        self.values: npt.NDArray[np.float32] = array
        self.digest = found

    @property
    def width(self) -> int:
        return int(self.values.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Array(width={self.width}, digest={self.digest[:12]})"

    @classmethod
    def of(cls, values: Array | npt.ArrayLike) -> Array:
        return values if isinstance(values, Array) else cls(values)


def clean_name(owner: Part, field: str) -> None:
    """Names are shown on the user's terminal, and may come from a file."""
    force_setattr(owner, field, " ".join(clean(getattr(owner, field)).split()))


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Frozen, serialisable, equal by content; every field is made what its annotation says, or refused."""

    def __post_init__(self) -> None:
        for field, kind in _kinds(type(self)):
            value = getattr(self, field)
            made = _made(f"A {type(self).__name__}'s {field}", kind, value)
            if made is not value:
                force_setattr(self, field, made)

    def anonymous(self) -> Self:
        """The same without anything that is true only of this machine."""
        return self

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and encode(self) == encode(other)

    def __hash__(self) -> int:
        return hash(encode(self))


def encode(value: Part) -> bytes:
    """The canonical bytes of a program or a part of it: arrays by hash, no path of this machine."""
    return _encoder.encode(value.anonymous())


def _encode_array(value: object) -> str:
    if isinstance(value, Array):
        return value.digest
    raise TypeError(f"cannot encode {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array, order="deterministic")


@functools.cache
def _kinds(part: type[Part]) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(part)
    return tuple((field, hints[field]) for field in part.__struct_fields__)


def _made(what: str, kind: Any, value: Any) -> Any:
    """The value as `kind`: 1 and 1.0 are one number, whatever library it came from."""
    origin = typing.get_origin(kind)
    if origin is Literal:
        allowed = typing.get_args(kind)
        if value not in allowed:
            raise ProgramError(f"{what} is {' or '.join(allowed)}, not {value!r}.")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, typing.Iterable):
            raise ProgramError(f"{what} is a sequence, not {value!r}.")
        [each, _] = typing.get_args(kind)
        return tuple(_made(f"One of {what[0].lower()}{what[1:]}", each, member) for member in value)
    if origin in (types.UnionType, typing.Union):
        return _made_one_of(what, typing.get_args(kind), value)
    return _made_plain(what, kind, value)


def _made_one_of(what: str, kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    left = [kind for kind in kinds if kind is not type(None)]
    if len(left) == 1:
        return _made(what, left[0], value)
    if not isinstance(value, tuple(left)):
        raise ProgramError(f"{what} cannot be a {type(value).__name__}.")
    return value


def _made_plain(what: str, kind: type, value: Any) -> Any:
    if kind is float:
        if isinstance(value, bool | np.bool_) or not isinstance(
            value, int | float | np.integer | np.floating
        ):
            raise ProgramError(f"{what} is a number, not {value!r}.")
        if not math.isfinite(value):
            raise ProgramError(f"{what} is {value}: it must be a finite number.")
        return value if type(value) is float else float(value)
    if kind is int:
        if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
            raise ProgramError(f"{what} is a whole number, not {value!r}.")
        return value if type(value) is int else operator.index(value)
    if kind is Array:
        return Array.of(value)
    if not isinstance(value, kind):
        raise ProgramError(f"{what} is a {kind.__name__}, not a {type(value).__name__}.")
    return value
