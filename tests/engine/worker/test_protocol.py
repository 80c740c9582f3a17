"""Frames arrive as they were sent, however they are cut, and nonsense is one error."""

from __future__ import annotations

import struct
import tracemalloc
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import errors
from trimtab.engine import protocol
from trimtab.engine.contract import GenerateRequest, LoadRequest, Token
from trimtab.errors import EngineError, ModelError, ProtocolError, TrimtabError, WorkerDied

PAYLOADS = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def framed(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(PAYLOADS, st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_survive_any_cut_of_the_stream(payloads: list[bytes], at: list[int]) -> None:
    reader = protocol.FrameReader()
    stream = b"".join(map(framed, payloads))
    assert [frame for piece in cut(stream, at) for frame in reader.feed(piece)] == payloads
    reader.finish()


@given(PAYLOADS, st.integers(1, 10_000))
def test_a_truncated_stream_is_an_error_at_its_end(payloads: list[bytes], drop: int) -> None:
    stream = b"".join(map(framed, [*payloads, b"last"]))[: -(1 + drop % 7)]
    reader = protocol.FrameReader()
    reader.feed(stream)
    with pytest.raises(ProtocolError):
        reader.finish()


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_random_bytes_are_read_or_refused_and_nothing_else(pieces: list[bytes]) -> None:
    reader = protocol.FrameReader()
    try:
        for piece in pieces:
            for payload in reader.feed(piece):
                protocol.to_client(payload)
        reader.finish()
    except ProtocolError:
        pass


@given(st.binary(min_size=1, max_size=400))
def test_a_random_payload_is_a_message_or_an_error(payload: bytes) -> None:
    for read in (protocol.to_client, protocol.to_worker):
        try:
            found = read(payload)
        except ProtocolError:
            continue
        assert isinstance(found, msgspec.Struct)


@pytest.mark.parametrize("length", [0, protocol.MAX_MESSAGE + 2, 2**32 - 1])
def test_an_impossible_length_is_refused_before_its_content_comes(length: int) -> None:
    with pytest.raises(ProtocolError):
        protocol.FrameReader().feed(struct.pack("<I", length))


def test_an_announced_length_alone_takes_no_memory() -> None:
    tracemalloc.start()
    reader = protocol.FrameReader()
    reader.feed(struct.pack("<I", protocol.MAX_MESSAGE) + b"only this much")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_broken_stream_stays_broken() -> None:
    reader = protocol.FrameReader()
    with pytest.raises(ProtocolError):
        reader.feed(bytes(4))
    with pytest.raises(ProtocolError):
        reader.feed(framed(b"fine"))


def test_an_unknown_message_is_refused() -> None:
    with pytest.raises(ProtocolError):
        protocol.to_worker(b"\x00" + msgspec.msgpack.encode(["dance", 1]))


def test_messages_go_there_and_come_back() -> None:
    sent: list[protocol.ToWorker] = [
        protocol.Load(1, LoadRequest(path="a.gguf")),
        protocol.Generate(2, GenerateRequest(text="hello"), b"program"),
        protocol.Upload(3, "array", (("a" * 64, 4),)),
        protocol.Shutdown(4),
    ]
    reader = protocol.FrameReader()
    frames = reader.feed(b"".join(protocol.message_frame(message) for message in sent))
    assert [protocol.to_worker(frame) for frame in frames] == sent


@given(st.integers(0, 3 * protocol.MAX_PIECE))
def test_data_is_cut_into_pieces_of_at_most_a_megabyte(size: int) -> None:
    content = bytes(size)
    frames = protocol.FrameReader().feed(b"".join(protocol.data_frames(7, content)))
    pieces = [protocol.to_client(frame) for frame in frames]
    assert all(len(frame) <= protocol.MAX_PIECE for frame in frames)
    assert all(isinstance(piece, protocol.Data) and piece.id == 7 for piece in pieces)
    assert sum(len(piece.content) for piece in pieces if isinstance(piece, protocol.Data)) == size


def test_a_request_too_large_is_refused_where_it_is_made() -> None:
    with pytest.raises(EngineError):
        protocol.message_frame(protocol.Tokenize(1, "x" * (protocol.MAX_MESSAGE + 1), False, False))


@pytest.mark.parametrize("kind", [kind for kind in errors.KINDS.values() if kind is not WorkerDied])
def test_an_error_comes_out_as_the_type_it_went_in(kind: type[TrimtabError]) -> None:
    error = protocol.raised(protocol.failed(3, kind("What is wrong.", "What to do.")))
    assert (type(error), error.what, error.hint) == (kind, "What is wrong.", "What to do.")


def test_an_error_is_one_line_without_control_codes() -> None:
    error = protocol.raised(protocol.Failed(1, "ModelError", "A \x1b[31mred\nname.", ""))
    assert error.what == "A [31mred name."


def test_a_strangers_error_becomes_one_line() -> None:
    error = protocol.raised(protocol.failed(3, RuntimeError("first line\nsecond line")))
    assert type(error) is EngineError
    assert error.what == "The engine failed: RuntimeError: first line"


NOISE = st.binary(max_size=2000).filter(lambda noise: b"trimtab" not in noise) | st.integers(0, 60).map(
    lambda end: protocol.opening()[:-1][:end]
)


@given(NOISE, st.binary(max_size=50), st.lists(st.integers(0, 10_000), max_size=6))
def test_noise_before_the_opening_is_skipped(noise: bytes, rest: bytes, at: list[int]) -> None:
    reader = protocol.OpeningReader("engine worker")
    pieces = cut(noise + protocol.opening() + rest, at)
    found = b""
    open = False
    for piece in pieces:
        if open:
            found += piece
        elif (first := reader.feed(piece)) is not None:
            open, found = True, first
    assert open
    assert found == rest


def test_noise_without_end_is_refused() -> None:
    reader = protocol.OpeningReader("engine worker", noise=1000)
    reader.feed(b"x" * 900)
    with pytest.raises(ProtocolError):
        reader.feed(b"x" * 300)


def test_another_version_is_named_beside_ours() -> None:
    other = protocol.opening().replace(b" 1 ", b" 99 ")
    with pytest.raises(ProtocolError, match=r"protocol 99 \(Trimtab .*this side speaks 1 \(Trimtab"):
        protocol.OpeningReader("engine worker").feed(other)


def test_an_opening_that_does_not_end_is_refused() -> None:
    with pytest.raises(ProtocolError):
        protocol.OpeningReader("engine worker", noise=0).feed(protocol.opening().rstrip(b"\n") + b"x" * 200)


def test_a_tokens_frame_is_small() -> None:
    token = Token(id=1, text="word", logprob=-1.25, watched={"security": 0.5}, shift={3: 0.5})
    assert len(protocol.message_frame(protocol.Happened(1, token))) < 150


def test_the_model_errors_hint_survives() -> None:
    message = protocol.failed(1, ModelError("There is no model.", "Check the path."))
    assert protocol.raised(message).hint == "Check the path."
