"""What the tests of the worker share: a client of a worker with the scripted engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.worker.workers import ENGINE, Start, environment
from trimtab.engine.client import EngineClient


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Makes a client, to be opened; a worker's logs go to the folder `logs`."""
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)

    def make(command: list[str] | None = None, **options: Any) -> EngineClient:
        return EngineClient.start(command, engine=None if command else ENGINE, **options)

    return make
