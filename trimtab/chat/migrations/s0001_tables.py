"""Conversations as trees of messages, and how each reply was made."""

from __future__ import annotations

import sqlite3

STATEMENTS = (
    # What replies were made under, each once however many share it.
    """
    CREATE TABLE setup (
        id INTEGER PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        content TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        named INTEGER NOT NULL,
        created REAL NOT NULL,
        changed REAL NOT NULL,
        deleted REAL,
        setup INTEGER NOT NULL REFERENCES setup (id),
        head INTEGER,
        origin INTEGER,
        FOREIGN KEY (head, id) REFERENCES message (id, conversation) DEFERRABLE INITIALLY DEFERRED
    )
    """,
    """
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
        parent INTEGER,
        speaker TEXT NOT NULL CHECK (speaker IN ('user', 'assistant')),
        text TEXT NOT NULL,
        created REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('streaming', 'done', 'stopped', 'error')),
        origin INTEGER,
        kept INTEGER NOT NULL,
        UNIQUE (id, conversation),
        CHECK (parent < id),
        FOREIGN KEY (parent, conversation) REFERENCES message (id, conversation) ON DELETE CASCADE
    )
    """,
    # A running Trimtab; its lock file tells whether it still runs.
    """
    CREATE TABLE owner (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL UNIQUE,
        pid INTEGER NOT NULL,
        started REAL NOT NULL
    )
    """,
    """
    CREATE TABLE making (
        message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
        owner INTEGER REFERENCES owner (id) ON DELETE SET NULL,
        setup INTEGER NOT NULL REFERENCES setup (id),
        model TEXT NOT NULL,
        model_fingerprint TEXT NOT NULL,
        program TEXT NOT NULL,
        seed TEXT,
        ended TEXT,
        error TEXT NOT NULL,
        marks TEXT NOT NULL,
        first_token REAL,
        seconds REAL NOT NULL,
        tokens INTEGER NOT NULL,
        receipt TEXT
    )
    """,
    # What each token measured, for the X-ray; large, and read only when asked for.
    """
    CREATE TABLE trace (
        message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
        tokens BLOB NOT NULL
    )
    """,
    "CREATE INDEX conversation_changed ON conversation (deleted, changed)",
    "CREATE INDEX conversation_setup ON conversation (setup)",
    "CREATE INDEX message_conversation ON message (conversation, id)",
    "CREATE INDEX message_parent ON message (parent)",
    "CREATE INDEX message_streaming ON message (id) WHERE state = 'streaming'",
    "CREATE INDEX making_setup ON making (setup)",
    "CREATE INDEX making_owner ON making (owner)",
    # Nothing is overwritten, whatever the code above this line does wrong.
    """
    CREATE TRIGGER settled BEFORE UPDATE ON message
    WHEN old.state <> 'streaming'
        OR new.conversation IS NOT old.conversation OR new.parent IS NOT old.parent
        OR new.speaker IS NOT old.speaker
    BEGIN SELECT RAISE(ABORT, 'a settled message does not change'); END
    """,
)


def apply(connection: sqlite3.Connection) -> None:
    for statement in STATEMENTS:
        connection.execute(statement)
