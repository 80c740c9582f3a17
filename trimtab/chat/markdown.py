"""A conversation as Markdown: the path that is being looked at, with how each reply was steered."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from trimtab.chat.desk import summary
from trimtab.chat.records import Making, Message
from trimtab.chat.tree import Tree

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_STATES = {"stopped": "stopped", "error": "ended by an error", "streaming": "not finished"}


def to_markdown(tree: Tree, zone: tzinfo | None = None) -> str:
    """For people; the JSON file is for reading back."""
    about = tree.conversation
    begun = datetime.fromtimestamp(about.created, zone).astimezone(zone)
    parts = [f"# {_plain(about.title)}", f"{begun:%Y-%m-%d %H:%M}"]
    if about.setup.system.strip():
        parts.append("\n".join(f"> {line}".rstrip() for line in about.setup.system.strip().splitlines()))
    for message in tree.path():
        parts += [f"## {_name(message)}", closed(message.text.strip())]
        if said := _made(message):
            parts.append(f"*{_plain(said)}*")
    return "\n\n".join(part for part in parts if part) + "\n"


def closed(text: str) -> str:
    """The text with a code block that was left open closed, so that it does not swallow what follows."""
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found is None:
            continue
        mark, rest = found.groups()
        if not fence:
            fence = "" if mark[0] == "`" and "`" in rest else mark
        elif mark[0] == fence[0] and len(mark) >= len(fence) and not rest.strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text


def _name(message: Message) -> str:
    if message.speaker == "user":
        return "You"
    return _plain(message.making.model) if message.making and message.making.model else "Assistant"


def _made(message: Message) -> str:
    """How a reply came about, on one line."""
    making = message.making
    if making is None:
        return "edited" if message.origin is not None and message.speaker == "assistant" else ""
    parts = [summary(making.setup.desk) or "unsteered"]
    parts += [f"from token {mark.index}: {summary(mark.desk) or 'unsteered'}" for mark in making.marks]
    parts += _measured(making)
    if message.state in _STATES:
        parts.append(_STATES[message.state])
    if making.error:
        parts.append(making.error)
    return " · ".join(parts)


def _measured(making: Making) -> list[str]:
    parts = []
    if making.receipt is not None:
        for gate in making.receipt.gates:
            state = "open" if gate.open else "closed"
            parts.append(f"{gate.label} gate {state} {gate.score:.2f} of {gate.threshold:.2f}".strip())
        parts.append(f"{making.receipt.steered_tokens} of {making.receipt.reply_tokens} tokens steered")
    if making.seed is not None:
        parts.append(f"seed {making.seed}")
    return parts


def _plain(text: str) -> str:
    """Text that no Markdown reader takes for markup."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join(text.split()))
