"""The program of a desk: what the app, the command line and the server all ask for, for the model that is loaded."""

from __future__ import annotations

import asyncio

from trimtab.chat.desk import Desk
from trimtab.chat.lines import lines_of
from trimtab.chat.sources import Sources
from trimtab.engine.program import Program
from trimtab.plugins.context import AsksModel, MethodContext
from trimtab.plugins.manager import Plugins
from trimtab.plugins.programs import Composed, compose
from trimtab.vectors.library import Library


class Steering:
    """Asks the methods for the program of a desk; a slider that moves costs no question and no reading."""

    def __init__(
        self,
        engine: AsksModel,
        plugins: Plugins | None = None,
        library: Library | None = None,
        *,
        watch: bool = True,
    ) -> None:
        """With `watch` the probe of every dial that has a pack is watched, whether it acts or not."""
        self.plugins = plugins or Plugins.discover()
        self._engine = engine
        self._library = library or Library()
        self._watch = watch
        self._known: tuple[MethodContext, Sources] | None = None

    async def program(self, desk: Desk) -> Program:
        """What a `Session` is given to make programs with."""
        return (await self.compose(desk)).program

    async def compose(self, desk: Desk) -> Composed:
        """The program, and what to know about how it was made."""
        context, sources = self._model()
        # Packs and adapters are read and hashed here, which may take a while.
        lines = await asyncio.to_thread(lines_of, desk, sources)
        return await compose(lines, self.plugins, context, silenced=desk.silenced, watch=self._watch)

    def _model(self) -> tuple[MethodContext, Sources]:
        """Made anew when another model was loaded."""
        if self._known is None or self._known[0].info != self._engine.info:
            context = MethodContext(self._engine)
            self._known = context, Sources(context.info, self._library, self.plugins)
        return self._known
