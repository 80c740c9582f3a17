"""A conversation as a tree: messages below their parents, and the path that is being looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trimtab.chat.errors import NotFound
from trimtab.chat.records import Conversation, Message


class Tree:
    """All messages of a conversation; a reading of the store that does not change."""

    def __init__(self, conversation: Conversation, messages: Iterable[Message]) -> None:
        self.conversation = conversation
        self.messages = {message.id: message for message in messages}
        self._children: dict[int | None, list[int]] = {}
        for message in self.messages.values():
            self._children.setdefault(message.parent, []).append(message.id)

    def __getitem__(self, message: int) -> Message:
        try:
            return self.messages[message]
        except KeyError:
            raise missing_message(message) from None

    def path(self, to: int | None = None) -> list[Message]:
        """From the first message down to this one, or to the head."""
        at = self.conversation.head if to is None else to
        found = []
        while at is not None:
            found.append(self[at])
            at = found[-1].parent
        return found[::-1]

    def children(self, message: int | None) -> Sequence[int]:
        """In the order in which they came; of None the first messages."""
        return self._children.get(message, ())

    def versions(self, message: int) -> Sequence[int]:
        """The message and its siblings of the same speaker: edits and other replies."""
        own = self[message]
        return [other for other in self.children(own.parent) if self.messages[other].speaker == own.speaker]

    def leaf(self, message: int) -> int:
        """The end of the newest line below a message, or itself: where going back to it leads."""
        newest = message
        stack = list(self.children(self[message].id))
        while stack:
            at = stack.pop()
            newest = max(newest, at)
            stack.extend(self.children(at))
        return newest


def missing_message(message: int) -> NotFound:
    return NotFound(f"There is no message {message} here.", "It may have been removed: open the chat again.")
