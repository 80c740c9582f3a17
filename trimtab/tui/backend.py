"""What lies behind the screen: the store, the engine with its model, and what makes programs of desks.

Importing this brings the rest of Trimtab along; the app does so when its first screen is painted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trimtab.chat.async_store import AsyncStore
from trimtab.chat.errors import StoreReadOnly
from trimtab.chat.session import MakeProgram
from trimtab.chat.steering import Steering
from trimtab.chat.store import Store
from trimtab.engine.client import EngineClient, OnProgress
from trimtab.engine.contract import LoadRequest, ModelInfo
from trimtab.engine.identity import identity_of
from trimtab.errors import TrimtabError
from trimtab.settings import Settings
from trimtab.tui.values import ValueFacts, ordered
from trimtab.vectors import recipe_choice
from trimtab.vectors.library import Library
from trimtab.vectors.pack import Pack

FindValues = Callable[[ModelInfo], Sequence[ValueFacts]]


@dataclass
class Backend:
    """Made of parts, so that tests can put another engine behind the same app."""

    store: AsyncStore
    engine: EngineClient
    request: LoadRequest | None
    """What to load; None where there is nothing."""
    make_program: MakeProgram
    find_values: FindValues
    why_no_model: TrimtabError | None = None
    notices: list[str] = field(default_factory=list)
    values: list[ValueFacts] = field(default_factory=list)
    """What the desk can steer in the model that is loaded."""

    async def load(self, on_progress: OnProgress | None = None) -> ModelInfo:
        """Starts the engine if need be, and loads the model."""
        if self.request is None:
            raise self.why_no_model or TrimtabError("There is no model to load.", "Name one in the settings.")
        if not self.engine.alive:
            await self.engine.open()
        info = await self.engine.load(self.request, on_progress)
        self.values = ordered(list(await asyncio.to_thread(self.find_values, info)))
        return info

    async def close(self) -> None:
        try:
            await self.engine.close()
        finally:
            await self.store.close()


async def open_backend(settings: Settings) -> Backend:
    """The user's own: their chats, the model of their settings."""
    store, notices = await open_store()
    engine = EngineClient.start()
    steering = Steering(engine)
    try:
        request, why = request_of(settings), None
    except TrimtabError as error:
        request, why = None, error
    return Backend(
        store=store,
        engine=engine,
        request=request,
        make_program=steering.program,
        find_values=values_in_library,
        why_no_model=why,
        notices=notices,
    )


async def open_store(path: Path | None = None) -> tuple[AsyncStore, list[str]]:
    """The chats on disk; where nothing can be written, a store that lasts as long as the app, and says so."""
    try:
        store = await AsyncStore.open(path)
    except StoreReadOnly as error:
        notice = f"{error.what} This chat will not be kept. {error.hint}"
        return await AsyncStore.made_by(Store.temporary), [notice]
    return store, list(store.notices)


def request_of(settings: Settings) -> LoadRequest:
    chosen = settings.model
    threads = chosen.threads or None
    if chosen.path:
        path = Path(chosen.path).expanduser()
    else:
        from trimtab import minnow

        path = minnow.path("safetensors" if chosen.engine == "torch" else "gguf")
        # So small a model is slower on many threads than on one.
        threads = threads or 1
    return LoadRequest(
        path=str(path),
        engine=chosen.engine,
        context=chosen.context or None,
        threads=threads,
        gpu_layers=None if chosen.gpu_layers < 0 else chosen.gpu_layers,
    )


def values_in_library(info: ModelInfo) -> list[ValueFacts]:
    """The packs for this model, and the recipes that wait to be built for it."""
    model = identity_of(info)
    packs = {
        entry.name: entry.pack for entry in Library().entries(model.fingerprint) if entry.pack is not None
    }
    found = {name: facts_of(name, pack) for name, pack in packs.items()}
    try:
        recipes = recipe_choice.chosen((), True, recipe_choice.language_of(model))
    except TrimtabError:
        recipes = []
    for recipe in recipes:
        if recipe.id not in found:
            found[recipe.id] = ValueFacts(id=recipe.id, name=recipe.name, meaning=recipe.meaning, built=False)
    return list(found.values())


def facts_of(name: str, pack: Pack) -> ValueFacts:
    return ValueFacts(
        id=name,
        name=pack.name,
        meaning=pack.meaning,
        recommended=pack.recommended.level if pack.recommended else None,
        most=pack.maximum.level if pack.maximum else None,
        gate=pack.gate.threshold if pack.gate else None,
    )


OpenBackend = Callable[[Settings], Awaitable[Backend]]
