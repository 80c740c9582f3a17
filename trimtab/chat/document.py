"""A conversation as a JSON file that holds its whole tree, and back."""

from __future__ import annotations

from typing import Literal

import msgspec

from trimtab.chat import cleaning
from trimtab.chat.desk import Part
from trimtab.chat.errors import ImportRefused
from trimtab.chat.records import Conversation, Message, Setup
from trimtab.chat.titles import UNTITLED
from trimtab.chat.tree import Tree
from trimtab.errors import TrimtabError

FORMAT: Literal["trimtab conversation"] = "trimtab conversation"
VERSION = 1
MAX_BYTES = 256 * 2**20


class Document(Part, frozen=True, kw_only=True):
    """The file; messages count from 1 in the order in which they came."""

    format: Literal["trimtab conversation"]
    version: int
    title: str
    named: bool
    created: float
    changed: float
    setup: Setup
    head: int | None
    messages: tuple[Message, ...]


class _Kind(msgspec.Struct):
    """What a file says that it is, before all of it is read."""

    format: str = ""
    version: int = 0


def to_json(tree: Tree) -> str:
    """Everything but what each token measured."""
    numbers = {id: number for number, id in enumerate(tree.messages, 1)}
    about = tree.conversation
    document = Document(
        format=FORMAT,
        version=VERSION,
        title=about.title,
        named=about.named,
        created=about.created,
        changed=about.changed,
        setup=about.setup,
        head=None if about.head is None else numbers[about.head],
        messages=tuple(
            msgspec.structs.replace(
                message,
                id=numbers[message.id],
                parent=None if message.parent is None else numbers[message.parent],
                origin=None if message.origin is None else numbers.get(message.origin),
            )
            for message in tree.messages.values()
        ),
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def from_json(content: bytes) -> tuple[Conversation, list[Message]]:
    """What `Store.insert` takes; refuses what is no conversation of this format."""
    if len(content) > MAX_BYTES:
        raise ImportRefused(f"The file is larger than {MAX_BYTES >> 20} MiB.", "It is no exported chat.")
    try:
        kind = msgspec.json.decode(content, type=_Kind)
        if kind.format != FORMAT:
            raise ImportRefused("The file is no chat that Trimtab exported.", "Choose another.")
        if kind.version > VERSION:
            raise ImportRefused(
                f"The chat was exported by a newer Trimtab: format {kind.version}, this one knows {VERSION}.",
                "Update Trimtab.",
            )
        document = msgspec.json.decode(content, type=Document)
    except ImportRefused:
        raise
    except (msgspec.MsgspecError, TrimtabError, UnicodeDecodeError, RecursionError) as error:
        raise ImportRefused(
            f"The file cannot be read as a chat: {cleaning.line(str(error))}", "Export it again."
        ) from error
    messages = list(_checked(document))
    conversation = Conversation(
        id=0,
        title=cleaning.line(document.title) or UNTITLED,
        named=document.named,
        created=document.created,
        changed=document.changed,
        head=document.head,
        setup=document.setup,
    )
    return conversation, messages


def _checked(document: Document) -> list[Message]:
    """The messages, their text made safe, if they form a tree."""
    checked = []
    for number, message in enumerate(document.messages, 1):
        if message.id != number:
            raise _no_tree(f"message {number} is numbered {message.id}")
        if message.parent is not None and not 0 < message.parent < number:
            raise _no_tree(f"message {number} stands below {message.parent}")
        if message.speaker == "user" and (message.making is not None or message.state != "done"):
            raise _no_tree(f"message {number} is the user's and was made by a model")
        text = cleaning.text(message.text)
        origin = message.origin if message.origin is not None and 0 < message.origin < number else None
        kept = min(max(0, message.kept), len(text))
        checked.append(msgspec.structs.replace(message, text=text, origin=origin, kept=kept))
    if document.head is not None and not 0 < document.head <= len(checked):
        raise _no_tree(f"its head is {document.head}")
    return checked


def _no_tree(why: str) -> ImportRefused:
    return ImportRefused(f"The file's messages form no tree: {why}.", "Export the chat again.")
