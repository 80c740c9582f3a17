"""Text from outside, made safe and whole: control codes out, split characters held back, stops found."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides, isolates
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f]"  # separators, annotations, invisible tags
)


def clean(text: str) -> str:
    """The text without characters that could steer a terminal or reorder what is read."""
    return _UNSAFE.sub("", text.replace("\r\n", "\n"))


class TextStream:
    """Turns the bytes of tokens into clean text, never handing out half a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        return clean(self._decoder.decode(piece))

    def finish(self) -> str:
        """What is left when no more comes: an unfinished character shows as U+FFFD."""
        return clean(self._decoder.decode(b"", final=True))


class StopScanner:
    """Holds back text that may be the start of a stop string, and ends at the first stop found."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The text that may be shown now; `stopped` tells that a stop string came."""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = self._pending()
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held

    def _pending(self) -> int:
        """How long an end of the text is that could begin a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
