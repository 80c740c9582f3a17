"""Both engines agree on which texts are tokens of their own, and on where they are parsed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.machines import ENGINES, load_machine
from tests.tiny import TinyModel
from tests.tiny.defined import with_defined_token
from tests.tiny.tokenizer import CONTROL
from trimtab.engine.generation import MachineEngine

BREAK = "\n\n"
TEXTS = ["a\n\nb", "\n\n", "one\n\n\n\n\ntwo", "x\n \n\n y", "<|im_end|>\n\n<|im_start|>", "no break"]


@pytest.fixture(scope="module")
def defined(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[MachineEngine]]:
    """Both engines over a model that has a token for an empty line."""
    model = with_defined_token(tiny_llama, tmp_path_factory.mktemp("defined"), BREAK)
    engines = [MachineEngine(load_machine(kind, model)) for kind in ENGINES]
    yield engines
    for engine in engines:
        engine.close()


def test_control_tokens_are_the_same(tiny: TinyModel) -> None:
    for kind in ENGINES:
        machine = load_machine(kind, tiny)
        assert set(machine.control_texts()) == set(CONTROL)
        assert machine.defined_texts() == []
        machine.close()


def test_control_tokens_of_pieces_are_the_same(tiny_pieces: TinyModel) -> None:
    llama, torch = (load_machine(kind, tiny_pieces) for kind in ENGINES)
    assert set(llama.control_texts()) == set(torch.control_texts()) >= set(CONTROL)
    assert llama.defined_texts() == torch.defined_texts() == []
    llama.close()
    torch.close()


def test_a_defined_token_is_told_from_control_tokens(defined: list[MachineEngine]) -> None:
    for engine in defined:
        assert set(engine.machine.control_texts()) == set(CONTROL)
        assert engine.machine.defined_texts() == [BREAK]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("special", [False, True])
def test_a_defined_token_is_parsed_alike(defined: list[MachineEngine], text: str, special: bool) -> None:
    llama, torch = (engine.tokenize(text, special=special) for engine in defined)
    assert llama == torch
    assert (511 in llama) == (BREAK in text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_chat_prompt_with_a_defined_token_is_alike(defined: list[MachineEngine], text: str) -> None:
    llama, torch = (engine.prompt_tokens(text, "chat") for engine in defined)
    assert llama == torch


def test_the_vocabularies_have_one_hash(defined: list[MachineEngine]) -> None:
    assert defined[0].info.vocabulary_hash == defined[1].info.vocabulary_hash
