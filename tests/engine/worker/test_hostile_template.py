"""A model whose chat template wants the machine for itself: its load fails in one line and nothing stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.worker.hostile import COMPARISON, with_template
from tests.engine.worker.workers import comes_true, environment, is_alive
from tests.tiny import TinyModel
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest
from trimtab.engine.sandbox import SECONDS
from trimtab.errors import ModelError

CLIENT = """
import asyncio, sys
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest

async def main():
    async with EngineClient.start() as engine:
        print(engine.pid, flush=True)
        await engine.load(LoadRequest(path=sys.argv[1], threads=1))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)


def descendants(pid: int) -> set[int]:
    """The process and all that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return {pid}.union(*(descendants(int(child)) for child in children))


@pytest.mark.parametrize("template", ["{{ 9**(9**9) }}", COMPARISON], ids=["power", "comparison"])
async def test_a_load_fails_in_one_line_and_leaves_no_process(
    tiny_llama: TinyModel, tmp_path: Path, template: str
) -> None:
    path = with_template(tiny_llama.gguf, tmp_path / "hostile.gguf", template)
    async with EngineClient.start() as engine:
        assert engine.pid is not None
        began = time.monotonic()
        loading = asyncio.create_task(engine.load(LoadRequest(path=str(path), threads=1)))
        started = {engine.pid}
        while not loading.done():
            started |= descendants(engine.pid)
            await asyncio.sleep(0.02)
        with pytest.raises(ModelError, match="chat template") as caught:
            await loading
        assert time.monotonic() - began < SECONDS + 5
        assert len(str(caught.value).splitlines()) == 1 and caught.value.hint
        await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1))
    assert not any(map(is_alive, started))


def test_a_client_killed_in_the_middle_leaves_no_process(tiny_llama: TinyModel, tmp_path: Path) -> None:
    path = with_template(tiny_llama.gguf, tmp_path / "hostile.gguf", COMPARISON)
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(path)], stdout=subprocess.PIPE)
    try:
        assert client.stdout is not None
        with client.stdout as told:
            worker = int(told.readline())
        assert comes_true(lambda: len(descendants(worker)) > 1, 20)
        started = descendants(worker)
    finally:
        client.kill()
        client.wait()
    assert comes_true(lambda: not is_alive(worker), 3)
    assert comes_true(lambda: not any(map(is_alive, started)), SECONDS + 3)
