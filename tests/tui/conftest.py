"""What the tests of the app share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.worker.workers import environment
from tests.tui.apps import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    return Place(tmp_path)
