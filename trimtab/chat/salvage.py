"""Saves what can be read from a damaged database into the new one that takes its place."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from trimtab.chat import rows, writes
from trimtab.chat.database import Database, SetAside
from trimtab.engine.text import clean_line
from trimtab.errors import TrimtabError


def salvage(aside: SetAside, into: Database) -> str:
    """Copies every conversation that reads without fault; says in words what became of the rest."""
    saved, lost = 0, 0
    with contextlib.closing(_open(aside.path)) as damaged:
        for id in _ids(damaged):
            try:
                conversation = rows.conversation(damaged, id)
                messages = rows.messages(damaged, "m.conversation = ?", (id,))
                with into.writing() as connection:
                    writes.insert(connection, conversation, messages)
                saved += 1
            except (sqlite3.Error, TrimtabError, KeyError, ValueError, TypeError):
                lost += 1
    return (
        f"The chats were damaged ({aside.why}). {_told(saved, lost)} "
        f"The damaged file is kept as {clean_line(aside.path.name)}."
    )


def _told(saved: int, lost: int) -> str:
    if not saved:
        return "Nothing could be read from it, so this is a new beginning."
    return f"{saved} of {saved + lost} could be saved." if lost else f"All {saved} could be saved."


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _ids(connection: sqlite3.Connection) -> Iterator[int]:
    """As many as can be found before the damage, from either end."""
    found: set[int] = set()
    for order in ("ASC", "DESC"):
        try:
            for (id,) in connection.execute(f"SELECT id FROM conversation ORDER BY id {order}"):  # noqa: S608
                if id in found:
                    break
                found.add(id)
                yield id
        except sqlite3.Error:
            continue
