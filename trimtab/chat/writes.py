"""The changes that the store makes to its rows, each within a transaction of the caller's."""

from __future__ import annotations

import sqlite3

import msgspec

from trimtab.chat import cleaning, index, rows
from trimtab.chat.errors import NotFound, StoreError
from trimtab.chat.records import Conversation, Message
from trimtab.chat.titles import title_from
from trimtab.chat.tree import Tree, missing_message


def begin(connection: sqlite3.Connection, new: Conversation) -> int:
    """A conversation without messages; its number."""
    id = rows.insert_conversation(connection, new)
    index.add_title(connection, id, new.title)
    return id


def add(connection: sqlite3.Connection, conversation: int, new: Message, owner: int | None = None) -> Message:
    """A message below its parent; the head moves there."""
    if new.parent is not None:
        check_home(connection, conversation, new.parent)
    id = rows.insert_message(connection, conversation, new, owner)
    if new.state != "streaming":
        index.add_message(connection, id, new.text)
    connection.execute("UPDATE conversation SET head = ? WHERE id = ?", (id, conversation))
    return message(connection, id)


def insert(
    connection: sqlite3.Connection, conversation: Conversation, messages: list[Message]
) -> dict[int, int]:
    """A whole conversation; the new number of each message by its old one, the conversation's own under 0."""
    id = begin(connection, conversation)
    numbers: dict[int, int] = {}
    for each in messages:
        copy = msgspec.structs.replace(
            each,
            parent=None if each.parent is None else numbers[each.parent],
            origin=None if each.origin is None else numbers.get(each.origin),
            state="stopped" if each.state == "streaming" else each.state,
        )
        numbers[each.id] = rows.insert_message(connection, id, copy)
        index.add_message(connection, numbers[each.id], copy.text)
    head = None if conversation.head is None else numbers[conversation.head]
    connection.execute("UPDATE conversation SET head = ? WHERE id = ?", (head, id))
    return numbers | {0: id}


def branch(connection: sqlite3.Connection, tree: Tree, at: int, now: float) -> int:
    """A conversation of its own with the path down to a message."""
    old = tree.conversation
    title = cleaning.line(f"{old.title.removesuffix(' (branch)')} (branch)")
    new = msgspec.structs.replace(
        old, title=title, named=True, created=now, changed=now, origin=at, head=at, deleted=None
    )
    numbers = insert(connection, new, tree.path(at))
    for each in tree.path(at):
        rows.write_trace(connection, numbers[each.id], rows.read_trace(connection, each.id))
    return numbers[0]


def purge(connection: sqlite3.Connection, conversation: int) -> None:
    index.drop_conversation(connection, conversation)
    connection.execute("DELETE FROM conversation WHERE id = ?", (conversation,))


def stop(connection: sqlite3.Connection, owner: int) -> int:
    """What an owner was speaking is kept as stopped; how many replies that were."""
    found = connection.execute(
        """
        SELECT m.id, m.text FROM message m JOIN making k ON k.message = m.id
        WHERE k.owner = ? AND m.state = 'streaming'
        """,
        (owner,),
    ).fetchall()
    for id, text in found:
        connection.execute("UPDATE message SET state = 'stopped' WHERE id = ?", (id,))
        index.add_message(connection, id, text)
    connection.execute("DELETE FROM owner WHERE id = ?", (owner,))
    return len(found)


def rename(connection: sqlite3.Connection, conversation: int, title: str) -> Conversation:
    old = rows.conversation(connection, conversation)
    chosen = cleaning.line(title)
    new = chosen or _made_title(connection, conversation)
    connection.execute(
        "UPDATE conversation SET title = ?, named = ? WHERE id = ?", (new, bool(chosen), conversation)
    )
    index.change_title(connection, conversation, old.title, new)
    return rows.conversation(connection, conversation)


def message(connection: sqlite3.Connection, id: int) -> Message:
    found = rows.messages(connection, "m.id = ?", (id,))
    if not found:
        raise missing_message(id)
    return found[0]


def home(connection: sqlite3.Connection, message: int) -> int:
    """The conversation that a message belongs to."""
    row = connection.execute("SELECT conversation FROM message WHERE id = ?", (message,)).fetchone()
    if row is None:
        raise missing_message(message)
    return int(row[0])


def check_home(connection: sqlite3.Connection, conversation: int, message: int) -> None:
    if home(connection, message) != conversation:
        raise NotFound(f"Message {message} belongs to another chat.", "Open that one.")


def check_streaming(connection: sqlite3.Connection, id: int) -> None:
    if message(connection, id).state != "streaming":
        raise StoreError("This reply is settled and does not change any more.", "Regenerate or edit it.")


def touch(connection: sqlite3.Connection, conversation: int, now: float) -> None:
    """The conversation moves to the top of the list."""
    connection.execute("UPDATE conversation SET changed = ? WHERE id = ?", (now, conversation))


def _made_title(connection: sqlite3.Connection, conversation: int) -> str:
    first = connection.execute(
        "SELECT text FROM message WHERE conversation = ? ORDER BY id LIMIT 1", (conversation,)
    ).fetchone()
    return title_from(first[0] if first else "")
