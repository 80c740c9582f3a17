"""What the store hands out: conversations, messages, and how each reply was made."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import force_setattr

from trimtab.chat import cleaning
from trimtab.chat.desk import Desk, Part
from trimtab.engine.contract import EndReason, Receipt, Sampling

Speaker = Literal["user", "assistant"]
State = Literal["streaming", "done", "stopped", "error"]


class Setup(Part, frozen=True, kw_only=True):
    """What a conversation is held under: system prompt, sampling, and desk."""

    system: str = ""
    sampling: Sampling = Sampling()
    desk: Desk = Desk()

    def __post_init__(self) -> None:
        force_setattr(self, "system", cleaning.text(self.system))


class Mark(Part, frozen=True, kw_only=True):
    """A dial was changed within a reply."""

    offset: int
    """Characters of the message's text that had been said."""
    index: int
    """Tokens that had been spoken."""
    program: str
    desk: Desk
    deferred: tuple[str, ...] = ()
    """What in it waits for the next reply."""
    failed: str = ""
    """Why it could not be put in place, if it could not."""


class Timings(Part, frozen=True, kw_only=True):
    """Seconds as the user waited for them."""

    first_token: float | None = None
    seconds: float = 0.0
    tokens: int = 0


class Making(Part, frozen=True, kw_only=True):
    """How a reply was made."""

    setup: Setup = Setup()
    model: str = ""
    model_fingerprint: str = ""
    program: str = ""
    """The fingerprint of the program it began with."""
    seed: int | None = None
    """The one that was used; None until the engine has told."""
    ended: EndReason | None = None
    error: str = ""
    marks: tuple[Mark, ...] = ()
    timings: Timings = Timings()
    receipt: Receipt | None = None


class Message(Part, frozen=True, kw_only=True):
    """One message of the tree; once it is settled it never changes."""

    id: int
    parent: int | None
    speaker: Speaker
    text: str
    created: float
    state: State = "done"
    origin: int | None = None
    """The message that this one is an edit or a continuation of."""
    kept: int = 0
    """How many characters at its start were said before, in what it continues."""
    making: Making | None = None
    """None for what a person wrote, an edited reply included."""


class Conversation(Part, frozen=True, kw_only=True):
    """All of a conversation but its messages."""

    id: int
    title: str
    named: bool
    """Whether a person chose the title."""
    created: float
    changed: float
    head: int | None
    setup: Setup
    origin: int | None = None
    """The message that this conversation was branched off at, in another one."""
    deleted: float | None = None


class Summary(Part, frozen=True, kw_only=True):
    """A conversation as it stands in a list."""

    id: int
    title: str
    created: float
    changed: float
    messages: int


class Snippet(Part, frozen=True, kw_only=True):
    """A piece of text on one line, and where in it the words that were looked for stand."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()


class Hit(Part, frozen=True, kw_only=True):
    """A message that was found."""

    conversation: int
    title: str
    message: int
    speaker: Speaker
    created: float
    snippet: Snippet


class Found(Part, frozen=True, kw_only=True):
    """A conversation that was found, by its title or by what was said in it last."""

    summary: Summary
    hit: Hit | None
