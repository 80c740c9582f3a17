"""Messages of the store as the transcript shows them."""

from __future__ import annotations

from trimtab.chat.desk import summary
from trimtab.chat.live import LiveReply
from trimtab.chat.records import Making, Message
from trimtab.chat.tree import Tree
from trimtab.tui.widgets.transcript_entry import Entry, NoteKind

_STATES = {"stopped": "stopped", "streaming": "not finished"}
QUOTED = 24
"""Characters that tell where in a reply a dial was moved."""


def entries(tree: Tree | None) -> list[Entry]:
    """The path that is being looked at."""
    return [entry(tree, message) for message in tree.path()] if tree is not None else []


def entry(tree: Tree, message: Message) -> Entry:
    versions = list(tree.versions(message.id))
    version = (versions.index(message.id) + 1, len(versions))
    mine, making = message.speaker == "user", message.making
    return Entry(
        id=message.id,
        mine=mine,
        name="you" if mine else making.model if making and making.model else "assistant",
        text=message.text,
        about=_about(message),
        notes=_notes(message, message.text, making),
        version=version,
    )


def growing(live: LiveReply, version: tuple[int, int]) -> Entry:
    """A reply as far as it has come."""
    making = live.making
    reading = live.prefill
    notes: tuple[tuple[NoteKind, str], ...] = _marks(live.text, making)
    if not live.tokens and reading is not None and reading.done < reading.total:
        notes = (*notes, ("note", f"reading {reading.done} of {reading.total} tokens"))
    return Entry(
        id=live.message.id,
        mine=False,
        name=making.model or "assistant",
        text=live.text,
        about=summary(making.setup.desk) or "unsteered",
        notes=notes,
        version=version,
        live=True,
    )


def _about(message: Message) -> str:
    making = message.making
    if making is None:
        return "edited" if message.origin is not None else ""
    parts = [summary(making.setup.desk) or "unsteered"]
    receipt = making.receipt
    if receipt is not None and receipt.steered_tokens:
        parts.append(f"{receipt.steered_tokens}/{receipt.reply_tokens} steered")
    return " · ".join(parts)


def _notes(message: Message, text: str, making: Making | None) -> tuple[tuple[NoteKind, str], ...]:
    if making is None:
        return ()
    notes = list(_marks(text, making))
    if making.receipt is not None:
        closed = [gate.label for gate in making.receipt.gates if not gate.open]
        if closed:
            notes.append(("note", f"gate closed: {', '.join(closed)}"))
    if message.state in _STATES:
        notes.append(("note", _STATES[message.state]))
    elif making.ended in ("length", "window"):
        notes.append(
            (
                "note",
                "cut off by the limit of its length" if making.ended == "length" else "the window is full",
            )
        )
    if making.error:
        notes.append(("error", making.error))
    return tuple(notes)


def _marks(text: str, making: Making) -> tuple[tuple[NoteKind, str], ...]:
    """Where a dial was moved within the reply, and to what."""
    notes: list[tuple[NoteKind, str]] = []
    for mark in making.marks:
        said = " ".join(text[max(0, mark.offset - QUOTED) : mark.offset].split())
        where = f"after “…{said}”" if said else "from the first word"
        notes.append(("note", f"↳ {where}: {summary(mark.desk) or 'unsteered'}"))
        if mark.failed:
            notes.append(("warning", f"  that could not be done: {mark.failed}"))
        if mark.deferred:
            notes.append(("note", f"  waits for the next reply: {', '.join(mark.deferred)}"))
    return tuple(notes)
