"""What a worker holds for its client is checked by hash and bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from trimtab.engine.program import Adapter, Array, Program, Shift, encode
from trimtab.engine.protocol import Upload
from trimtab.engine.uploads import Incoming, Lacking, Store
from trimtab.errors import ProgramError, ProtocolError


def upload(store: Store, kind: str, *contents: bytes, cut: int = 7) -> Incoming:
    parts = tuple((hashlib.sha256(content).hexdigest(), len(content)) for content in contents)
    incoming = store.receive(Upload(1, kind, parts))  # type: ignore[arg-type]
    data = b"".join(contents)
    for start in range(0, len(data), cut):
        incoming.write(data[start : start + cut])
    return incoming


def array(seed: int, width: int = 4) -> Array:
    return Array(np.random.default_rng(seed).normal(size=width))


def shifts(*arrays: Array) -> Program:
    return Program(interventions=tuple(Shift(layer=n, vector=each) for n, each in enumerate(arrays)))


def test_a_program_is_read_when_its_arrays_are_there() -> None:
    store = Store()
    program = shifts(array(1), array(2))
    upload(store, "array", *(each.values.tobytes() for each in program.arrays().values()))
    assert store.program(encode(program)) == program


def test_all_that_lacks_is_named_at_once() -> None:
    store = Store()
    program = shifts(array(1), array(2), array(3))
    store.add_array(array(2))
    assert store.program(encode(program)) == Lacking((array(1).digest, array(3).digest), ())


def test_arrays_of_another_width_are_asked_for_before_they_are_judged() -> None:
    store = Store()
    store.add_array(array(9, width=6))
    program = shifts(array(1), array(2))
    lacking = store.program(encode(program))
    assert isinstance(lacking, Lacking) and set(lacking.arrays) == set(program.arrays())


def test_what_was_not_used_for_longest_goes_first() -> None:
    store = Store(max_arrays=32)
    for seed in (1, 2):
        store.add_array(array(seed))
    store.program(encode(shifts(array(1))))
    store.add_array(array(3))
    assert isinstance(store.program(encode(shifts(array(1)))), Program)
    assert isinstance(store.program(encode(shifts(array(2)))), Lacking)


def test_an_array_that_hashes_otherwise_is_refused() -> None:
    incoming = Store().receive(Upload(1, "array", (("0" * 64, 8),)))
    incoming.write(bytes(8))
    assert incoming.complete and isinstance(incoming.error, ProgramError)


@pytest.mark.parametrize("content", [b"odd", np.array([np.nan, 1], dtype="<f4").tobytes()])
def test_bytes_that_are_no_vector_are_refused(content: bytes) -> None:
    assert isinstance(upload(Store(), "array", content).error, ProgramError)


def test_an_announced_size_takes_no_memory_and_too_much_is_refused() -> None:
    incoming = Store().receive(Upload(1, "array", (("0" * 64, 2**60),)))
    assert isinstance(incoming.error, ProgramError)


@pytest.mark.parametrize("part", [("../../etc/passwd", 4), ("0" * 63 + "G", 4), ("0" * 64, -1)])
def test_an_upload_without_a_proper_hash_is_no_protocol(part: tuple[str, int]) -> None:
    with pytest.raises(ProtocolError):
        Store().receive(Upload(1, "file", (part,)))


def test_more_than_was_announced_is_no_protocol() -> None:
    incoming = Store().receive(Upload(1, "array", (("0" * 64, 4),)))
    with pytest.raises(ProtocolError):
        incoming.write(bytes(5))


def adapter(folder: Path, weights: str) -> Adapter:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text(weights)
    return Adapter.load(folder)


def test_adapters_that_share_a_file_each_have_a_whole_folder(tmp_path: Path) -> None:
    store = Store(tmp_path / "held")
    both = tuple(adapter(tmp_path / name, name) for name in ("one", "two"))
    upload(store, "file", b"{}", b"one", b"two", cut=2)
    program = store.program(encode(Program(interventions=both)))
    assert isinstance(program, Program)
    for placed, name in zip(program.adapters(), ("one", "two"), strict=True):
        (folder,) = {Path(file.path).parent for file in placed.files}
        assert (folder / "adapter_config.json").read_text() == "{}"
        assert (folder / "adapter_model.safetensors").read_text() == name


def test_files_are_bounded_too(tmp_path: Path) -> None:
    store = Store(tmp_path, max_files=6)
    for content in (b"1234", b"5678"):
        assert upload(store, "file", content).error is None
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    assert upload(Store(tmp_path), "file", b"", b"x", b"").error is None


def test_closing_removes_what_was_held_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    store = Store(tmp_path)
    upload(store, "file", b"content")
    store.close()
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_a_folder_that_holds_nothing_of_the_stores_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    Store(tmp_path).close()
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
