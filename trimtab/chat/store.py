"""The store: conversations on disk, for the one thread that opened it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from trimtab import locations
from trimtab.chat import cleaning, index, owners, rows, salvage, writes
from trimtab.chat.database import Database, SetAside, running_folder
from trimtab.chat.errors import StoreError
from trimtab.chat.records import (
    Conversation,
    Found,
    Hit,
    Making,
    Message,
    Setup,
    State,
    Summary,
)
from trimtab.chat.titles import title_from
from trimtab.chat.tree import Tree
from trimtab.engine.contract import Token

KEPT_DELETED = 30 * 86400.0
"""Seconds for which a deleted conversation can be had back."""
Clock = Callable[[], float]


def default_path() -> Path:
    return locations.data() / "chats.db"


class Store:
    """Every change is on disk when its method returns. Other processes may use the same file."""

    def __init__(self, database: Database, clock: Clock, notices: Sequence[str] = ()) -> None:
        self._database = database
        self._clock = clock
        self._folder = running_folder(database.path) if database.path else None
        self._seen = 0
        self.notices = tuple(notices)
        """What the user should hear about how the store was opened."""
        with database.writing() as connection:
            self._owner = owners.Owner(self._folder)
            try:
                self._owner.enter(connection, clock())
            except BaseException:
                self._owner.leave()
                raise
        self.changed_elsewhere()

    @classmethod
    def open(cls, path: Path | None = None, *, clock: Clock = time.time) -> Self:
        """The store at a path: brought up to date, with what a killed Trimtab left behind recovered."""
        database, aside = Database.open(path or default_path())
        try:
            store = cls(database, clock)
        except BaseException:
            database.close()
            raise
        try:
            store.notices = tuple(store._tidy(aside))
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def temporary(cls, *, clock: Clock = time.time) -> Self:
        """In memory, for where nothing can be written: it is gone when it is closed."""
        return cls(Database.temporary(), clock)

    def close(self) -> None:
        """What this process was still speaking is kept as stopped."""
        try:
            with self._database.writing() as connection:
                writes.stop(connection, self._owner.id)
        finally:
            self._owner.leave()
            self._database.close()

    @property
    def path(self) -> Path | None:
        return self._database.path

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since this was last asked."""
        with self._database.reading() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
        before, self._seen = self._seen, version
        return bool(before != version)

    # Conversations

    def begin(self, setup: Setup, text: str) -> Message:
        """A new conversation with what the user says first; its title is made from that."""
        now = self._clock()
        whole = cleaning.text(text)
        new = Conversation(
            id=0, title=title_from(whole), named=False, created=now, changed=now, head=None, setup=setup
        )
        with self._database.writing() as connection:
            id = writes.begin(connection, new)
            said = Message(id=0, parent=None, speaker="user", text=whole, created=now)
            return writes.add(connection, id, said)

    def conversation(self, id: int) -> Conversation:
        with self._database.reading() as connection:
            return rows.conversation(connection, id)

    def conversations(self, *, limit: int = 1000, offset: int = 0, deleted: bool = False) -> list[Summary]:
        """The last changed first; of those deleted, the last deleted first."""
        with self._database.reading() as connection:
            where = "deleted IS NOT NULL ORDER BY deleted" if deleted else "deleted IS NULL ORDER BY changed"
            found = connection.execute(
                f"{index.SUMMARY} WHERE {where} DESC, id DESC LIMIT ? OFFSET ?", (limit, offset)
            )
            return [index.summary_of(row) for row in found.fetchall()]

    def rename(self, conversation: int, title: str) -> Conversation:
        """An empty title goes back to the one made from the first message."""
        with self._database.writing() as connection:
            return writes.rename(connection, conversation, title)

    def set_up(self, conversation: int, setup: Setup) -> Conversation:
        """The system prompt, sampling and desk of what is said from now on."""
        with self._database.writing() as connection:
            id = rows.setup_id(connection, setup)
            connection.execute("UPDATE conversation SET setup = ? WHERE id = ?", (id, conversation))
            return rows.conversation(connection, conversation)

    def delete(self, conversation: int) -> None:
        """Out of sight; `restore` brings it back until it is purged."""
        self._set_deleted(conversation, self._clock())

    def restore(self, conversation: int) -> None:
        self._set_deleted(conversation, None)

    def purge(self, before: float | None = None) -> int:
        """Removes for good what was deleted before a time, or all that is deleted; tells how many."""
        limit = float("inf") if before is None else before
        with self._database.reading() as connection:
            gone = connection.execute("SELECT id FROM conversation WHERE deleted < ?", (limit,)).fetchall()
        if gone:
            with self._database.writing() as connection:
                for (id,) in gone:
                    writes.purge(connection, id)
                rows.drop_unused_setups(connection)
        return len(gone)

    # Messages

    def tree(self, conversation: int) -> Tree:
        with self._database.reading() as connection:
            whole = rows.conversation(connection, conversation)
            return Tree(whole, rows.messages(connection, "m.conversation = ?", (conversation,)))

    def message(self, id: int) -> Message:
        with self._database.reading() as connection:
            return writes.message(connection, id)

    def conversation_of(self, message: int) -> int:
        with self._database.reading() as connection:
            return writes.home(connection, message)

    def say(self, conversation: int, text: str, parent: int | None) -> Message:
        """What the user says below a message, or as another beginning; the head moves there."""
        now = self._clock()
        new = Message(id=0, parent=parent, speaker="user", text=cleaning.text(text), created=now)
        return self._add(conversation, new)

    def edit(self, message: int, text: str) -> Message:
        """Another version beside a message, in the user's words; the head moves there."""
        old = self.message(message)
        new = Message(
            id=0,
            parent=old.parent,
            speaker=old.speaker,
            text=cleaning.text(text),
            created=self._clock(),
            origin=old.id,
        )
        return self._add(self.conversation_of(message), new)

    def begin_reply(self, parent: int, making: Making, *, going_on: int | None = None) -> Message:
        """A reply below a user's turn, spoken by this process; it may go on with an earlier one's text."""
        if self.message(parent).speaker != "user":
            raise StoreError("A reply answers what the user said.", "Regenerate it from there.")
        text = ""
        if going_on is not None:
            earlier = self.message(going_on)
            if earlier.parent != parent or earlier.speaker != "assistant" or earlier.state == "streaming":
                raise StoreError("Only a settled reply can be gone on with.", "Stop it first.")
            text = earlier.text
        new = Message(
            id=0, parent=parent, speaker="assistant", text=text, created=self._clock(), state="streaming",
            origin=going_on, kept=len(text), making=making,
        )  # fmt: skip
        return self._add(self.conversation_of(parent), new)

    def keep(self, message: int, text: str, making: Making) -> None:
        """A reply in progress, as far as it has been said."""
        with self._database.writing() as connection:
            writes.check_streaming(connection, message)
            connection.execute("UPDATE message SET text = ? WHERE id = ?", (cleaning.text(text), message))
            rows.update_making(connection, message, making)

    def settle(
        self, message: int, text: str, making: Making, state: State, tokens: Iterable[Token] = ()
    ) -> Message:
        """The end of a reply: from now on it does not change."""
        whole = cleaning.text(text)
        with self._database.writing() as connection:
            writes.check_streaming(connection, message)
            connection.execute("UPDATE message SET text = ?, state = ? WHERE id = ?", (whole, state, message))
            rows.update_making(connection, message, making)
            connection.execute("UPDATE making SET owner = NULL WHERE message = ?", (message,))
            rows.write_trace(connection, message, tokens)
            index.add_message(connection, message, whole)
            writes.touch(connection, writes.home(connection, message), self._clock())
            return writes.message(connection, message)

    def trace(self, message: int) -> tuple[Token, ...]:
        """What each token of a reply measured; empty where that is not known."""
        with self._database.reading() as connection:
            return rows.read_trace(connection, message)

    def move_head(self, conversation: int, message: int | None) -> Conversation:
        """Points the conversation at the end of a path; None stands before the first message."""
        with self._database.writing() as connection:
            if message is not None:
                writes.check_home(connection, conversation, message)
            connection.execute("UPDATE conversation SET head = ? WHERE id = ?", (message, conversation))
            return rows.conversation(connection, conversation)

    def show(self, message: int) -> Conversation:
        """Moves the head so that the message is on the path: not at all, or to its newest line's end."""
        tree = self.tree(self.conversation_of(message))
        if any(each.id == message for each in tree.path()):
            return tree.conversation
        return self.move_head(tree.conversation.id, tree.leaf(message))

    def branch(self, message: int) -> Conversation:
        """A new conversation that holds the path down to a message, and goes on from there."""
        tree = self.tree(self.conversation_of(message))
        with self._database.writing() as connection:
            return rows.conversation(connection, writes.branch(connection, tree, message, self._clock()))

    def insert(self, conversation: Conversation, messages: Sequence[Message]) -> Conversation:
        """A conversation from elsewhere, whole or not at all; it gets numbers of its own."""
        with self._database.writing() as connection:
            return rows.conversation(connection, writes.insert(connection, conversation, list(messages))[0])

    # Search

    def search(self, query: str, *, conversation: int | None = None, limit: int = 100) -> list[Hit]:
        """The messages that hold all the words, each perhaps unfinished; the newest first."""
        with self._database.reading() as connection:
            return index.hits(connection, query, conversation, limit)

    def find(self, query: str, *, limit: int = 100) -> list[Found]:
        """The conversations in whose title or messages the words stand, the last changed first."""
        with self._database.reading() as connection:
            return index.conversations(connection, query, limit)

    # Recovery

    def recover(self) -> int:
        """Keeps as stopped what was being spoken by processes that are gone; tells how many replies."""
        with self._database.reading() as connection:
            gone = list(owners.gone(connection, self._folder, self._owner.id))
        if not gone:
            return 0
        with self._database.writing() as connection:
            return sum(writes.stop(connection, owner) for owner in gone)

    def _tidy(self, aside: SetAside | None) -> Iterator[str]:
        """What is to be done at a start, and what the user should hear about it."""
        if aside is not None:
            yield salvage.salvage(aside, self._database)
        if recovered := self.recover():
            replies = "reply was" if recovered == 1 else "replies were"
            yield f"{recovered} unfinished {replies} kept as far as said."
        self.purge(self._clock() - KEPT_DELETED)

    def _add(self, conversation: int, new: Message) -> Message:
        with self._database.writing() as connection:
            owner = self._owner.id if new.state == "streaming" else None
            added = writes.add(connection, conversation, new, owner)
            writes.touch(connection, conversation, self._clock())
            return added

    def _set_deleted(self, conversation: int, when: float | None) -> None:
        with self._database.writing() as connection:
            rows.conversation(connection, conversation)
            connection.execute("UPDATE conversation SET deleted = ? WHERE id = ?", (when, conversation))
