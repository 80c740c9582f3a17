"""Records as rows of the database and back."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from trimtab.chat.errors import NotFound
from trimtab.chat.records import Conversation, Making, Mark, Message, Setup, Timings
from trimtab.engine.contract import Receipt, Token
from trimtab.errors import TrimtabError

T = TypeVar("T")

_MESSAGES = """
    SELECT m.id, m.parent, m.speaker, m.text, m.created, m.state, m.origin, m.kept,
        k.setup, k.model, k.model_fingerprint, k.program, k.seed, k.ended, k.error, k.marks,
        k.first_token, k.seconds, k.tokens, k.receipt
    FROM message m LEFT JOIN making k ON k.message = m.id
"""


def conversation(connection: sqlite3.Connection, id: int) -> Conversation:
    row = connection.execute(
        """
        SELECT c.id, c.title, c.named, c.created, c.changed, c.head, s.content, c.origin, c.deleted
        FROM conversation c JOIN setup s ON s.id = c.setup WHERE c.id = ?
        """,
        (id,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no chat {id}.", "It may have been removed for good.")
    id, title, named, created, changed, head, setup, origin, deleted = row
    return Conversation(
        id=id,
        title=title,
        named=bool(named),
        created=created,
        changed=changed,
        head=head,
        setup=decoded(setup, Setup) or Setup(),
        origin=origin,
        deleted=deleted,
    )


def messages(connection: sqlite3.Connection, where: str, asked: Sequence[object]) -> list[Message]:
    """In the order in which they came."""
    rows = connection.execute(f"{_MESSAGES} WHERE {where} ORDER BY m.id", asked).fetchall()
    setups: dict[int, Setup] = {}
    for id in {row[8] for row in rows if row[8] is not None}:
        (content,) = connection.execute("SELECT content FROM setup WHERE id = ?", (id,)).fetchone()
        setups[id] = decoded(content, Setup) or Setup()
    return [_message(row, setups) for row in rows]


def insert_conversation(connection: sqlite3.Connection, new: Conversation) -> int:
    """A row for it; its id and head are given by the store."""
    cursor = connection.execute(
        "INSERT INTO conversation (title, named, created, changed, setup, origin) VALUES (?, ?, ?, ?, ?, ?)",
        (new.title, new.named, new.created, new.changed, setup_id(connection, new.setup), new.origin),
    )
    return cursor.lastrowid or 0


def insert_message(
    connection: sqlite3.Connection, conversation: int, message: Message, owner: int | None = None
) -> int:
    """A row for it; its id is given by the database."""
    cursor = connection.execute(
        """
        INSERT INTO message (conversation, parent, speaker, text, created, state, origin, kept)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            conversation, message.parent, message.speaker, message.text, message.created, message.state,
            message.origin, message.kept,
        ),
    )  # fmt: skip
    id = cursor.lastrowid or 0
    if message.making is not None:
        connection.execute(
            """
            INSERT INTO making (message, owner, setup, model, model_fingerprint, program, error, marks, seconds, tokens)
            VALUES (?, ?, ?, ?, ?, ?, '', '[]', 0, 0)
            """,
            (
                id, owner, setup_id(connection, message.making.setup), message.making.model,
                message.making.model_fingerprint, message.making.program,
            ),
        )  # fmt: skip
        update_making(connection, id, message.making)
    return id


def update_making(connection: sqlite3.Connection, message: int, making: Making) -> None:
    """What becomes known while a reply is spoken, and at its end."""
    connection.execute(
        """
        UPDATE making SET program = ?, seed = ?, ended = ?, error = ?, marks = ?, first_token = ?,
            seconds = ?, tokens = ?, receipt = ? WHERE message = ?
        """,
        (
            making.program,
            None if making.seed is None else str(making.seed),  # it may be larger than SQLite's integers
            making.ended,
            making.error,
            encoded(making.marks),
            making.timings.first_token,
            making.timings.seconds,
            making.timings.tokens,
            None if making.receipt is None else encoded(making.receipt),
            message,
        ),
    )


def setup_id(connection: sqlite3.Connection, setup: Setup) -> int:
    """The row of a setup, which all that share it point to."""
    content = encoded(setup)
    digest = hashlib.sha256(content.encode()).hexdigest()
    connection.execute("INSERT OR IGNORE INTO setup (digest, content) VALUES (?, ?)", (digest, content))
    (id,) = connection.execute("SELECT id FROM setup WHERE digest = ?", (digest,)).fetchone()
    return int(id)


def drop_unused_setups(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        DELETE FROM setup WHERE NOT EXISTS (SELECT 1 FROM making WHERE making.setup = setup.id)
            AND NOT EXISTS (SELECT 1 FROM conversation WHERE conversation.setup = setup.id)
        """
    )


def write_trace(connection: sqlite3.Connection, message: int, tokens: Iterable[Token]) -> None:
    if spoken := tuple(tokens):
        packed = zlib.compress(msgspec.msgpack.encode(spoken), 1)
        connection.execute("INSERT OR REPLACE INTO trace (message, tokens) VALUES (?, ?)", (message, packed))


def read_trace(connection: sqlite3.Connection, message: int) -> tuple[Token, ...]:
    row = connection.execute("SELECT tokens FROM trace WHERE message = ?", (message,)).fetchone()
    if row is None:
        return ()
    try:
        return msgspec.msgpack.decode(zlib.decompress(row[0]), type=tuple[Token, ...])
    except (msgspec.MsgspecError, zlib.error, TrimtabError):
        return ()


def encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def decoded(text: str, kind: type[T]) -> T | None:
    """What a version of Trimtab wrote; None if this one cannot read it, which must not close a conversation."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TrimtabError):
        return None


def _message(row: tuple[Any, ...], setups: dict[int, Setup]) -> Message:
    id, parent, speaker, text, created, state, origin, kept, setup = row[:9]
    return Message(
        id=id,
        parent=parent,
        speaker=speaker,
        text=text,
        created=created,
        state=state,
        origin=origin,
        kept=kept,
        making=None if setup is None else _making(row[9:], setups[setup]),
    )


def _making(row: tuple[Any, ...], setup: Setup) -> Making:
    model, fingerprint, program, seed, ended, error, marks, first_token, seconds, tokens, receipt = row
    return Making(
        setup=setup,
        model=model,
        model_fingerprint=fingerprint,
        program=program,
        seed=None if seed is None else int(seed),
        ended=ended,
        error=error,
        marks=() if marks == "[]" else decoded(marks, tuple[Mark, ...]) or (),
        timings=Timings(first_token=first_token, seconds=seconds, tokens=tokens),
        receipt=None if receipt is None else decoded(receipt, Receipt),
    )
