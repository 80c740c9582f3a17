"""Writes small GGUF files: the same content gives the same bytes, and llama.cpp reads them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Value: TypeAlias = str | int | float | np.int32 | npt.NDArray[np.generic] | tuple[str, ...]
"""Texts, u32, f64, i32, arrays of f32, f64, u32 or i32, and lists of texts."""

ALIGNMENT = 32
_VERSION = 3
_U32, _I32, _F32, _STRING, _ARRAY, _F64 = 4, 5, 6, 8, 9, 12
_ARRAY_KINDS = {"<f4": _F32, "<f8": _F64, "<u4": _U32, "<i4": _I32}
_TENSOR_F32 = 0

DIGEST = "trimtab.digest"
_BLANK = "0" * 64


def write_gguf(metadata: Mapping[str, Value], tensors: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """A whole file: keys sorted, tensors in the order given, one-dimensional and f32.

    Each tensor begins where llama.cpp expects it, and the last is padded too, or it would call the file cut short.
    """
    head = struct.pack("<4sIQQ", b"GGUF", _VERSION, len(tensors), len(metadata))
    entries = b"".join(_text(key) + _value(metadata[key]) for key in sorted(metadata))
    table, body, offset = [], [], 0
    for name, values in tensors.items():
        data = values.astype("<f4").tobytes()
        table.append(_text(name) + struct.pack("<IQIQ", 1, values.size, _TENSOR_F32, offset))
        body.append(_padded(data))
        offset += len(body[-1])
    return _padded(head + entries + b"".join(table)) + b"".join(body)


def write_sealed(metadata: Mapping[str, Value], tensors: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """The same with a digest of the whole file in it."""
    blank = write_gguf({**metadata, DIGEST: _BLANK}, tensors)
    at = _digest_at(blank)
    assert at is not None
    return blank[:at] + hashlib.sha256(blank).hexdigest().encode() + blank[at + len(_BLANK) :]


def is_as_written(data: bytes) -> bool | None:
    """Whether a file still has the digest it was sealed with; None where it has none."""
    at = _digest_at(data)
    if at is None:
        return None
    told = data[at : at + len(_BLANK)]
    blank = data[:at] + _BLANK.encode() + data[at + len(_BLANK) :]
    return told == hashlib.sha256(blank).hexdigest().encode()


def _digest_at(data: bytes) -> int | None:
    mark = _text(DIGEST) + struct.pack("<IQ", _STRING, len(_BLANK))
    at = data.find(mark)
    return at + len(mark) if at >= 0 and data.find(mark, at + 1) < 0 else None


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    return b"".join(_pieces(value))


def _pieces(value: Value) -> Iterator[bytes]:
    if isinstance(value, str):
        yield struct.pack("<I", _STRING) + _text(value)
    elif isinstance(value, np.int32):
        yield struct.pack("<Ii", _I32, value)
    elif isinstance(value, int):
        yield struct.pack("<II", _U32, value)
    elif isinstance(value, float):
        yield struct.pack("<Id", _F64, value)
    elif isinstance(value, tuple):
        yield struct.pack("<IIQ", _ARRAY, _STRING, len(value))
        yield from map(_text, value)
    else:
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        yield struct.pack("<IIQ", _ARRAY, _ARRAY_KINDS[little.dtype.str], little.size)
        yield little.tobytes()
