"""Reads GGUF files: header, metadata, tensor table and single rows, with every count checked before use."""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trimtab.errors import ModelError, Unsupported

Scalar = int | float | bool | str
"""What a metadata value is when it is no long array; short arrays of numbers come as tuples."""

_SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
_KIND = struct.Struct("<I")

_MAX_TEXT = 1 << 24
_MAX_SHARDS = 1 << 10
_SHORT_ARRAY = 1024

_BLOCKS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""By ggml's type number: name, values in a block, bytes of a block."""

_SHARD_NAME = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.DOTALL)


@dataclass(frozen=True)
class Limits:
    """How much a file may hold: metadata entries, tensors, and texts in all its lists. These are for models."""

    keys: int = 1 << 16
    tensors: int = 1 << 18
    texts: int = 1 << 24


_MODEL = Limits()


def open_gguf(path: Path | str) -> GgufFile:
    """Reads the tables of the file at `path`, and of its other parts if it is split."""
    return GgufFile(Path(path))


def read_gguf(data: bytes, name: str, limits: Limits = _MODEL) -> GgufFile:
    """Reads the tables of a file that is in memory; errors call it by `name`, and no other file is opened."""
    return GgufFile(Path(name), data, limits)


@dataclass(frozen=True)
class LongArray:
    """A metadata array that was passed over; `GgufFile.numbers` and `.texts` read it."""

    kind: int
    count: int
    start: int


@dataclass(frozen=True)
class Tensor:
    """One entry of the tensor table."""

    name: str
    shape: tuple[int, ...]
    """As the file has it: the length of a row comes first."""
    kind: str
    row_bytes: int
    start: int
    """Where its data begin in their file."""
    part: int

    @property
    def rows(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def size(self) -> int:
        return self.row_bytes * self.rows


class GgufFile:
    """A GGUF file, or all parts of a split one, mapped into memory; or one that is there already."""

    def __init__(self, path: Path, data: bytes | None = None, limits: Limits = _MODEL) -> None:
        self.path = path
        self._limits = limits
        self._maps: list[mmap.mmap | bytes] = []
        self.metadata: dict[str, Scalar | tuple[Scalar, ...] | LongArray] = {}
        self.tensors: dict[str, Tensor] = {}
        try:
            self._read_part(path, data)
            for other in self._other_parts(alone=data is not None):
                self._read_part(other)
            self._check_split()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for mapped in self._maps:
            if isinstance(mapped, mmap.mmap):
                mapped.close()
        self._maps.clear()

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or ""

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.size for tensor in self.tensors.values())

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | float | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int | float) else None

    def count(self, key: str) -> int | None:
        """The length of the array at `key`."""
        value = self.metadata.get(key)
        if isinstance(value, LongArray):
            return value.count
        return len(value) if isinstance(value, tuple) else None

    def numbers(self, key: str) -> npt.NDArray[Any] | None:
        """The array of numbers at `key`."""
        value = self.metadata.get(key)
        if isinstance(value, tuple):
            return np.array(value)
        if not isinstance(value, LongArray) or value.kind == _STRING:
            return None
        dtype = np.dtype(_SCALARS[value.kind].format)
        return np.frombuffer(self._maps[0], dtype, value.count, value.start).copy()

    def texts(self, key: str) -> Iterator[bytes]:
        """The strings of the array at `key`, as the bytes in the file."""
        value = self.metadata.get(key)
        if not isinstance(value, LongArray) or value.kind != _STRING:
            return
        data, position = self._maps[0], value.start
        for _ in range(value.count):
            (length,) = _LENGTH.unpack_from(data, position)
            position += 8
            yield data[position : position + length]
            position += length

    def rows(self, name: str, wanted: Sequence[int]) -> npt.NDArray[np.float32]:
        """These rows of a tensor, as float32."""
        tensor = self.tensors[name]
        width = tensor.shape[0]
        data = self._maps[tensor.part]
        raw = np.empty((len(wanted), tensor.row_bytes), dtype=np.uint8)
        for at, row in enumerate(wanted):
            if not 0 <= row < tensor.rows:
                raise IndexError(f"{name} has {tensor.rows} rows, not a row {row}")
            start = tensor.start + row * tensor.row_bytes
            raw[at] = np.frombuffer(data, np.uint8, tensor.row_bytes, start)
        return _to_float(raw, tensor.kind).reshape(len(wanted), width)

    def whole(self, name: str) -> npt.NDArray[np.float32]:
        """A whole tensor, as float32, in numpy's order of dimensions."""
        tensor = self.tensors[name]
        raw = np.frombuffer(self._maps[tensor.part], np.uint8, tensor.size, tensor.start)
        values = _to_float(raw.reshape(tensor.rows, tensor.row_bytes), tensor.kind)
        return values.reshape(tuple(reversed(tensor.shape)))

    def raw(self, name: str, start: int, length: int) -> bytes:
        """Bytes of a tensor as they are stored, from its byte `start` on; fewer where it ends before."""
        tensor = self.tensors[name]
        first, end = min(start, tensor.size), min(start + length, tensor.size)
        return bytes(self._maps[tensor.part][tensor.start + first : tensor.start + end])

    def _read_part(self, path: Path, known: bytes | None = None) -> None:
        part = len(self._maps)
        if known is not None:
            _check_start(path, known[:64])
        data = _map(path) if known is None else known
        self._maps.append(data)
        reader = _Reader(path, data, self._limits)
        tensor_count, key_count = reader.header()
        metadata = dict(reader.entries(key_count))
        if len(metadata) != key_count:
            raise reader.damaged("a metadata key occurs twice")
        tensors = reader.tensors(tensor_count, metadata.get("general.alignment", 32), part)
        for tensor in tensors:
            if tensor.name in self.tensors:
                raise reader.damaged(f"the tensor {tensor.name[:80]!r} occurs twice")
            self.tensors[tensor.name] = tensor
        if part == 0:
            self.metadata = metadata
        elif metadata.get("split.no") != part or metadata.get("split.count") != self.number("split.count"):
            raise reader.damaged("it is not the part that its name says")

    def _other_parts(self, *, alone: bool) -> list[Path]:
        count, number = self.number("split.count") or 0, self.number("split.no") or 0
        if count <= 1:
            return []
        if alone:
            raise ModelError(f"{self.path} claims to be one of several parts.", "Get it in one part.")
        if not isinstance(count, int) or count > _MAX_SHARDS:
            raise ModelError(f"{self.path} is damaged: it claims {count} parts.", _COPY_AGAIN)
        named = _SHARD_NAME.match(self.path.name)
        if named is None or int(named["count"]) != count:
            raise ModelError(
                f"{self.path} is one of {count} parts, but its name does not say which.",
                f"Give the parts their names back: name-00001-of-{count:05}.gguf and so on.",
            )
        paths = [
            self.path.with_name(f"{named['stem']}-{at:05}-of-{count:05}.gguf") for at in range(1, count + 1)
        ]
        if number != 0:
            raise ModelError(
                f"{self.path} is part {number + 1} of {count}.", f"Open the first: {paths[0].name}."
            )
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise ModelError(
                f"{self.path} has {count} parts and {missing[0]} is missing.",
                "Put all parts into one folder.",
            )
        return paths[1:]

    def _check_split(self) -> None:
        expected = self.number("split.tensors.count")
        if len(self._maps) > 1 and expected is not None and expected != len(self.tensors):
            raise ModelError(
                f"The parts of {self.path} hold {len(self.tensors)} tensors instead of {expected}.",
                _COPY_AGAIN,
            )


_COPY_AGAIN = "Download or copy it again."


def _map(path: Path) -> mmap.mmap:
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, not a GGUF file.", "Give the .gguf file inside it.")
        if path.exists() and not path.is_file():
            raise ModelError(f"{path} is no regular file.", "Give a .gguf file.")
        with path.open("rb") as file:
            _check_start(path, file.read(64))
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}.", "Check the path.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    except ValueError as error:
        raise ModelError(f"{str(path)!r} is no file name: {error}.", "Check the path.") from None


def _check_start(path: Path, start: bytes) -> None:
    if not start:
        raise ModelError(f"{path} is empty.", _COPY_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is only git-lfs's note of where the file is.", "Run: git lfs pull")
    if not start.startswith(b"GGUF"):
        raise ModelError(f"{path} is not a GGUF file.", "Give a file in GGUF format.")


class _Reader:
    """A place in a GGUF file and the readers of what may come there."""

    def __init__(self, path: Path, data: mmap.mmap | bytes, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._texts_left = limits.texts
        self._data = data
        self._size = len(data)
        self._position = 4

    def damaged(self, why: str) -> ModelError:
        return ModelError(f"{self._path} is damaged: {why}.", _COPY_AGAIN)

    def header(self) -> tuple[int, int]:
        version = self._number(_KIND)
        if version & 0xFFFF == 0:
            raise ModelError(
                f"{self._path} is a big-endian GGUF file.", "Convert it: gguf-py's gguf_convert_endian.py."
            )
        if version not in (2, 3):
            raise ModelError(
                f"{self._path} is GGUF of version {version}; versions 2 and 3 can be read.",
                "Convert it anew.",
            )
        tensors, keys = self._number(_LENGTH), self._number(_LENGTH)
        if keys > min(self._limits.keys, self._left // 13):
            raise self.damaged(f"it claims {keys} metadata entries")
        if tensors > min(self._limits.tensors, self._left // 32):
            raise self.damaged(f"it claims {tensors} tensors")
        return tensors, keys

    def entries(self, count: int) -> Iterator[tuple[str, Scalar | tuple[Scalar, ...] | LongArray]]:
        for _ in range(count):
            key = self._text("a metadata key")
            yield key, self._value(key, self._number(_KIND))

    def tensors(self, count: int, alignment: object, part: int) -> list[Tensor]:
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self.damaged("its alignment is no power of two")
        table = [self._tensor(part) for _ in range(count)]
        data_start = -(-self._position // alignment) * alignment
        placed = []
        for tensor in table:
            if tensor.start % alignment:
                raise self.damaged(f"the tensor {tensor.name[:80]!r} is not aligned")
            start = data_start + tensor.start
            if start + tensor.size > self._size:
                raise ModelError(
                    f"{self._path} is cut short: it has {self._size:,} bytes and the tensor "
                    f"{tensor.name[:80]!r} ends at {start + tensor.size:,}.",
                    _COPY_AGAIN,
                )
            placed.append(Tensor(tensor.name, tensor.shape, tensor.kind, tensor.row_bytes, start, part))
        return placed

    def _tensor(self, part: int) -> Tensor:
        name = self._text("a tensor's name")
        dimensions = self._number(_KIND)
        if not 1 <= dimensions <= 4:
            raise self.damaged(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self._number(_LENGTH) for _ in range(dimensions))
        if not all(shape) or math.prod(shape) >= 1 << 62:
            raise self.damaged(f"the tensor {name[:80]!r} has the shape {shape}")
        kind, block, block_bytes = _BLOCKS.get(number := self._number(_KIND), ("", 1, 0))
        if not kind:
            raise ModelError(
                f"{self._path} stores the tensor {name[:80]!r} in a format of number {number}, which is unknown here.",
                "Use another quantisation of the model, such as Q8_0 or Q4_K_M.",
            )
        if shape[0] % block:
            raise self.damaged(f"a row of {name[:80]!r} is no whole number of {kind} blocks")
        return Tensor(name, shape, kind, shape[0] // block * block_bytes, self._number(_LENGTH), part)

    def _value(self, key: str, kind: int) -> Scalar | tuple[Scalar, ...] | LongArray:
        if kind == _STRING:
            return self._text(repr(key[:80]))
        if kind == _ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            raise self.damaged(f"the value of {key[:80]!r} has the unknown type {kind}")
        value: Scalar = self._number(_SCALARS[kind])
        return value

    def _array(self, key: str) -> tuple[Scalar, ...] | LongArray:
        kind, count = self._number(_KIND), self._number(_LENGTH)
        start = self._position
        if kind == _STRING:
            if count > min(self._texts_left, self._left // 8):
                raise self.damaged(f"{key[:80]!r} claims {count} strings")
            self._texts_left -= count
            self._skip_texts(key, count)
            return LongArray(kind, count, start)
        if kind not in _SCALARS:
            raise self.damaged(f"the list {key[:80]!r} holds the unknown type {kind}")
        scalar = _SCALARS[kind]
        if count > self._left // scalar.size:
            raise self.damaged(f"{key[:80]!r} claims {count} values")
        self._position += count * scalar.size
        if count > _SHORT_ARRAY:
            return LongArray(kind, count, start)
        return tuple(value for (value,) in scalar.iter_unpack(self._data[start : self._position]))

    def _skip_texts(self, key: str, count: int) -> None:
        # A vocabulary has some 150,000 of these: the loop does the least it can.
        data, position, unpack = self._data, self._position, _LENGTH.unpack_from
        try:
            for _ in range(count):
                position += 8 + unpack(data, position)[0]
        except (struct.error, OverflowError):
            raise self.damaged(f"{key[:80]!r} runs beyond its end") from None
        if position > self._size:
            raise self.damaged(f"{key[:80]!r} runs beyond its end")
        self._position = position

    def _text(self, what: str) -> str:
        length = self._number(_LENGTH)
        if length > min(_MAX_TEXT, self._left):
            raise self.damaged(f"{what} claims {length} bytes")
        start = self._position
        self._position += length
        return self._data[start : self._position].decode("utf-8", errors="replace")

    def _number(self, scalar: struct.Struct) -> Any:
        if scalar.size > self._left:
            raise self.damaged("it ends in the middle of its tables")
        (value,) = scalar.unpack_from(self._data, self._position)
        self._position += scalar.size
        return value

    @property
    def _left(self) -> int:
        return self._size - self._position


def _to_float(raw: npt.NDArray[np.uint8], kind: str) -> npt.NDArray[np.float32]:
    if kind == "F32":
        return raw.view("<f4").astype(np.float32)
    if kind == "F16":
        return raw.view("<f2").astype(np.float32)
    if kind == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    try:
        values: npt.NDArray[np.float32] = dequantize(raw, GGMLQuantizationType[kind])
    except (KeyError, NotImplementedError):
        raise Unsupported(f"Rows stored as {kind} cannot be read.", "Use another quantisation.") from None
    return values
