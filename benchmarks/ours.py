"""What is ours to build from a recipe's pairs, in steps that can be timed against another program's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest, Passage
from trimtab.engine.identity import identify
from trimtab.errors import TrimtabError
from trimtab.vectors import building, directions, states
from trimtab.vectors.directions import Found
from trimtab.vectors.pack import BaseModel
from trimtab.vectors.pack_writing import to_bytes
from trimtab.vectors.recipe import Lists, Recipe, Unrelated

CONTEXT = 1024
Kind = Literal["mean", "centred", "uncentred"]
_FINDERS: dict[Kind, Callable[..., Found]] = {
    "mean": directions.mean_difference,
    "centred": lambda positive, negative: directions.component(positive, negative, centred=True),
    "uncentred": directions.component,
}


class Ours:
    """An engine with its model loaded, and a recipe to read with it."""

    def __init__(
        self, runner: asyncio.Runner, engine: EngineClient, path: Path, recipe: Recipe, folder: Path
    ) -> None:
        assert engine.info is not None
        self._runner = runner
        self._engine = engine
        self._folder = folder
        self._model = BaseModel.of(identify(path), engine=engine.info.engine)
        # What other programs do not do is left out: without questions there is no gate to learn.
        self._recipe = msgspec.structs.replace(recipe, questions=Lists(), unrelated=Unrelated())
        self.found: dict[Kind, dict[int, Found]] = {}
        """By kind and layer, as last found."""

    def directions(self, kind: Kind) -> None:
        """Reads the pairs' states at every layer but the first, and finds that direction and nothing else."""
        self._runner.run(self._directions(kind))

    def pack(self) -> None:
        """Builds a whole pack and writes it: probes with their held-out accuracy, both directions, top tokens."""
        self._runner.run(self._pack())

    def tokens(self, text: str) -> list[int]:
        return self._runner.run(self._engine.tokenize(text, bos=True))

    async def _directions(self, kind: Kind) -> None:
        assert self._engine.info is not None
        passages = tuple(
            Passage(text=text) for pair in self._recipe.pairs for text in (pair.positive, pair.negative)
        )
        wanted = states.Wanted(passages=passages, layers=tuple(range(1, self._engine.info.layers)))
        read = await states.read(self._engine, self._model.fingerprint, wanted, folder=self._folder)
        found = {}
        for layer in wanted.layers:
            rows = read.at(layer)
            found[layer] = _FINDERS[kind](rows[::2], rows[1::2])
        read.remove()
        self.found[kind] = found

    async def _pack(self) -> None:
        options = building.Options(accuracy=0.5, calibrate=False)
        (built,) = await building.build(self._engine, self._model, [self._recipe], options)
        if built.pack is None:
            raise TrimtabError(built.failure, "Measure with another recipe.")
        (self._folder / "ours.gguf").write_bytes(to_bytes(built.pack))


@contextmanager
def loaded(runner: asyncio.Runner, path: Path, threads: int) -> Iterator[EngineClient]:
    """An engine on the processor, for what is compared with runs there."""
    engine = EngineClient.start()
    runner.run(engine.open())
    try:
        request = LoadRequest(path=str(path), threads=threads, context=CONTEXT, device="cpu", gpu_layers=0)
        runner.run(engine.load(request))
        yield engine
    finally:
        runner.run(engine.close())
