"""The steps that bring a database to the present format, one module each; what is released never changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from trimtab.chat.errors import StoreTooNew
from trimtab.chat.migrations import s0001_tables, s0002_search

Step = Callable[[sqlite3.Connection], None]

STEPS: tuple[Step, ...] = (s0001_tables.apply, s0002_search.apply)
"""Step n leads to format n."""


def migrate(connection: sqlite3.Connection, shown: str, steps: Sequence[Step] = STEPS) -> None:
    """Takes the steps that are missing, each whole or not at all."""
    check(connection, shown, len(steps))
    for number in range(version(connection) + 1, len(steps) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version(connection) < number:  # another process may have been first
                steps[number - 1](connection)
                connection.execute(f"PRAGMA user_version = {number:d}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def check(connection: sqlite3.Connection, shown: str, known: int = len(STEPS)) -> None:
    """Refuses what a later version wrote."""
    found = version(connection)
    if found > known:
        raise StoreTooNew(
            f"The chats in {shown} were written by a newer Trimtab: format {found}, this one knows {known}.",
            "Update Trimtab. They stay untouched; to chat meanwhile, set TRIMTAB_HOME to another folder.",
        )


def version(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)
