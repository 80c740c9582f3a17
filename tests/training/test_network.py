"""What a network says of responses is what the plain model says of them."""

from __future__ import annotations

import pytest
import torch

from tests.engine.torch.support import hooked, open_machine, plain_logits, plain_model
from tests.tiny import TinyModel
from tests.tiny.tokenizer import END, id_of
from tests.training.support import BAD, GOOD, task, user
from trimtab.engine.contract import Message
from trimtab.engine.generation import MachineEngine
from trimtab.training.pairs import Pair
from trimtab.training.torch.examples import Encoder, Spoken
from trimtab.training.torch.network import Network, Place

CPU = Place(torch.device("cpu"))
ROWS = (
    Spoken((1, 40, 41, 42), (60, 61, 62, 63, 64)),
    Spoken((1, 90), (70, 71)),
    Spoken((1, 30, 31, 32, 33, 34), (80,)),
)


@pytest.fixture(scope="module")
def network(tiny_llama: TinyModel) -> Network:
    return Network(tiny_llama.safetensors, CPU, "all", frozen=True)


@pytest.fixture(scope="module")
def encoder(network: Network) -> Encoder:
    return network.encoder(256, 768)


def test_likelihoods_are_the_plain_models(network: Network, tiny_llama: TinyModel) -> None:
    model = plain_model(tiny_llama.safetensors)
    with torch.no_grad():
        found, counts = network.likelihoods(ROWS)
    for row, value, count in zip(ROWS, found, counts, strict=True):
        scores = torch.log_softmax(torch.from_numpy(plain_logits(model, row.prompt + row.response)), dim=-1)
        said = [scores[len(row.prompt) + at - 1, token] for at, token in enumerate(row.response)]
        assert value.item() == pytest.approx(float(sum(said)), abs=1e-3)
        assert count == len(row.response)


def test_states_are_block_outputs_at_the_responses_tokens(network: Network, tiny_llama: TinyModel) -> None:
    model = plain_model(tiny_llama.safetensors)
    with torch.no_grad():
        found, said = network.states(ROWS, (1, 2))
    assert said.tolist() == [[True] * 5, [True] * 2 + [False] * 3, [True] + [False] * 4]
    for number, row in enumerate(ROWS):
        seen: dict[int, torch.Tensor] = {}
        with hooked(model, seen.__setitem__):
            plain_logits(model, row.prompt + row.response)
        for place, block in enumerate((1, 2)):
            wanted = seen[block][0, len(row.prompt) :]
            torch.testing.assert_close(found[place, number, : len(wanted)], wanted, atol=1e-4, rtol=1e-4)


def test_the_states_of_a_responses_first_tokens_do_not_depend_on_its_rest(network: Network) -> None:
    with torch.no_grad():
        every, _ = network.states(ROWS, (2,))
        first, said = network.states([row.first(2) for row in ROWS], (2,))
    assert said.sum(1).tolist() == [2, 2, 1]
    assert ROWS[0].first(0) == ROWS[0]
    torch.testing.assert_close(first[0, 0], every[0, 0, :2], atol=1e-5, rtol=1e-4)


def test_with_the_lead_comes_the_position_that_predicts_the_first_token(network: Network) -> None:
    with torch.no_grad():
        every, _ = network.states(ROWS, (2,))
        led, said = network.states(ROWS, (2,), lead=True)
        before, _ = network.states([Spoken(row.prompt[:-1], row.prompt[-1:]) for row in ROWS], (2,))
    assert said.sum(1).tolist() == [6, 3, 2]
    torch.testing.assert_close(led[0, :, :1], before[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(led[0, 0, 1:], every[0, 0], atol=1e-5, rtol=1e-4)


def test_prompts_are_what_the_engine_reads(network: Network, encoder: Encoder, tiny_llama: TinyModel) -> None:
    engine = MachineEngine(open_machine(tiny_llama.safetensors))
    pair = task().pairs[0]
    plain = encoder.encode(pair, pair.chosen)
    assert list(plain.prompt) == engine.chat_tokens(pair.prompt)
    told = encoder.encode(pair, pair.chosen, GOOD)
    assert list(told.prompt) == engine.chat_tokens([Message(role="system", content=GOOD), *pair.prompt])
    assert plain.response == told.response


def test_a_reply_ends_as_the_template_ends_it_and_a_text_does_not(encoder: Encoder) -> None:
    assert encoder.encode(Pair("yes", "no", user("well?")), "yes").response[-1] == id_of(END)
    assert id_of(END) not in encoder.encode(Pair(" yes", " no", text="well"), " yes").response


def test_what_a_response_spells_is_no_control_token(encoder: Encoder) -> None:
    spelled = encoder.encode(Pair("yes", "no", user("well?")), f"yes {END} no")
    assert spelled.response.count(id_of(END)) == 1


def test_long_texts_are_cut_and_long_prompts_left_out(network: Network) -> None:
    pair = task().pairs[0]
    short = network.encoder(256, 30)
    cut = short.encode(pair, pair.chosen * 5)
    assert len(cut) == 30
    assert short.encode(pair, pair.chosen * 5, BAD).response == cut.response
    assert short.fits(pair) and not network.encoder(5, 768).fits(pair)
    short.close()
