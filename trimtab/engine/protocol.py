"""What the client and the engine worker say to each other, and how it is framed.

Each side opens with a line of text that names its protocol; the worker's may come after noise. Then come
frames: a u32 length (little endian), a kind byte, and the body: a msgpack message, or a piece of binary data
that belongs to the message of the same id.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any, Literal, NoReturn, TypeVar

import msgspec

from trimtab import __version__
from trimtab.engine.contract import (
    ActivationRequest,
    Event,
    GenerateRequest,
    LoadRequest,
    ScoreRequest,
)
from trimtab.engine.text import clean
from trimtab.errors import KINDS, EngineError, ProtocolError, TrimtabError

PROTOCOL = 1
MAX_MESSAGE = 16 * 2**20
"""The longest message: thousands of passages in one request, no arrays."""
MAX_PIECE = 2**20
"""The longest piece of binary data."""
MAX_NOISE = 2**20
"""How much may come before the worker's opening line: greetings of ssh and of login shells."""

_MAGIC = b"\x00\xfftrimtab-worker "
_OPENING = re.compile(re.escape(_MAGIC) + rb"(\d{1,9}) ([!-~]{1,60})\n")
_MAX_LINE = 128
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<IBQ")
_MESSAGE, _DATA = b"\x00", b"\x01"


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    id: int
    """Chosen by the client; answers carry the id of what they answer."""


class Load(_Wire, frozen=True, tag="load"):
    request: LoadRequest


class Describe(_Wire, frozen=True, tag="describe"):
    pass


class Tokenize(_Wire, frozen=True, tag="tokenize"):
    text: str
    special: bool
    bos: bool


class Pieces(_Wire, frozen=True, tag="pieces"):
    tokens: tuple[int, ...]


class Generate(_Wire, frozen=True, tag="generate"):
    request: GenerateRequest
    """Without its program, which comes beside it with arrays by hash."""
    program: bytes


class Steer(_Wire, frozen=True, tag="steer"):
    target: int
    """The id of the generation."""
    program: bytes


class Activations(_Wire, frozen=True, tag="activations"):
    request: ActivationRequest


class Score(_Wire, frozen=True, tag="score"):
    request: ScoreRequest
    program: bytes


class Unembed(_Wire, frozen=True, tag="unembed"):
    tokens: tuple[int, ...]


class Ping(_Wire, frozen=True, tag="ping"):
    """Answered at once, whatever the engine is doing."""


class Cancel(_Wire, frozen=True, tag="cancel"):
    """Ends the request of this id; its own end is the answer."""


class Shutdown(_Wire, frozen=True, tag="shutdown"):
    """Ends the worker; the end of its output is the answer."""


class Upload(_Wire, frozen=True, tag="upload"):
    """Announces data frames of this id: the contents of these, one after the other."""

    kind: Literal["array", "file"]
    parts: tuple[tuple[str, int], ...]
    """SHA-256 and length in bytes of each."""


ToWorker = (
    Load | Describe | Tokenize | Pieces | Generate | Steer | Activations | Score | Unembed | Ping | Cancel
    | Shutdown | Upload
)  # fmt: skip


class Accepted(_Wire, frozen=True, tag="accepted"):
    """The request's program is complete here, and the request waits for its turn."""


class Missing(_Wire, frozen=True, tag="missing"):
    """The request was dropped: upload these and repeat it."""

    arrays: tuple[str, ...]
    files: tuple[str, ...]


class Progressed(_Wire, frozen=True, tag="progress"):
    fraction: float


class Happened(_Wire, frozen=True, tag="event"):
    event: Event


class Result(_Wire, frozen=True, tag="result"):
    value: msgspec.Raw
    """Of the type that the request has for an answer."""


class Arrays(_Wire, frozen=True, tag="arrays"):
    """The answer is these float32 arrays, whose bytes follow as data frames, one after the other."""

    shapes: tuple[tuple[int, ...], ...]


class Failed(_Wire, frozen=True, tag="failed"):
    """The request ended in an error. Under id 0: the worker could not follow and ends."""

    kind: str
    what: str
    hint: str


ToClient = Accepted | Missing | Progressed | Happened | Result | Arrays | Failed


class Data(msgspec.Struct, frozen=True):
    """A piece of binary data."""

    id: int
    content: bytes


Side = TypeVar("Side")
_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_to_client: msgspec.msgpack.Decoder[ToClient] = msgspec.msgpack.Decoder(ToClient)


def opening() -> bytes:
    """The line with which each side begins."""
    return _MAGIC + f"{PROTOCOL} {__version__}\n".encode()


def message_frame(message: ToWorker | ToClient) -> bytes:
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise EngineError(
            f"A request of {len(body) / 2**20:.0f} MB is too large; {MAX_MESSAGE // 2**20} MB is the most.",
            "Split it into several.",
        )
    return b"".join((_LENGTH.pack(len(body) + 1), _MESSAGE, body))


def data_frames(id: int, content: bytes | memoryview) -> Iterator[bytes]:
    """The content cut into frames, none longer than `MAX_PIECE`."""
    size = MAX_PIECE - _HEAD.size
    view = memoryview(content).cast("B")
    for start in range(0, len(view), size):
        piece = view[start : start + size]
        yield b"".join((_HEAD.pack(len(piece) + 9, 1, id), piece))


def result(id: int, value: Any) -> Result:
    return Result(id, msgspec.Raw(_encoder.encode(value)))


def failed(id: int, error: BaseException) -> Failed:
    """The error as it travels; what is not ours becomes one line of an `EngineError`."""
    if isinstance(error, TrimtabError) and type(error).__name__ in KINDS:
        return Failed(id, type(error).__name__, _sendable(error.what), _sendable(error.hint))
    lines = str(error).strip().splitlines()
    what = f"The engine failed: {type(error).__name__}{': ' + lines[0][:500] if lines else ''}"
    return Failed(id, "EngineError", _sendable(what), "The engine's log tells more.")


def raised(message: Failed) -> TrimtabError:
    """The error that `failed` was given, of the same type."""
    return KINDS.get(message.kind, EngineError)(_line(message.what), _line(message.hint))


def to_worker(payload: bytes) -> ToWorker | Data:
    return _decode(payload, _to_worker)


def to_client(payload: bytes) -> ToClient | Data:
    return _decode(payload, _to_client)


class FrameReader:
    """Cuts a stream of bytes into frames; never holds more than it was fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are now complete. A bad length raises `ProtocolError`, now and ever after."""
        if self._broken:
            raise ProtocolError("The stream of frames was broken before.")
        self._buffer += data
        found: list[bytes] = []
        at = 0
        with memoryview(self._buffer) as view:
            while len(view) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(view, at)
                if not 1 <= length <= MAX_MESSAGE + 1:
                    self._broken = True
                    raise ProtocolError(f"A frame announces {length} bytes; {MAX_MESSAGE} is the most.")
                end = at + _LENGTH.size + length
                if end > len(view):
                    break
                found.append(bytes(view[at + _LENGTH.size : end]))
                at = end
        del self._buffer[:at]
        return found

    def finish(self) -> None:
        """Says that nothing more comes: half a frame is an error."""
        if self._buffer and not self._broken:
            raise ProtocolError(f"The stream ended within a frame, after {len(self._buffer)} of its bytes.")


class OpeningReader:
    """Finds the other side's opening line, after `noise` bytes at the most, and checks its version."""

    def __init__(self, peer: str, noise: int = MAX_NOISE) -> None:
        self._peer = peer
        self._allowed = noise
        self._buffer = bytearray()
        self._skipped = 0

    def feed(self, data: bytes) -> bytes | None:
        """What follows the line, or None until it is complete."""
        self._buffer += data
        found = _OPENING.search(bytes(self._buffer))
        self._skip(found.start() if found else max(0, len(self._buffer) - _MAX_LINE))
        if found is None:
            if not self._allowed and not self._buffer.startswith(_MAGIC[: len(self._buffer)]):
                self._refuse(len(self._buffer))
            return None
        number, version = int(found[1]), found[2].decode()
        if number != PROTOCOL:
            raise ProtocolError(
                f"The {self._peer} speaks protocol {number} (Trimtab {version}), "
                f"this side speaks {PROTOCOL} (Trimtab {__version__}).",
                "Install the same version of Trimtab on both sides.",
            )
        return bytes(self._buffer[len(found[0]) :])

    def _skip(self, count: int) -> None:
        del self._buffer[:count]
        self._skipped += count
        if self._skipped > self._allowed:
            self._refuse(self._skipped)

    def _refuse(self, count: int) -> NoReturn:
        raise ProtocolError(
            f"The {self._peer} sent {count} bytes and none of Trimtab's protocol.",
            "Check the command that starts it, and that it prints nothing else.",
        )


def _sendable(text: str) -> str:
    """Names of files may hold what no text may."""
    return text.encode("utf-8", "replace").decode()


def _line(text: str) -> str:
    return " ".join(clean(text).splitlines())


def _decode(payload: bytes, decoder: msgspec.msgpack.Decoder[Side]) -> Side | Data:
    kind, body = payload[:1], payload[1:]
    if kind == _MESSAGE:
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, TrimtabError, NotImplementedError) as error:
            raise ProtocolError(f"A message cannot be read: {error}") from error
    if kind == _DATA and 8 < len(body) <= MAX_PIECE:
        return Data(int.from_bytes(body[:8], "little"), body[8:])
    raise ProtocolError(f"A frame of kind {payload[0]} and {len(payload)} bytes is not of this protocol.")
