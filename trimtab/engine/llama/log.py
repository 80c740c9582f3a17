"""Keeps what llama.cpp says out of the way, and its last complaints at hand."""

from __future__ import annotations

import logging
import re
from collections import deque

_LEVELS = {3: logging.INFO, 4: logging.WARNING}
"""Of warnings and errors; the rest is for debugging. What went wrong is raised, so the log need not alarm."""
_ERROR, _CONTINUED = 4, 5
_FUNCTION = re.compile(r"^(?:[\w:~]+: )+")
_CAUSE = re.compile(r"(?:error loading model|failed to load model|failed to apply lora adapter): *")

_logger = logging.getLogger("trimtab.llama")


class NativeLog:
    """Receives llama.cpp's log."""

    def __init__(self) -> None:
        self._complaints: deque[str] = deque(maxlen=20)
        self._level = 1
        self._line = ""

    def receive(self, level: int, text: bytes | None) -> None:
        """One piece of the log; a line may come in several."""
        if level != _CONTINUED:
            self._end_line()
            self._level = level
        self._line += (text or b"").decode("utf-8", errors="replace")
        if self._line.endswith("\n"):
            self._end_line()

    def forget(self) -> None:
        """What comes from now on is what `reason` looks at."""
        self._end_line()
        self._complaints.clear()

    def reason(self) -> str:
        """The line that best says why the last call failed, or nothing."""
        self._end_line()
        lines = [_FUNCTION.sub("", line).strip() for line in self._complaints]
        causes = [_CAUSE.sub("", line).strip() for line in lines if _CAUSE.search(line)]
        return next((line.rstrip(".") for line in [*causes, *reversed(lines)] if line), "")

    def _end_line(self) -> None:
        line, self._line = self._line.strip(), ""
        if not line:
            return
        _logger.log(_LEVELS.get(self._level, logging.DEBUG), "%s", line)
        if self._level == _ERROR:
            self._complaints.append(line)
