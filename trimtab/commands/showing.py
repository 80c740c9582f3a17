"""How `ask` shows a reply: as text while it is spoken, as events, or as one object at the end."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import click
import msgspec

from trimtab.chat.explaining import explain
from trimtab.engine.contract import Done, Event, ModelInfo, Token
from trimtab.engine.identity import identity_of
from trimtab.engine.program import EMPTY
from trimtab.engine.text import clean, clean_line
from trimtab.plugins.programs import Composed


class Shows(Protocol):
    """Told of a reply from its beginning to its end."""

    def begin(self, info: ModelInfo, composed: Composed) -> None: ...

    def event(self, event: Event) -> None: ...

    def end(self, done: Done) -> None: ...


class PlainText:
    """The answer alone on stdout; what there is to know about it on stderr."""

    def __init__(self, *, explain: bool = False) -> None:
        self._explain = explain
        self._composed = Composed(program=EMPTY)
        self._tokens: list[Token] = []
        self._last = ""

    def begin(self, info: ModelInfo, composed: Composed) -> None:
        self._composed = composed
        if not self._explain:
            for note in composed.notes:
                _tell(note)

    def event(self, event: Event) -> None:
        if isinstance(event, Token):
            self._tokens.append(event)
        if isinstance(event, Token | Done):
            self._say(clean(event.text))

    def end(self, done: Done) -> None:
        if self._last != "\n":
            self._say("\n")
        if self._explain:
            click.echo("", err=True)
            for line in explain(self._composed.program, done.receipt, self._composed.notes, self._tokens):
                _tell(line)

    def _say(self, text: str) -> None:
        if text:
            write(text)
            self._last = text[-1]


class EventLines:
    """Every event as a line of JSON."""

    def begin(self, info: ModelInfo, composed: Composed) -> None:
        write_json({"type": "begin", **_about(info, composed)})

    def event(self, event: Event) -> None:
        write(msgspec.json.encode(event).decode() + "\n")

    def end(self, done: Done) -> None:
        """The last event was all."""


class JsonObject:
    """One object: text, receipt, and how the program was made."""

    def __init__(self) -> None:
        self._about: dict[str, Any] = {}
        self._composed = Composed(program=EMPTY)
        self._tokens: list[Token] = []

    def begin(self, info: ModelInfo, composed: Composed) -> None:
        self._about, self._composed = _about(info, composed), composed

    def event(self, event: Event) -> None:
        if isinstance(event, Token):
            self._tokens.append(event)

    def end(self, done: Done) -> None:
        said = explain(self._composed.program, done.receipt, self._composed.notes, self._tokens)
        whole = {
            "text": clean("".join(token.text for token in self._tokens) + done.text),
            "reason": done.reason,
            **self._about,
            "explanation": said,
            "receipt": done.receipt,
        }
        write_json(whole, indent=2)


def write_json(value: object, *, indent: int | None = None) -> None:
    data = msgspec.json.encode(value)
    write((msgspec.json.format(data, indent=indent) if indent else data).decode() + "\n")


def write(text: str) -> None:
    """At once, and with a question mark for what the terminal's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), nl=False)


def _about(info: ModelInfo, composed: Composed) -> dict[str, Any]:
    return {
        "model": clean_line(info.name),
        "model_fingerprint": identity_of(info).fingerprint,
        "engine": info.engine,
        "program": composed.program.fingerprint,
        "notes": list(composed.notes),
    }


def _tell(line: str) -> None:
    click.echo(clean_line(line), err=True)
