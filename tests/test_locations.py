"""Where files go."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab import locations
from trimtab.engine import logs


def test_everything_lies_under_the_home_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    folders = [locations.data(), locations.cache(), locations.config(), locations.logs()]
    assert [folder.relative_to(tmp_path).as_posix() for folder in folders] == [
        "data",
        "cache",
        "config",
        "logs",
    ]


def test_without_one_folders_are_told_apart_and_named_for_trimtab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMTAB_HOME", raising=False)
    folders = {locations.data(), locations.cache(), locations.config(), locations.logs()}
    assert len(folders) == 4
    assert all("trimtab" in folder.parts for folder in folders)


def test_the_home_may_be_given_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", "~/tt")
    assert locations.data() == Path.home() / "tt" / "data"


def test_the_workers_logs_go_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMTAB_LOG_DIR", raising=False)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    assert logs.new_log().parent == tmp_path / "logs"
