"""The program itself, in a pseudo-terminal, with a real model."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tiny import TinyModel
from trimtab.chat.store import Store

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|[@-Z\\-_=>])", re.DOTALL
)

pytestmark = pytest.mark.slow


@dataclass
class Terminal:
    """What a program in a terminal has written, and its keyboard."""

    process: subprocess.Popen[bytes]
    descriptor: int
    output: bytearray = field(default_factory=bytearray)

    def read(self, seconds: float = 0.05) -> None:
        while select.select([self.descriptor], [], [], seconds)[0]:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:
                return
            if not data:
                return
            self.output += data

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.output.decode("utf-8", "replace"))

    def shows(self, text: str, within: float = 180) -> None:
        deadline = time.monotonic() + within
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} did not come:\n{self.text[-3000:]}"
            self.read()

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def ends(self, within: float = 90) -> int:
        deadline = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it did not end"
            self.read()
        return self.process.returncode


@contextlib.contextmanager
def opened(home: Path, **environment: str) -> Iterator[Terminal]:
    """Trimtab in a terminal of 120 columns and 30 rows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TRIMTAB_HOME": str(home), "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def home(tmp_path: Path, tiny_llama: TinyModel) -> Path:
    """Settings that name a tiny model."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text(
        f'[model]\npath = "{tiny_llama.gguf}"\nthreads = 1\ncontext = 512\n[chat]\nmax_tokens = 30\ntemperature = 0.0\n'
    )
    return tmp_path


def said(home: Path) -> list[str]:
    """What is stored of the newest chat."""
    store = Store.open(home / "data" / "chats.db")
    try:
        (newest, *_) = store.conversations()
        return [each.state for each in store.tree(newest.id).path()]
    finally:
        store.close()


def test_a_first_run_is_answered_and_kept(home: Path) -> None:
    with opened(home) as terminal:
        terminal.shows("ask something")
        terminal.shows("llama.cpp")
        terminal.type("some words\r")
        terminal.shows("tok/s")
        terminal.type("\x11")
        assert terminal.ends() == 0
    assert said(home) == ["done", "done"]


def test_killed_it_keeps_what_was_said(home: Path) -> None:
    with opened(home) as terminal:
        terminal.shows("llama.cpp")
        terminal.type("some words\r")
        terminal.shows("tok/s")
        terminal.process.kill()
        terminal.ends()
    assert said(home)[0] == "done" and said(home)[1] in {"done", "stopped"}
    with opened(home) as terminal:
        terminal.shows("some words")


def test_it_goes_through_sizes_and_without_colour(home: Path) -> None:
    with opened(home, NO_COLOR="1") as terminal:
        terminal.shows("llama.cpp")
        for size in ((20, 5), (200, 60), (80, 24)):
            terminal.resize(*size)
            terminal.read(0.3)
        del terminal.output[:]
        terminal.resize(121, 31)
        terminal.shows("ask something")
        assert not re.search(r"\x1b\[[0-9;]*38;2;", terminal.output.decode("utf-8", "replace"))
        terminal.type("\x11")
        assert terminal.ends() == 0


def test_without_the_model_it_opens_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text('[model]\npath = "/nowhere/model.gguf"\n')
    with opened(tmp_path) as terminal:
        terminal.shows("/nowhere/model.gguf")
        terminal.type("\x11")
        assert terminal.ends() == 0
