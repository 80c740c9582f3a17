"""Packs in plain llama.cpp: its loader takes the file, and its control vector does what the pack's program does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.engine.llama.support import TEXT, greedy, open_machine, plan_of
from tests.tiny import TinyModel
from tests.vectors import peers
from tests.vectors.control_vectors import Refused, control_vector, load_directions
from tests.vectors.packs import draw, foreign_gguf, imported_pack, probe_pack, unit
from trimtab.engine.identity import ModelIdentity, identify
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.plan import NOTHING
from trimtab.engine.program import Array, Shift
from trimtab.vectors.importers import ImportRequest, import_vectors
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_writing import to_bytes


@pytest.fixture(scope="module")
def model(tiny_llama: TinyModel) -> ModelIdentity:
    return identify(tiny_llama.gguf)


@pytest.fixture(scope="module")
def machine(tiny_llama: TinyModel) -> Iterator[LlamaMachine]:
    machine = open_machine(tiny_llama.gguf)
    yield machine
    machine.close()


def write(pack: Pack, folder: Path) -> Path:
    path = folder / f"{pack.value}.gguf"
    path.write_bytes(to_bytes(pack))
    return path


@pytest.mark.parametrize("make", [probe_pack, imported_pack])
def test_llama_cpp_loads_the_directions_that_the_pack_holds(model: Any, tmp_path: Path, make: Any) -> None:
    pack = make(model)
    table = load_directions(write(pack, tmp_path))
    assert table.shape == (max(pack.good), model.width)
    for number, direction in pack.directions().items():
        np.testing.assert_array_equal(table[number - 1], direction)


def test_llama_cpp_loads_a_pack_that_has_nothing_for_it(model: ModelIdentity, tmp_path: Path) -> None:
    assert not load_directions(write(probe_pack(model, good=(0,)), tmp_path)).any()


def test_a_scale_of_one_gives_the_same_tokens_as_the_packs_own_shifts(
    model: ModelIdentity, machine: LlamaMachine, tmp_path: Path
) -> None:
    pack = probe_pack(model, good=(1, 2, 3))
    table = load_directions(write(pack, tmp_path))
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    plain, _ = greedy(machine, NOTHING, tokens, 40)
    with control_vector(machine, table):
        theirs, their_logits = greedy(machine, NOTHING, tokens, 40)
    own = plan_of(*(Shift(layer=number, vector=Array(shift)) for number, shift in pack.shifts().items()))
    ours, our_logits = greedy(machine, own, tokens, 40)
    assert theirs == ours
    np.testing.assert_allclose(their_logits, our_logits, atol=1e-4)
    assert theirs != plain


def test_a_direction_acts_on_the_block_of_its_number(
    model: ModelIdentity, machine: LlamaMachine, tmp_path: Path
) -> None:
    """Neither one early nor one late: each layer alone, against a shift there."""
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    for number in range(1, model.layers):
        pack = probe_pack(model, good=(number,))
        with control_vector(machine, load_directions(write(pack, tmp_path))):
            _, theirs = greedy(machine, NOTHING, tokens, 1)
        _, ours = greedy(
            machine, plan_of(Shift(layer=number, vector=Array(pack.shifts()[number]))), tokens, 1
        )
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


@pytest.mark.parametrize("write_peer", [peers.repeng, peers.cvector_generator])
def test_an_imported_vector_steers_as_its_file_does_in_llama_cpp(
    model: ModelIdentity, machine: LlamaMachine, tmp_path: Path, write_peer: Any
) -> None:
    path = tmp_path / "theirs.gguf"
    path.write_bytes(
        write_peer({number: 0.3 * draw(model.width, number) for number in range(1, model.layers)})
    )
    pack = import_vectors(ImportRequest(path=path, model=model))
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    with control_vector(machine, load_directions(path)):
        theirs, _ = greedy(machine, NOTHING, tokens, 40)
    own = plan_of(*(Shift(layer=number, vector=Array(shift)) for number, shift in pack.shifts().items()))
    assert greedy(machine, own, tokens, 40)[0] == theirs
    assert greedy(machine, NOTHING, tokens, 40)[0] != theirs


F32 = unit(8, 1).tobytes()
HEAD = {"general.architecture": (8, "controlvector")}


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        [("direction.0", (8,), 0, F32)],
        [("direction.1", (8,), 0, F32), ("output.weight", (8,), 0, F32)],
        [("direction.one", (8,), 0, F32)],
        [("direction.1", (8,), 1, F32[:16])],
        [("direction.1", (4, 2), 0, F32)],
        [("direction.1", (8,), 0, F32), ("direction.2", (4,), 0, F32[:16])],
    ],
)
def test_the_rules_of_these_tests_refuse_what_llama_cpp_refuses(tmp_path: Path, tensors: Any) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(foreign_gguf(HEAD, tensors))
    with pytest.raises(Refused):
        load_directions(path)


def test_a_file_cut_by_its_last_byte_is_refused_by_llama_cpp(model: ModelIdentity, tmp_path: Path) -> None:
    narrow = msgspec.structs.replace(model, width=3, layers=8)
    path = write(probe_pack(narrow), tmp_path)
    load_directions(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Refused):
        load_directions(path)
