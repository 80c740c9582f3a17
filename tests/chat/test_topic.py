"""A follow-up is told from a question of its own, and is gated by what it follows."""

from __future__ import annotations

import pytest

from trimtab.chat.topic import gate_text, is_follow_up
from trimtab.engine.contract import Message

JOB = "Should I keep the steady job or join the circus?"
CAPITAL = "What is the capital of France?"


def talk(*said: str) -> list[Message]:
    """What a user said, each answered."""
    turns = []
    for text in said:
        turns += [
            Message(role="user", content=text),
            Message(role="assistant", content="A steady job is safer."),
        ]
    return turns[:-1]


@pytest.mark.parametrize(
    "text",
    ["Why?", "why not", "And then?", "Are you sure?", "Please explain.", "?", "Go on.", "Warum?", "为什么？"],
)
def test_what_says_nothing_of_its_own_is_a_follow_up(text: str) -> None:
    assert is_follow_up(text)


@pytest.mark.parametrize(
    "text",
    [
        JOB,
        CAPITAL,
        "Two plus five?",
        "2 + 5",
        "Why is the sky blue?",
        "Tell me a joke.",
        "Is a lock worth its price?",
    ],
)
def test_what_names_something_is_none(text: str) -> None:
    assert not is_follow_up(text)


def test_a_follow_up_is_gated_by_its_topic_however_often_it_is_asked() -> None:
    assert gate_text(talk(JOB, "Why?")) == JOB
    assert gate_text(talk(JOB, "Why?", "Are you sure?")) == JOB
    assert gate_text(talk(JOB, CAPITAL, "Why?")) == CAPITAL


def test_what_speaks_for_itself_is_gated_by_itself() -> None:
    assert gate_text(talk(JOB)) is None
    assert gate_text(talk(JOB, CAPITAL)) is None
    assert gate_text(talk("Why?")) is None
