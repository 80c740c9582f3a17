"""Both engines over the tiny llama, and what methods ask of a model, answered by either."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.engine.machines import ENGINES, load_machine
from tests.plugins.support import Asking
from tests.tiny import TinyModel
from tests.vectors.packs import probe_pack
from trimtab.engine.generation import MachineEngine
from trimtab.engine.identity import identify
from trimtab.plugins.context import MethodContext
from trimtab.plugins.manager import Plugins
from trimtab.vectors.pack import Pack


@pytest.fixture(scope="session")
def both_engines(tiny_llama: TinyModel) -> Iterator[dict[str, MachineEngine]]:
    engines = {kind: MachineEngine(load_machine(kind, tiny_llama)) for kind in ENGINES}
    yield engines
    for engine in engines.values():
        engine.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, both_engines: dict[str, MachineEngine]) -> MachineEngine:
    """Each engine in turn, with nothing in its cache."""
    found = both_engines[request.param]
    found.cache.cut(0)
    return found


@pytest.fixture
def context(engine: MachineEngine) -> MethodContext:
    return MethodContext(Asking(engine))


@pytest.fixture(scope="session")
def pack(tiny_llama: TinyModel) -> Pack:
    """Of random vectors as wide as the tiny llama, and of probes that are nowhere sure of themselves."""
    found = probe_pack(identify(tiny_llama.gguf))
    layers = [
        msgspec.structs.replace(
            layer, probe=msgspec.structs.replace(layer.probe, norm=0.3 + 0.1 * layer.number)
        )
        for layer in found.layers
        if layer.probe is not None
    ]
    return msgspec.structs.replace(found, layers=tuple(layers))


@pytest.fixture
def plugins() -> Plugins:
    return Plugins.built_in()
