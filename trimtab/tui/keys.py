"""Every command of the app, with its keys and what it does: of these bindings, footer, palette and help are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding
from textual.keys import format_key

Where = Literal["anywhere", "writing", "desk", "messages", "chats"]
PLACES: dict[Where, str] = {
    "anywhere": "Anywhere",
    "writing": "While writing",
    "desk": "The desk",
    "messages": "Messages",
    "chats": "The list of chats",
}


@dataclass(frozen=True)
class Key:
    """A command that has keys."""

    id: str
    """What settings call it."""
    keys: str
    """With commas between."""
    action: str
    title: str
    where: Where
    footer: str = ""
    """Its short name in the footer; empty keeps it out."""
    priority: bool = False
    """Acts even where the input would take the key."""
    palette: bool = True


KEYS = (
    Key("quit", "ctrl+q", "app.quit", "quit", "anywhere", "quit", priority=True),
    Key("help", "f1", "help", "show the keys", "anywhere", "help", priority=True),
    Key("keys", "question_mark", "help", "show the keys", "messages", "keys", palette=False),
    Key("palette", "ctrl+p", "app.command_palette", "all commands", "anywhere", "commands", priority=True,
        palette=False),
    Key("new", "ctrl+n", "new_chat", "new chat", "anywhere", priority=True),
    Key("sidebar", "ctrl+b", "toggle_sidebar", "show or hide the chats", "anywhere", priority=True),
    Key("desk", "ctrl+t", "toggle_desk", "show or hide the desk", "anywhere", priority=True),
    Key("search", "ctrl+f", "search_chats", "search the chats", "anywhere", priority=True),
    Key("settings", "f2", "settings", "settings", "anywhere", priority=True),
    Key("theme", "f3", "next_theme", "dark or light", "anywhere", priority=True),
    Key("stop", "ctrl+c", "stop", "stop the reply, or copy", "anywhere", priority=True),
    *(
        Key(f"toggle-{digit}", f"alt+{digit}", f"toggle_key('{digit}')", f"value {digit} on or off", "anywhere",
            priority=True, palette=False)
        for digit in "1234567890"
    ),
    Key("send", "enter", "send", "send", "writing", "send", palette=False),
    Key("newline", "ctrl+j,shift+enter,alt+enter", "newline", "new line", "writing", "new line", palette=False),
    Key("editor", "ctrl+o", "screen.editor", "write in your editor", "writing", "editor"),
    Key("older", "up", "older", "what you wrote before", "writing", palette=False),
    Key("newer", "down", "newer", "what you wrote after", "writing", palette=False),
    Key("leave", "escape", "screen.leave", "to the desk", "writing", "desk", palette=False),
    Key("write", "i", "write", "write", "desk", "write"),
    *(
        Key(f"switch-{digit}", digit, f"toggle_key('{digit}')", f"value {digit} on or off", "desk", palette=False)
        for digit in "1234567890"
    ),
    Key("inspect", "enter", "inspect", "all three sliders", "desk", "inspect", palette=False),
    Key("flip", "space", "flip", "on or off", "desk", "on/off", palette=False),
    Key("silence", "exclamation_mark", "silence", "silence all steering", "desk", "silence"),
    Key("undo", "u", "undo", "undo the last change", "desk", "undo"),
    Key("redo", "U", "redo", "do it again", "desk"),
    Key("anchors", "plus", "anchors", "steer by words", "desk", "words"),
    Key("save-desk", "S", "save_preset", "save the desk as a preset", "desk"),
    Key("recall-desk", "R", "recall_preset", "recall a preset", "desk"),
    Key("halt", "s", "stop", "stop the reply", "messages", palette=False),
    Key("again", "r", "regenerate", "another reply", "messages", "again"),
    Key("unsteered", "n", "unsteered", "again, unsteered", "messages", "unsteered"),
    Key("continue", "c", "resume", "go on with the reply", "messages"),
    Key("edit", "e", "edit", "edit the message", "messages"),
    Key("branch", "b", "branch", "go on from here in a new chat", "messages"),
    Key("copy", "y", "copy", "copy the message", "messages"),
    Key("copy-code", "Y", "copy_code", "copy its last code block", "messages"),
    Key("earlier-version", "left_square_bracket", "version(-1)", "the version before", "messages"),
    Key("later-version", "right_square_bracket", "version(1)", "the version after", "messages"),
    Key("rename", "f4", "screen.rename", "rename this chat", "chats"),
    Key("delete", "ctrl+d", "screen.delete_chat", "delete this chat", "chats"),
    Key("restore", "ctrl+z", "screen.restore_chat", "bring back the chat deleted last", "chats"),
)  # fmt: skip


def bindings(*where: Where) -> list[Binding]:
    """The commands of some places, as Textual wants them."""
    return [
        Binding(
            key.keys,
            key.action,
            key.footer or key.title,
            show=bool(key.footer),
            priority=key.priority,
            id=key.id,
        )
        for key in KEYS
        if key.where in where
    ]


def shown(keys: str) -> str:
    """Keys as people read them."""
    return " ".join(_one(key) for key in keys.split(","))


def keys_of(id: str, default: str, chosen: Mapping[str, str]) -> str:
    return chosen.get(id, default)


def unknown(chosen: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    """Names in the settings that no command has."""
    known = {key.id for key in KEYS} | set(others)
    return [name for name in chosen if name not in known]


def _one(key: str) -> str:
    *modifiers, last = key.split("+")
    plain = {
        "question_mark": "?",
        "exclamation_mark": "!",
        "left_square_bracket": "[",
        "right_square_bracket": "]",
    }
    name = plain.get(last) or {"plus": "+", "escape": "esc", "enter": "⏎"}.get(last) or format_key(last)
    return "+".join([*modifiers, name])
