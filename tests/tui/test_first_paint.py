"""What is imported before the first paint, and that the app says what it needs where it cannot run."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "accelerate", "gguf", "jinja2", "llama_cpp", "markdown_it", "numpy", "pluggy", "pygments", "sqlite3", "torch",
    "transformers", "yaml", "requests",
}  # fmt: skip

PAINT = """
import asyncio, json, sys
from trimtab.settings import Settings
from trimtab.tui.app import TrimtabApp

seen = []

async def never(settings):
    await asyncio.Event().wait()

async def main():
    app = TrimtabApp(Settings(), open_backend=never)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        assert any("ask something" in strip.text for strip in strips)
        seen.extend(sorted({name.split(".")[0] for name in sys.modules}))
        app.exit()

asyncio.run(main())
print(json.dumps(seen))
"""


def test_the_first_screen_is_painted_with_nothing_heavy_imported() -> None:
    answer = subprocess.run([sys.executable, "-c", PAINT], capture_output=True, check=True, text=True)
    assert not set(json.loads(answer.stdout)) & HEAVY
