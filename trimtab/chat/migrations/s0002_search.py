"""The words of settled messages and of titles, to be searched."""

from __future__ import annotations

import sqlite3

from trimtab.chat.words import spaced

STATEMENTS = (
    # The text itself is in the tables, so the index holds none; prefixes make searching while typing quick.
    """
    CREATE VIRTUAL TABLE message_words USING fts5 (
        text, content = '', prefix = '1 2 3', columnsize = 0, tokenize = "unicode61 remove_diacritics 2"
    )
    """,
    """
    CREATE VIRTUAL TABLE title_words USING fts5 (
        text, content = '', prefix = '1 2 3', columnsize = 0, tokenize = "unicode61 remove_diacritics 2"
    )
    """,
)


def apply(connection: sqlite3.Connection) -> None:
    for statement in STATEMENTS:
        connection.execute(statement)
    for id, text in connection.execute("SELECT id, text FROM message WHERE state <> 'streaming'").fetchall():
        connection.execute("INSERT INTO message_words (rowid, text) VALUES (?, ?)", (id, spaced(text)))
    for id, title in connection.execute("SELECT id, title FROM conversation").fetchall():
        connection.execute("INSERT INTO title_words (rowid, text) VALUES (?, ?)", (id, spaced(title)))
