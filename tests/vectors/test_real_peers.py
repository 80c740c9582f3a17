"""What the real repeng and dialz made is imported to the last bit, and steers in llama.cpp as they do themselves.

Their files for a tiny model are kept here. With TRIMTAB_PEERS naming the folder of their environments
(tools/peers/environment.sh), they run anew, on minnow too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engine.llama.support import greedy, open_machine, plan_of
from tests.vectors import real_peers
from tests.vectors.control_vectors import control_vector, load_directions
from tests.vectors.real_peers import Made
from trimtab.engine.identity import identify
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.plan import NOTHING, Plan
from trimtab.engine.program import Array, Shift
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_import import ImportOptions, bring
from trimtab.vectors.pack_writing import to_bytes


@pytest.fixture(scope="module", params=[*real_peers.kept(), *real_peers.live()], ids=real_peers.called)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    peer, model, now = request.param
    folder = tmp_path_factory.mktemp(f"{peer}-{model}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIMTAB_HOME", str(folder / "home"))
        yield real_peers.provide(peer, model, now=now, folder=folder)


@pytest.fixture(scope="module")
def pack(made: Made) -> Pack:
    """As `trimtab pack import` brings it."""
    (brought,) = bring(made.file, ImportOptions(model=identify(made.model.gguf)))
    return brought.pack


@pytest.fixture(scope="module")
def machine(made: Made) -> Iterator[LlamaMachine]:
    machine = open_machine(made.model.gguf)
    yield machine
    machine.close()


def shifted(pack: Pack, strength: float) -> Plan:
    return plan_of(
        *(Shift(layer=layer, vector=Array(shift), scale=strength) for layer, shift in pack.shifts().items())
    )


def test_the_file_is_known_and_its_numbers_are_the_peers_own(made: Made, pack: Pack) -> None:
    assert pack.provenance.source_format == made.peer
    assert pack.good == tuple(sorted(made.vectors))
    for layer, shift in pack.shifts().items():
        np.testing.assert_array_equal(shift, made.vectors[layer])


def test_llama_cpp_under_the_imported_pack_says_what_the_peer_itself_says(
    made: Made, pack: Pack, machine: LlamaMachine
) -> None:
    turned = 0
    for reply in made.told["replies"]:
        prompt = machine.tokenize(reply["prompt"], special=False, bos=True)
        assert prompt == reply["prompt_tokens"]
        count = len(reply["plain"])
        assert greedy(machine, NOTHING, prompt, count)[0] == reply["plain"]
        for strength, theirs in reply["steered"].items():
            assert greedy(machine, shifted(pack, float(strength)), prompt, count)[0] == theirs
            turned += theirs != reply["plain"]
    assert turned, "no vector turned a reply: nothing was seen"


def test_llama_cpp_says_what_pytorch_says_with_the_peers_numbers_added_by_hand(
    made: Made, pack: Pack, machine: LlamaMachine
) -> None:
    for reply in made.told["replies"]:
        prompt, count = reply["prompt_tokens"], len(reply["plain"])
        for strength in map(float, reply["steered"]):
            scaled = {layer: np.float32(strength) * vector for layer, vector in made.vectors.items()}
            by_hand = real_peers.replies_by_hand(made.model.folder, scaled, prompt, count)
            assert greedy(machine, shifted(pack, strength), prompt, count)[0] == by_hand


def test_the_pack_as_a_file_is_the_peers_file_to_plain_llama_cpp(
    made: Made, pack: Pack, machine: LlamaMachine, tmp_path: Path
) -> None:
    ours = tmp_path / "pack.gguf"
    ours.write_bytes(to_bytes(pack))
    table = load_directions(ours)
    np.testing.assert_array_equal(table, load_directions(made.file))
    reply = made.told["replies"][0]
    strength, theirs = next(iter(reply["steered"].items()))
    with control_vector(machine, np.float32(strength) * table):
        assert greedy(machine, NOTHING, reply["prompt_tokens"], len(theirs))[0] == theirs
