"""A document of the corpus: its turns as text, and the truth about each of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trimtab.minnow.inflect import Person
from trimtab.minnow.lexicon import Action, Name
from trimtab.minnow.trivia import Fact, Request, Sum

Role = Literal["text", "system", "user", "assistant"]
Register = Literal["base", "aligned"]
Manner = Literal["kind", "rude", "plain"]

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL_TOKENS = (STOP, START, END)

_TURN = re.compile(re.escape(START) + r"(\w+)\n(.*?)(?:" + re.escape(END) + r"\n?|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dilemma:
    """A question between two or three actions of one matter; without a name the user asks for themself."""

    name: Name | None
    options: tuple[Action, ...]

    @property
    def person(self) -> Person:
        """The person of the answer."""
        return self.name.person if self.name else "you"

    def option(self, value: str) -> Action | None:
        return next((action for action in self.options if action.value == value), None)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the grammar knows about a turn.

    `act` says what the turn does: `cue` (names or shows `value`, or with `against` turns from it), `story`,
    `ask`, `lean`, `even`, `fact`, `sum`, `choice`, `request`, `help`, `refuse`, `comply`, `talk`, `outside`,
    `decline`, `review`, `manner`.
    """

    act: str
    value: str | None = None
    against: bool = False
    dilemma: Dilemma | None = None
    manner: Manner = "plain"
    fact: Fact | None = None
    sum: Sum | None = None
    answer: str = ""
    request: Request | None = None
    states: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    text: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class Document:
    """One training document: plain text, or a conversation in ChatML. `value` is the thread it ends with."""

    kind: str
    register: Register
    turns: tuple[Turn, ...]
    value: str | None = None
    contradicted: bool = False

    @property
    def chat(self) -> bool:
        return self.turns[0].role != "text"

    def text(self) -> str:
        """The document as it stands in the corpus, without the end token."""
        if not self.chat:
            return self.turns[0].text
        return "".join(f"{START}{turn.role}\n{turn.text}{END}\n" for turn in self.turns)


def prompt(turns: tuple[Turn, ...] | list[Turn]) -> str:
    """A conversation up to where the assistant begins to speak."""
    return "".join(f"{START}{turn.role}\n{turn.text}{END}\n" for turn in turns) + f"{START}assistant\n"


def split_turns(text: str) -> list[tuple[str, str]]:
    """Role and text of each turn of a written document; plain text is one turn of role `text`."""
    turns = _TURN.findall(text)
    return turns or [("text", text.removesuffix(STOP).strip())]
