"""The index of words: kept in step with what is settled, and asked for messages and conversations."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from trimtab.chat.records import Found, Hit, Summary
from trimtab.chat.words import match, snippet, spaced

SUMMARY = """
    SELECT c.id, c.title, c.created, c.changed,
        (SELECT count(*) FROM message m WHERE m.conversation = c.id)
    FROM conversation c
"""


@dataclass(frozen=True)
class _Looking:
    """Where messages `m` are looked for: in the index, or, for signs that are no words, in the texts."""

    tables: str
    condition: str
    order: str
    asked: str


def add_message(connection: sqlite3.Connection, message: int, text: str) -> None:
    connection.execute("INSERT INTO message_words (rowid, text) VALUES (?, ?)", (message, spaced(text)))


def add_title(connection: sqlite3.Connection, conversation: int, title: str) -> None:
    connection.execute("INSERT INTO title_words (rowid, text) VALUES (?, ?)", (conversation, spaced(title)))


def change_title(connection: sqlite3.Connection, conversation: int, old: str, new: str) -> None:
    _drop(connection, "title_words", conversation, old)
    add_title(connection, conversation, new)


def drop_conversation(connection: sqlite3.Connection, conversation: int) -> None:
    """Before its rows go: the index finds its entries by their text."""
    rows = connection.execute(
        "SELECT id, text FROM message WHERE conversation = ? AND state <> 'streaming'", (conversation,)
    )
    for message, text in rows.fetchall():
        _drop(connection, "message_words", message, text)
    (title,) = connection.execute("SELECT title FROM conversation WHERE id = ?", (conversation,)).fetchone()
    _drop(connection, "title_words", conversation, title)


def rebuild(connection: sqlite3.Connection) -> None:
    for table in ("message_words", "title_words"):
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")  # noqa: S608 - our names
    for message, text in connection.execute("SELECT id, text FROM message WHERE state <> 'streaming'"):
        add_message(connection, message, text)
    for conversation, title in connection.execute("SELECT id, title FROM conversation"):
        add_title(connection, conversation, title)


def hits(connection: sqlite3.Connection, query: str, conversation: int | None, limit: int) -> list[Hit]:
    """The messages that hold all words of the query, the newest first."""
    looked = _looking(query)
    if looked is None:
        return []
    within = "AND m.conversation = ?" if conversation is not None else ""
    # Newest first is the order of the index, so that a common word is not looked up everywhere.
    rows = connection.execute(
        f"""
        SELECT m.conversation, c.title, m.id, m.speaker, m.created, m.text
        FROM {looked.tables} CROSS JOIN conversation c ON c.id = m.conversation
        WHERE {looked.condition} AND c.deleted IS NULL {within} ORDER BY {looked.order} DESC LIMIT ?
        """,  # noqa: S608 - nothing typed is in it
        (looked.asked, *([conversation] if conversation is not None else ()), limit),
    ).fetchall()
    return [_hit(row, query) for row in rows]


def conversations(connection: sqlite3.Connection, query: str, limit: int) -> list[Found]:
    """The conversations in whose title or messages the words stand, the last changed first."""
    looked = _looking(query)
    if looked is None:
        return []
    said = dict(
        connection.execute(
            f"""
            SELECT m.conversation, max(m.id) FROM {looked.tables} WHERE {looked.condition}
            GROUP BY m.conversation
            """,  # noqa: S608 - nothing typed is in it
            (looked.asked,),
        ).fetchall()
    )
    titled = {
        id for (id,) in connection.execute(
            "SELECT rowid FROM title_words WHERE title_words MATCH ?", (match(query),)
        )
    } if match(query) else set()  # fmt: skip
    found = []
    rows = connection.execute(
        "SELECT id FROM conversation WHERE deleted IS NULL ORDER BY changed DESC, id DESC"
    )
    wanted = [id for (id,) in rows if id in titled or id in said][:limit]
    for id in wanted:
        summary = summary_of(connection.execute(f"{SUMMARY} WHERE c.id = ?", (id,)).fetchone())
        hit = None
        if id in said:
            row = connection.execute(
                """
                SELECT m.conversation, c.title, m.id, m.speaker, m.created, m.text
                FROM message m JOIN conversation c ON c.id = m.conversation WHERE m.id = ?
                """,
                (said[id],),
            ).fetchone()
            hit = _hit(row, query)
        found.append(Found(summary=summary, hit=hit))
    return found


def summary_of(row: tuple[int, str, float, float, int]) -> Summary:
    id, title, created, changed, messages = row
    return Summary(id=id, title=title, created=created, changed=changed, messages=messages)


def _looking(query: str) -> _Looking | None:
    if asked := match(query):
        return _Looking(
            "message_words CROSS JOIN message m ON m.id = message_words.rowid",
            "message_words MATCH ?",
            "message_words.rowid",
            asked,
        )
    if asked := query.strip():
        return _Looking("message m", "instr(m.text, ?) AND m.state <> 'streaming'", "m.id", asked)
    return None


def _hit(row: tuple[int, str, int, str, float, str], query: str) -> Hit:
    conversation, title, message, speaker, created, text = row
    return Hit(
        conversation=conversation,
        title=title,
        message=message,
        speaker="user" if speaker == "user" else "assistant",
        created=created,
        snippet=snippet(text, query),
    )


def _drop(connection: sqlite3.Connection, table: str, row: int, text: str) -> None:
    connection.execute(
        f"INSERT INTO {table} ({table}, rowid, text) VALUES ('delete', ?, ?)",  # noqa: S608 - our names
        (row, spaced(text)),
    )
