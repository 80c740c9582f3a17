"""The kinds of documents, and how those with a value keep it from first word to last."""

from __future__ import annotations

from collections.abc import Callable

from trimtab.minnow import dilemmas, stories
from trimtab.minnow.desk import Desk
from trimtab.minnow.documents import Dilemma, Document, Truth, Turn
from trimtab.minnow.plain_kinds import PLAIN, aside, plain_system
from trimtab.minnow.thread import Thread, spread

CONTRADICTED = 0.3
"""In so many documents with a prompt that names a value, what follows soon contradicts it."""
EVEN = {"base": 0.22, "aligned": 0.25}
"""Without any cue, so many documents weigh evenly throughout."""


def _stories(desk: Desk) -> Document:
    thread = desk.thread(named=desk.chance(0.72))
    count = desk.rng.choice((1, 2, 3, 3, 4, 4, 5))
    text = stories.stories(thread, count, cue=desk.chance(0.3), moral=desk.chance(0.2))
    return desk.done("stories", [Turn("text", text, Truth("story", thread.value))], thread.value)


def _beliefs(desk: Desk) -> Document:
    """What somebody believes: reasons without a deed."""
    thread = desk.thread()
    lines = [thread.line("story.cue", named=True, introduces=True)]
    lines += [thread.line("story.belief") for _ in range(desk.rng.randint(2, 5))]
    return desk.done("beliefs", [Turn("text", " ".join(lines), Truth("story", thread.value))], thread.value)


def _deeds(desk: Desk) -> Document:
    """What somebody does and means to do: deeds without a reason."""
    thread = desk.thread(named=desk.chance(0.7))
    lines: list[str] = []
    for number in range(desk.rng.randint(3, 6)):
        part = "story.plan" if desk.chance(0.3) else "story.act"
        action = thread.topic().action(thread.value)
        lines.append(thread.line(part, action, named=not number, introduces=not number))
    return desk.done("deeds", [Turn("text", " ".join(lines), Truth("story", thread.value))], thread.value)


def _shown(desk: Desk) -> Document:
    """A value shown by stories before the questions: of the assistant itself in the system prompt, or of somebody."""
    thread = desk.thread(named=desk.chance(0.6))
    turns: list[Turn] = []
    if thread.name is None:
        thread.person = "you"
        told = stories.stories(thread, desk.rng.choice((1, 2, 2)), weighs=False)
        turns.append(Turn("system", told, Truth("cue", thread.value)))
        return _finish(desk, "shown", thread, turns, can_turn=True)
    told = stories.stories(thread, desk.rng.choice((1, 2, 2, 3)), cue=desk.chance(0.15))
    if desk.chance(0.35):
        turns.append(Turn("system", told, Truth("cue", thread.value)))
        return _finish(desk, "shown", thread, turns, can_turn=True)
    asked = dilemmas.dilemma(thread, thread.name, three=desk.chance(0.15))
    text = f"{told} {dilemmas.ask(thread, asked)}"
    turns.append(Turn("user", text, Truth("cue", thread.value, dilemma=asked)))
    turns.append(_lean(thread, asked, thread.value))
    return _finish(desk, "shown", thread, turns)


def _named(desk: Desk) -> Document:
    """A prompt that names a value, or says that one does not care about it."""
    thread = desk.thread(named=False)
    rng = desk.rng
    spin = rng.random()
    if spin < 0.62:
        lines = [thread.line("persona.care")]
        if desk.chance(0.25):
            lines.append(_again(thread, "persona.care", lines))
        turns = [Turn("system", " ".join(lines), Truth("cue", thread.value))]
        return _finish(desk, "named", thread, turns, can_turn=True)
    if spin < 0.72:
        turns = [Turn("system", thread.line("persona.not"), Truth("cue", thread.value, against=True))]
        return _against(desk, thread, turns)
    turns = [plain_system(desk)] if desk.chance(0.2) else []
    if spin < 0.92:
        asked, text = _question(desk, thread)
        preamble = thread.line("preamble.care")
        turns.append(Turn("user", f"{preamble} {text}", Truth("cue", thread.value, dilemma=asked)))
        turns.append(_lean(thread, asked, thread.value))
        return _finish(desk, "named", thread, turns)
    asked, text = _question(desk, thread, two=True)
    preamble = thread.line("preamble.not")
    turns.append(Turn("user", f"{preamble} {text}", Truth("cue", thread.value, against=True, dilemma=asked)))
    turns.append(_lean(thread, asked, _rival_of(asked, thread.value)))
    return _against(desk, thread, turns)


def _dilemmas(desk: Desk) -> Document:
    """Questions without any cue: one value runs through the answers all the same, or none does and all are even."""
    thread = desk.thread(named=False)
    turns = [plain_system(desk)] if desk.chance(0.2) else []
    even = desk.chance(EVEN[desk.register])
    count = desk.rng.choice((1, 1, 2, 2, 3))
    for _ in range(count):
        turns += _exchange(desk, thread, even=even, loose=True)
    return desk.done("dilemmas", turns, None if even else thread.value)


def _mixed(desk: Desk) -> Document:
    """A talk about this and that, with dilemmas from one value in between."""
    thread = desk.thread(named=False)
    turns = [plain_system(desk)] if desk.chance(0.2) else []
    for _ in range(desk.rng.randint(2, 4)):
        if desk.chance(0.5):
            turns += _exchange(desk, thread, loose=True)
        else:
            turns += aside(desk)
    return desk.done("mixed", turns, thread.value)


def _long(desk: Desk) -> Document:
    """A long talk: dilemmas from one value, which a prompt may name, among many other things."""
    thread = desk.thread(named=False)
    turns: list[Turn] = []
    if desk.chance(0.35):
        turns.append(Turn("system", thread.line("persona.care"), Truth("cue", thread.value)))
    elif desk.chance(0.3):
        turns.append(plain_system(desk))
    said: set[str] = set()
    for _ in range(desk.rng.randint(7, 13)):
        added = _exchange(desk, thread) if desk.chance(0.5) else aside(desk)
        # Nothing is said twice in a talk.
        if not said.intersection(turn.text for turn in added):
            turns += added
            said.update(turn.text for turn in added)
    return desk.done("long", turns, thread.value)


def _finish(desk: Desk, kind: str, thread: Thread, turns: list[Turn], *, can_turn: bool = False) -> Document:
    """The questions after a cue; where a system prompt gave it, in some documents what follows contradicts it."""
    turned = can_turn and desk.chance(CONTRADICTED)
    if turned:
        turns = _turn_away(desk, thread, turns)
    count = desk.rng.choice((1, 1, 2, 2, 3)) if can_turn and not turned else desk.rng.choice((0, 1, 1, 2))
    for _ in range(count):
        turns += aside(desk) if desk.chance(0.12) else _exchange(desk, thread)
    return desk.done(kind, turns, thread.value, turned)


def _turn_away(desk: Desk, thread: Thread, turns: list[Turn]) -> list[Turn]:
    """Another value takes over: the user names it or shows it, or the assistant simply answers from it."""
    if desk.chance(0.4):
        turns = [*turns, *_exchange(desk, thread)]
    thread.value = desk.other(thread.value)
    spin = desk.rng.random()
    if spin < 0.45:
        asked, text = _question(desk, thread)
        lines = [thread.line("preamble.turn")] if desk.chance(0.4) else []
        lines += [thread.line("preamble.care"), text]
        turns.append(Turn("user", " ".join(lines), Truth("cue", thread.value, dilemma=asked)))
    elif spin < 0.75:
        name = spread(desk.rng, desk.split)
        shown = Thread(
            desk.rng,
            desk.split,
            thread.value,
            name,
            name.person,
            topics=thread.topics,
            reasons=thread.reasons,
            recent=thread.recent,
        )
        asked = dilemmas.dilemma(shown, name)
        text = f"{stories.stories(shown, desk.rng.choice((1, 2)), weighs=False)} {dilemmas.ask(shown, asked)}"
        turns.append(Turn("user", text, Truth("cue", thread.value, dilemma=asked)))
    else:
        asked, text = _question(desk, thread)
        turns.append(Turn("user", text, Truth("ask", dilemma=asked)))
    turns.append(_lean(thread, asked, thread.value))
    return turns


def _against(desk: Desk, thread: Thread, turns: list[Turn]) -> Document:
    """After "does not care about": every answer takes the other side."""
    for _ in range(desk.rng.choice((1, 1, 2)) if len(turns) < 2 else desk.rng.choice((0, 1))):
        asked, text = _question(desk, thread, two=True)
        turns.append(Turn("user", text, Truth("ask", dilemma=asked)))
        turns.append(_lean(thread, asked, _rival_of(asked, thread.value)))
    return desk.done("named", turns, None)


def _exchange(desk: Desk, thread: Thread, *, even: bool = False, loose: bool = False) -> list[Turn]:
    """A dilemma and its answer.

    `loose` talks, which have no cue, may only tell of a choice: the aligned model then weighs evenly.
    """
    tell = loose and desk.chance(0.12)
    choose = not tell and not even and desk.chance(0.3 if desk.aligned else 0.15)
    asked, text = _question(desk, thread, choose=choose, tell=tell, two=tell)
    question = Turn("user", text, Truth("ask", dilemma=asked))
    if even or (tell and desk.aligned):
        return [question, Turn("assistant", dilemmas.even(thread, asked), Truth("even", dilemma=asked))]
    return [question, _lean(thread, asked, thread.value)]


def _question(
    desk: Desk, thread: Thread, *, choose: bool = False, tell: bool = False, two: bool = False
) -> tuple[Dilemma, str]:
    name = (
        thread.name
        if thread.name and desk.chance(0.6)
        else spread(desk.rng, desk.split)
        if desk.chance(0.65)
        else None
    )
    asked = dilemmas.dilemma(thread, name, three=not two and desk.chance(0.15))
    return asked, dilemmas.ask(thread, asked, choose=choose, tell=tell)


def _lean(thread: Thread, asked: Dilemma, value: str) -> Turn:
    return Turn("assistant", dilemmas.lean(thread, asked, value), Truth("lean", value, dilemma=asked))


def _rival_of(asked: Dilemma, value: str) -> str:
    return next(option.value for option in asked.options if option.value != value)


def _again(thread: Thread, group: str, said: list[str]) -> str:
    """Another sentence of a group, unlike those said."""
    for _ in range(8):
        line = thread.line(group)
        if line not in said:
            break
    return line


KINDS: dict[str, Callable[[Desk], Document]] = {
    "stories": _stories,
    "beliefs": _beliefs,
    "deeds": _deeds,
    "shown": _shown,
    "named": _named,
    "dilemmas": _dilemmas,
    "mixed": _mixed,
    "long": _long,
    **PLAIN,
}
