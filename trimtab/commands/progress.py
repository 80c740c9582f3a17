"""Progress of long work on stderr: one line that moves on a terminal, a few lines in a log."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Self

import click

_WIDTH = 24


class Progress:
    """Told a fraction and what is being done; shows both with the time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._moves = sys.stderr.isatty()
        self._began = time.monotonic()
        self._shown = -1.0
        self._length = 0

    def __call__(self, fraction: float, what: str) -> None:
        # On a terminal ten times a second at most, in a log at every tenth of the work.
        now = time.monotonic()
        due = now - self._shown >= 0.1 if self._moves else int(fraction * 10) > int(self._shown * 10)
        if self._quiet or not due:
            return
        self._shown = now if self._moves else fraction
        left = self._left(fraction, now)
        if self._moves:
            bar = "█" * round(fraction * _WIDTH)
            self._line(f"{bar:░<{_WIDTH}} {fraction:4.0%}  {what}{left}")
        else:
            click.echo(f"{fraction:4.0%}  {what}{left}", err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Takes the line away, so that something else can be written there."""
        if self._length:
            self._line("")
            click.echo("\r", nl=False, err=True)

    def _left(self, fraction: float, now: float) -> str:
        passed = now - self._began
        if fraction < 0.03 or passed < 2 or fraction >= 1:
            return ""
        return f", {duration(passed / fraction * (1 - fraction))} left"

    def _line(self, text: str) -> None:
        shown = text[: shutil.get_terminal_size().columns - 1]
        click.echo("\r" + shown + " " * max(0, self._length - len(shown)), nl=False, err=True)
        self._length = len(shown)


def duration(seconds: float) -> str:
    """In the unit that people would use."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
