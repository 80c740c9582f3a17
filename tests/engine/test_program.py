"""A program says at construction what is wrong with it, travels whole, and is known by its content."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.engine.program import (
    EMPTY,
    MAX_ROWS_PER_LAYER,
    Adapter,
    AdapterFile,
    Anchors,
    Array,
    Gate,
    Preface,
    Probe,
    Program,
    Raise,
    Shift,
    Tune,
    Watch,
    decode,
    encode,
)
from trimtab.errors import ProgramError

WIDTH = 6


def array(seed: int, width: int = WIDTH) -> Array:
    return Array(np.random.default_rng(seed).standard_normal(width))


def probe(seed: int = 0, width: int = WIDTH) -> Probe:
    return Probe(weight=array(seed, width), bias=0.5)


def anchors(**fields: Any) -> Anchors:
    return Anchors(**{"positive": (1, 2), "negative": (3,)} | fields)


def adapter(content: str = "a", path: str = "") -> Adapter:
    return Adapter(files=(AdapterFile(name="x.gguf", digest=content * 64, path=path),), scale=0.5)


def whole_program() -> Program:
    gate = Gate(probe=probe(9), layer=1, threshold=0.3)
    return Program(
        interventions=(
            Shift(layer=1, vector=array(1), scale=2, gate=gate, label="calm"),
            Raise(layer=2, probes=(probe(2), probe(3).opposed()), targets=(1, 2.5), cap=4),
            Raise(layer=3, probes=(probe(4),), targets=(3,), policy="prompt", scope="reply"),
            Tune(anchors=anchors(positive_weights=(1, 0.5)), penalty=0.01, hold=3),
            adapter(),
            Preface(text="You care about security."),
        ),
        watches=(Watch(name="security", layer=2, probe=probe(5)),),
    )


def impossible(text: str, make: Callable[[], object]) -> Any:
    return pytest.param(make, text, id=text)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        impossible("NaN or infinity", lambda: Shift(layer=0, vector=Array([1.0, float("nan")]))),
        impossible("one dimension", lambda: Array(np.ones((2, 2)))),
        impossible("Layer -1", lambda: Shift(layer=-1, vector=array(1))),
        impossible("must be a finite number", lambda: Shift(layer=0, vector=array(1), scale=float("inf"))),
        impossible("all zero", lambda: Probe(weight=Array(np.zeros(3)))),
        impossible("between 0 and 1", lambda: Gate(probe=probe(), layer=0, threshold=1.2)),
        impossible("at least one probe", lambda: Raise(layer=0, probes=(), targets=())),
        impossible("must be as many", lambda: Raise(layer=0, probes=(probe(),), targets=(1, 2))),
        impossible("A target is nan", lambda: Raise(layer=0, probes=(probe(),), targets=(float("nan"),))),
        impossible("below zero", lambda: Raise(layer=0, probes=(probe(),), targets=(1,), strengths=(-1,))),
        impossible("above zero", lambda: Raise(layer=0, probes=(probe(),), targets=(1,), cap=0)),
        impossible(
            "differ in width", lambda: Raise(layer=0, probes=(probe(), probe(width=3)), targets=(1, 1))
        ),
        impossible("steps diverge", lambda: Tune(anchors=anchors(), step=2.0, penalty=0.5)),
        impossible("step must be above zero", lambda: Tune(anchors=anchors(), step=0)),
        impossible("steps, not -1", lambda: Tune(anchors=anchors(), steps=-1)),
        impossible("scope is reply or all", lambda: Tune(anchors=anchors(), scope="prompt")),
        impossible("both sides", lambda: Anchors(positive=(1, 2), negative=(2,))),
        impossible("name a token twice", lambda: Anchors(positive=(1, 1))),
        impossible("at least one word", Anchors),
        impossible("have 1 weights", lambda: anchors(positive_weights=(1,))),
        impossible(
            "anchors on both sides", lambda: Tune(anchors=Anchors(positive=(1,)), objective="logodds")
        ),
        impossible("Preface is empty", lambda: Preface(text=" ")),
        impossible("unsafe name", lambda: AdapterFile(name="../x.gguf", digest="a" * 64)),
        impossible("no SHA-256", lambda: AdapterFile(name="x.gguf", digest="abc")),
        impossible("scope is prompt, reply or all", lambda: Preface(text="a", scope="some")),  # type: ignore[arg-type]
        impossible(
            "mixes vectors",
            lambda: Program(
                interventions=(Shift(layer=0, vector=array(1)), Shift(layer=0, vector=array(1, 3)))
            ),
        ),
        impossible(
            "is the most",
            lambda: Program(
                interventions=(
                    Raise(
                        layer=0,
                        probes=tuple(probe(n) for n in range(MAX_ROWS_PER_LAYER + 1)),
                        targets=(0,) * (MAX_ROWS_PER_LAYER + 1),
                    ),
                )
            ),
        ),
        impossible("share a name", lambda: Program(watches=(Watch(name="a", layer=0, probe=probe()),) * 2)),
    ],
)
def test_what_cannot_be_is_refused_at_construction(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ProgramError, match=text):
        make()


@pytest.mark.parametrize(
    ("dimensions", "text"),
    [
        ({"width": WIDTH + 1}, "6 wide, this model is 7 wide"),
        ({"layers": 3}, "is at layer 3; this model's layers are 0 to 2"),
        ({"vocabulary": 3}, "names token 3; this model has 3 tokens"),
    ],
)
def test_a_program_for_another_model_is_refused(dimensions: dict[str, int], text: str) -> None:
    with pytest.raises(ProgramError, match=text):
        whole_program().check(**{"layers": 4, "width": WIDTH, "vocabulary": 4} | dimensions)


def test_a_program_that_fits_passes() -> None:
    whole_program().check(layers=4, width=WIDTH, vocabulary=4)


def test_a_program_travels_whole() -> None:
    program = whole_program()
    assert decode(encode(program), program.arrays().__getitem__) == program


def test_bytes_hold_hashes_and_no_numbers_of_arrays() -> None:
    wide = Program(interventions=(Shift(layer=0, vector=array(1, 4096)),))
    assert len(encode(wide)) < 300


def test_the_fingerprint_is_of_content() -> None:
    assert whole_program().fingerprint == whole_program().fingerprint


@pytest.mark.parametrize("place", range(6))
def test_any_change_changes_the_fingerprint(place: int) -> None:
    program = whole_program()
    changes: list[dict[str, Any]] = [
        {"vector": array(77)},
        {"targets": (1, 2.6)},
        {"policy": "token"},
        {"hold": 3.1},
        {"files": adapter("b").files},
        {"text": "You do not care about security."},
    ]
    items = list(program.interventions)
    items[place] = msgspec.structs.replace(items[place], **changes[place])
    assert Program(interventions=tuple(items), watches=program.watches).fingerprint != program.fingerprint


def test_where_an_adapter_lies_is_no_part_of_it() -> None:
    here, there = (Program(interventions=(adapter(path=path),)) for path in ("/here/x.gguf", "/there/x.gguf"))
    assert here.fingerprint == there.fingerprint and here == there


def test_one_and_one_point_zero_are_one_program() -> None:
    assert Shift(layer=0, vector=array(1), scale=1) == Shift(layer=0, vector=array(1), scale=1.0)


def test_an_array_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        array(1).values[0] = 2


def test_an_array_that_is_not_what_it_is_called_is_refused() -> None:
    with pytest.raises(ProgramError, match="hashes to"):
        Array([1.0], digest="0" * 64)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_program_are_refused(data: bytes) -> None:
    with contextlib.suppress(ProgramError):
        assert isinstance(decode(data, lambda digest: array(1)), Program)


@given(st.data())
def test_a_damaged_program_is_refused_or_read(data: st.DataObject) -> None:
    program = whole_program()
    damaged = bytearray(encode(program))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProgramError):
        decode(bytes(damaged), lambda digest: program.arrays().get(digest, array(1)))


def test_the_opposite_of_the_opposite_is_the_probe() -> None:
    assert probe(3).opposed().opposed() == probe(3)


def test_gates_are_listed_once() -> None:
    gate = Gate(probe=probe(9), layer=1)
    same = Gate(probe=probe(9), layer=1)
    program = Program(
        interventions=(Shift(layer=0, vector=array(1), gate=gate), Shift(layer=1, vector=array(2), gate=same))
    )
    assert program.gates() == (gate,)


def test_an_adapter_is_loaded_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"weights")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.gguf").write_bytes(b"weights")
    assert Adapter.load(tmp_path / "a.gguf") == Adapter.load(tmp_path / "b" / "a.gguf")


@pytest.mark.parametrize("name", ["adapter.bin", "adapter.pt", "missing.gguf"])
def test_what_is_no_adapter_is_refused(tmp_path: Path, name: str) -> None:
    if name != "missing.gguf":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ProgramError, match="adapter"):
        Adapter.load(tmp_path / name)


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"x")
    with pytest.raises(ProgramError, match=r"adapter_model\.safetensors"):
        Adapter.load(tmp_path)


def test_the_empty_program_does_nothing() -> None:
    assert not EMPTY.interventions and not EMPTY.arrays() and not EMPTY.gates()
