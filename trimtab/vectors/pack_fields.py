"""The metadata of a pack's file, asked for by key and kind, so that nothing is taken for what it is not."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trimtab.engine.gguf_file import GgufFile, Limits
from trimtab.vectors.pack_errors import PackError

Raw: TypeAlias = str | int | float | tuple[bytes, ...] | npt.NDArray[Any]
"""A value as it stands in the file: a text, a number, a list of texts or of numbers."""

PREFIX = "trimtab."
LIMITS = Limits(keys=1024, tensors=1024, texts=65_536)
"""Of any file with steering vectors, whoever made it."""


def raw_fields(file: GgufFile) -> dict[str, Raw]:
    """What the file holds under `trimtab.` and `general.`, long lists and all."""
    found: dict[str, Raw] = {}
    for key, value in file.metadata.items():
        if not key.startswith((PREFIX, "general.")):
            continue
        if isinstance(value, str | int | float):
            found[key] = value
            continue
        numbers = file.numbers(key)
        found[key] = tuple(file.texts(key)) if numbers is None else numbers
    return found


class Fields:
    """Hands out each value once; what is left at the end was not understood."""

    def __init__(self, raw: dict[str, Raw]) -> None:
        self._left = raw

    def left(self) -> list[str]:
        return sorted(key for key in self._left if key.startswith(PREFIX))

    def text(self, key: str) -> str:
        """Empty where it is not there."""
        value = self._left.pop(key, "")
        if not isinstance(value, str):
            raise _wrong(key, "a text")
        return value

    def whole(self, key: str) -> int:
        value = self.maybe_whole(key)
        if value is None:
            raise PackError(f"It does not say {key}.")
        return value

    def maybe_whole(self, key: str) -> int | None:
        value = self._left.pop(key, None)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise _wrong(key, "a whole number")
        return value

    def number(self, key: str) -> float:
        value = self.maybe_number(key)
        if value is None:
            raise PackError(f"It does not say {key}.")
        return value

    def maybe_number(self, key: str) -> float | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong(key, "a number")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """None of them where it is not there."""
        value = self._left.pop(key, ())
        if not isinstance(value, tuple):
            raise _wrong(key, "a list of texts")
        return tuple([text.decode("utf-8", "replace") for text in value])

    def has(self, key: str) -> bool:
        return key in self._left

    def length(self, key: str) -> int:
        """How many members a list has that is still to be asked for; 0 where it is not there."""
        value = self._left.get(key)
        return len(value) if isinstance(value, tuple | np.ndarray) else 0

    def wholes(self, key: str, count: int | None = None) -> list[int]:
        array = self._array(key, count)
        if array.size and array.dtype.kind not in "iu":
            raise _wrong(key, "a list of whole numbers")
        return [int(value) for value in array]

    def numbers(self, key: str, count: int) -> list[float]:
        array = self._array(key, count)
        if not np.isfinite(array).all():
            raise PackError(f"{key} holds NaN or infinity.")
        return [float(value) for value in array]

    def vectors(self, key: str, count: int, width: int) -> npt.NDArray[np.float32]:
        """Shape (count, width)."""
        array = self._array(key, count * width)
        if array.dtype.kind != "f":
            raise _wrong(key, "a list of numbers")
        with np.errstate(over="ignore"):
            values = array.astype(np.float32, copy=False).reshape(count, width)
        if not np.isfinite(values).all():
            raise PackError(f"{key} holds NaN or infinity.")
        return values

    def _array(self, key: str, count: int | None) -> npt.NDArray[Any]:
        value = self._left.pop(key, None)
        if value is None:
            raise PackError(f"It does not say {key}.")
        if not isinstance(value, np.ndarray):
            raise _wrong(key, "a list of numbers")
        if value.dtype.kind not in "iuf":
            raise _wrong(key, "a list of numbers")
        if count is not None and value.size != count:
            raise PackError(f"{key} holds {value.size:,} numbers instead of {count:,}.")
        return value


def _wrong(key: str, kind: str) -> PackError:
    return PackError(f"{key} is not {kind}.")
