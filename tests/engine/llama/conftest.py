"""Tiny models open in llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.engine.llama.support import NOTHING, TEXT, open_machine
from tests.tiny import TinyModel
from trimtab.engine.llama.machine import LlamaMachine


@pytest.fixture(scope="session")
def opened_llama(tiny_llama: TinyModel) -> Iterator[LlamaMachine]:
    machine = open_machine(tiny_llama.gguf)
    yield machine
    machine.close()


@pytest.fixture
def machine(opened_llama: LlamaMachine) -> LlamaMachine:
    """The tiny llama with nothing in its cache and nothing steered."""
    opened_llama.cut(0)
    opened_llama.install(NOTHING)
    return opened_llama


@pytest.fixture
def tokens(machine: LlamaMachine) -> list[int]:
    return machine.tokenize(TEXT, special=False, bos=True)


@pytest.fixture
def opener() -> Iterator[Callable[..., LlamaMachine]]:
    """Opens machines and closes them after the test."""
    machines: list[LlamaMachine] = []

    def opens(*arguments: object, **options: object) -> LlamaMachine:
        machines.append(open_machine(*arguments, **options))  # type: ignore[arg-type]
        return machines[-1]

    yield opens
    for machine in machines:
        machine.close()
