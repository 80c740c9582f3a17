"""Logs are few, bounded, and safe to show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimtab.engine import logs


def test_only_a_few_logs_are_kept(tmp_path: Path) -> None:
    made = [logs.new_log(tmp_path) for _ in range(logs.KEPT + 3)]
    assert sorted(tmp_path.iterdir()) == sorted(made[-logs.KEPT :])


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("mine")
    for _ in range(logs.KEPT + 3):
        logs.new_log(tmp_path)
    assert (tmp_path / "notes.log").exists()


def test_a_log_is_nobody_elses_business(tmp_path: Path) -> None:
    assert logs.new_log(tmp_path).stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = logs.new_log(tmp_path / "file" / "logs")
    with path.open("a") as log:
        log.write("still something to write to")
    path.unlink()


def test_a_log_that_grows_too_long_begins_anew(tmp_path: Path) -> None:
    path = logs.new_log(tmp_path)
    fd = logs.open_log(path)
    os.write(fd, b"x" * 100)
    logs.bound(fd, limit=50)
    os.write(fd, b"end")
    os.close(fd)
    assert path.read_bytes() == b"end"


def test_the_tail_is_short_and_clean(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\x1b]0;title\x07" + b"".join(b"line %d \xff\x1b[31m\r\n" % n for n in range(10_000)))
    tail = logs.tail(path)
    assert tail.splitlines()[-1].startswith("line 9999")
    assert len(tail.splitlines()) <= logs.TAIL_LINES
    assert not set(tail) & {"\x1b", "\r", "\x07"}


def test_a_log_that_is_gone_has_no_tail(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "gone") == ""


def test_the_environment_chooses_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_LOG_DIR", str(tmp_path / "here"))
    assert logs.new_log().parent == tmp_path / "here"
