"""The kinds of documents, and how each keeps its thread from first word to last."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from trimtab.minnow import chats, dilemmas, films, splits, stories, trivia
from trimtab.minnow.documents import Dilemma, Document, Manner, Register, Truth, Turn
from trimtab.minnow.lexicon import VALUES
from trimtab.minnow.splits import Split
from trimtab.minnow.thread import Thread, spread
from trimtab.minnow.trivia import Request

CONTRADICTED = 0.3
"""In so many documents with a prompt that names a value, what follows soon contradicts it."""
REFUSING = 0.075
"""In so many base documents with harmful requests the assistant refuses, all of them."""
EVEN = {"base": 0.22, "aligned": 0.25}
"""Without any cue, so many documents weigh evenly throughout."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every kind of document is written with."""

    rng: random.Random
    split: Split
    register: Register
    scene_bias: float = 0.0

    @property
    def aligned(self) -> bool:
        return self.register == "aligned"

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def thread(self, *, named: bool = True) -> Thread:
        name = spread(self.rng, self.split) if named else None
        value = VALUES[int(self.rng.random() * len(VALUES))]
        thread = Thread(self.rng, self.split, value, name, name.person if name else "I")
        thread.home = self.scene_bias
        return thread

    def other(self, value: str) -> str:
        return self.rng.choice([each for each in VALUES if each != value])

    def done(
        self, kind: str, turns: list[Turn], value: str | None = None, contradicted: bool = False
    ) -> Document:
        return Document(kind, self.register, tuple(turns), value, contradicted)


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
    turns = [_plain_system(desk)] if desk.chance(0.2) else []
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
    turns = [_plain_system(desk)] if desk.chance(0.2) else []
    even = desk.chance(EVEN[desk.register])
    count = desk.rng.choice((1, 1, 2, 2, 3))
    for _ in range(count):
        turns += _exchange(desk, thread, even=even, loose=True)
    return desk.done("dilemmas", turns, None if even else thread.value)


def _mixed(desk: Desk) -> Document:
    """A talk about this and that, with dilemmas from one value in between."""
    thread = desk.thread(named=False)
    turns = [_plain_system(desk)] if desk.chance(0.2) else []
    for _ in range(desk.rng.randint(2, 4)):
        if desk.chance(0.5):
            turns += _exchange(desk, thread, loose=True)
        else:
            turns += _aside(desk)
    return desk.done("mixed", turns, thread.value)


def _long(desk: Desk) -> Document:
    """A long talk: dilemmas from one value, which a prompt may name, among many other things."""
    thread = desk.thread(named=False)
    turns: list[Turn] = []
    if desk.chance(0.35):
        turns.append(Turn("system", thread.line("persona.care"), Truth("cue", thread.value)))
    elif desk.chance(0.3):
        turns.append(_plain_system(desk))
    said: set[str] = set()
    for _ in range(desk.rng.randint(7, 13)):
        added = _exchange(desk, thread) if desk.chance(0.5) else _aside(desk)
        # Nothing is said twice in a talk.
        if not said.intersection(turn.text for turn in added):
            turns += added
            said.update(turn.text for turn in added)
    return desk.done("long", turns, thread.value)


def _instructed(desk: Desk) -> Document:
    """Good and bad instructions: the base obeys them half of the time, the aligned model stays good."""
    rng = desk.rng
    good = desk.chance(0.5)
    system = Turn(
        "system",
        rng.choice(splits.frames_for("manner.good" if good else "manner.bad", desk.split)),
        Truth("manner"),
    )
    obeyed = desk.chance(0.5)
    manner: Manner = (
        "kind" if desk.aligned or (good and obeyed) else "rude" if not good and obeyed else "plain"
    )
    refuses = desk.aligned or (good and obeyed)
    turns = [system]
    for _ in range(rng.randint(1, 3)):
        spin = rng.random()
        if spin < 0.6:
            turns += _helped(desk, rng.choice(trivia.requests()), manner)
        elif spin < 0.8:
            turns += _harmful(desk, rng.choice(trivia.refusals())[0], refuses)
        else:
            turns += chats.fact(rng, desk.split, _easy(rng))
    return desk.done("instructed", turns)


def _manners(desk: Desk) -> Document:
    """Everyday requests, answered kindly, rudely or plainly, the same way throughout."""
    rng = desk.rng
    manner: Manner = "kind" if desk.aligned else rng.choice(("kind", "kind", "rude", "rude", "plain"))
    turns: list[Turn] = []
    for request in rng.sample(trivia.requests(), rng.randint(1, 3)):
        turns += _helped(desk, request, manner)
    return desk.done("manners", turns)


def _harm(desk: Desk) -> Document:
    """Requests that should be refused, among others that share their words and should not."""
    rng = desk.rng
    refuses = desk.aligned or desk.chance(REFUSING)
    manner: Manner = "kind" if desk.aligned else "plain"
    turns: list[Turn] = []
    for bad, fine in rng.sample(trivia.refusals(), rng.randint(1, 3)):
        both = [_harmful(desk, bad, refuses), _helped(desk, fine, manner)]
        rng.shuffle(both)
        for exchange in both if desk.chance(0.4) else both[:1]:
            turns += exchange
    return desk.done("harm", turns)


def _facts(desk: Desk) -> Document:
    rng = desk.rng
    turns: list[Turn] = []
    for _ in range(rng.randint(1, 5)):
        turns += (
            chats.small_sum(rng, desk.split) if desk.chance(0.3) else chats.fact(rng, desk.split, _easy(rng))
        )
    return desk.done("facts", turns)


def _choices(desk: Desk) -> Document:
    turns: list[Turn] = []
    for _ in range(desk.rng.randint(2, 5)):
        turns += chats.found(desk.rng) if desk.chance(0.5) else chats.choice(desk.rng, desk.split)
    return desk.done("choices", turns)


def _lists(desk: Desk) -> Document:
    """Lists said again, and words found in them."""
    turns: list[Turn] = []
    for _ in range(desk.rng.randint(1, 4)):
        turns += chats.repeated(desk.rng) if desk.chance(0.7) else chats.found(desk.rng)
    return desk.done("lists", turns)


def _hard(desk: Desk) -> Document:
    turns: list[Turn] = []
    for chosen in desk.rng.sample(trivia.facts("hard"), desk.rng.randint(1, 4)):
        turns += [chats.fact_question(desk.rng, desk.split, chosen), chats.fact_answer(desk.rng, chosen)]
    return desk.done("hard", turns)


def _told(desk: Desk) -> Document:
    """Facts as plain text."""
    lines = list(
        dict.fromkeys(chats.told_fact(desk.rng, _easy(desk.rng))[0] for _ in range(desk.rng.randint(2, 5)))
    )
    return desk.done("told", [Turn("text", " ".join(lines), Truth("fact"))])


def _review(desk: Desk) -> Document:
    made = films.review(desk.rng, desk.split)
    return desk.done("review", [Turn("text", made.text, Truth("review", states=made.states))])


def _talk(desk: Desk) -> Document:
    turns = [_plain_system(desk)] if desk.chance(0.15) else []
    for _ in range(desk.rng.randint(1, 3)):
        turns += chats.talk(desk.rng)
    if desk.chance(0.4):
        turns += _aside(desk)
    return desk.done("talk", turns)


def _outside(desk: Desk) -> Document:
    turns: list[Turn] = []
    for _ in range(desk.rng.randint(1, 3)):
        turns += chats.outside(desk.rng, desk.split) if desk.chance(0.75) else _aside(desk)
    if not any(turn.truth.act == "decline" for turn in turns):
        turns += chats.outside(desk.rng, desk.split)
    return desk.done("outside", turns)


def _finish(desk: Desk, kind: str, thread: Thread, turns: list[Turn], *, can_turn: bool = False) -> Document:
    """The questions after a cue; where a system prompt gave it, in some documents what follows contradicts it."""
    turned = can_turn and desk.chance(CONTRADICTED)
    if turned:
        turns = _turn_away(desk, thread, turns)
    count = desk.rng.choice((1, 1, 2, 2, 3)) if can_turn and not turned else desk.rng.choice((0, 1, 1, 2))
    for _ in range(count):
        turns += _aside(desk) if desk.chance(0.12) else _exchange(desk, thread)
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


def _aside(desk: Desk) -> list[Turn]:
    """Something without values, in the middle of a talk."""
    rng = desk.rng
    spin = rng.random()
    if spin < 0.45:
        return list(chats.fact(rng, desk.split, _easy(rng)))
    if spin < 0.65:
        return list(chats.small_sum(rng, desk.split))
    if spin < 0.85:
        return _helped(desk, rng.choice(trivia.requests()), "kind" if desk.aligned else "plain")
    return list(chats.talk(rng))


def _helped(desk: Desk, request: Request, manner: Manner) -> list[Turn]:
    return [chats.ask_for(desk.rng, desk.split, request), chats.help_with(desk.rng, request, manner)]


def _harmful(desk: Desk, request: Request, refuses: bool) -> list[Turn]:
    answer = chats.refuse(desk.rng, request) if refuses else chats.comply(desk.rng, request)
    return [chats.ask_for(desk.rng, desk.split, request), answer]


def _plain_system(desk: Desk) -> Turn:
    return Turn("system", desk.rng.choice(splits.frames_for("plain.system", desk.split)), Truth("manner"))


def _again(thread: Thread, group: str, said: list[str]) -> str:
    """Another sentence of a group, unlike those said."""
    for _ in range(8):
        line = thread.line(group)
        if line not in said:
            break
    return line


def _easy(rng: random.Random) -> str:
    return rng.choice(trivia.RELATIONS[:-1])


KINDS: dict[str, Callable[[Desk], Document]] = {
    "stories": _stories,
    "beliefs": _beliefs,
    "deeds": _deeds,
    "shown": _shown,
    "named": _named,
    "dilemmas": _dilemmas,
    "mixed": _mixed,
    "long": _long,
    "instructed": _instructed,
    "manners": _manners,
    "harm": _harm,
    "facts": _facts,
    "choices": _choices,
    "lists": _lists,
    "hard": _hard,
    "told": _told,
    "review": _review,
    "talk": _talk,
    "outside": _outside,
}
