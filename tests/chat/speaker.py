"""A Trimtab in a process of its own that speaks a reply until it is killed: `python -m tests.chat.speaker PATH`.

Each line that it prints tells how much of the reply has been said, and when.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from tests.chat.sessions import scripted_program
from tests.engine.worker.workers import ENGINE, SCRIPTED
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.session import Session
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import Token


async def speak(path: Path) -> None:
    async with EngineClient.start(engine=ENGINE) as engine, await AsyncStore.open(path) as store:
        await engine.load(SCRIPTED)
        session = Session(store, engine, scripted_program)
        await (await session.send("count=3 finished")).finished()
        live = await session.send("forever")
        async for event in live:
            if isinstance(event, Token) and len(live.text) % 10 == 0:
                sys.stdout.write(f"{len(live.text)} {time.monotonic()}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(speak(Path(sys.argv[1])))
