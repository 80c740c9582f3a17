"""What a model is sent of a conversation: the system prompt and the path, in turns that templates take."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.chat import records
from trimtab.engine.contract import Message, Role


def prompt(system: str, path: Sequence[records.Message], going_on: str = "") -> tuple[Message, ...]:
    """The turns alternate: replies that never began are left out, and what is then said twice is joined."""
    turns: list[tuple[Role, str]] = []
    for message in path:
        if message.speaker == "assistant" and not message.text:
            continue
        if turns and turns[-1][0] == message.speaker:
            turns[-1] = (message.speaker, f"{turns[-1][1]}\n\n{message.text}")
        else:
            turns.append((message.speaker, message.text))
    if system.strip():
        turns.insert(0, ("system", system))
    if going_on:
        turns.append(("assistant", going_on))
    return tuple(Message(role=role, content=content) for role, content in turns)
