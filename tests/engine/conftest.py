"""Both engines over the same tiny model, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engine.machines import ENGINES, load_machine
from tests.tiny import TinyModel
from trimtab.engine.generation import MachineEngine
from trimtab.engine.machine import Machine


@pytest.fixture
def machines() -> Iterator[Callable[..., Machine]]:
    """Loads machines and closes them after the test."""
    opened: list[Machine] = []

    def opener(kind: str, model: TinyModel, **options: Any) -> Machine:
        opened.append(load_machine(kind, model, **options))
        return opened[-1]

    yield opener
    for machine in opened:
        machine.close()


@pytest.fixture(scope="session")
def shared_engines(tiny_llama: TinyModel) -> Iterator[dict[str, MachineEngine]]:
    engines = {kind: MachineEngine(load_machine(kind, tiny_llama)) for kind in ENGINES}
    yield engines
    for engine in engines.values():
        engine.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, shared_engines: dict[str, MachineEngine]) -> MachineEngine:
    """Each engine over the tiny llama, with nothing in its cache."""
    found = shared_engines[request.param]
    found.sequence.cut(0)
    return found
