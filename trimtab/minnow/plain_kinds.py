"""The kinds of documents whose thread is no value: manners, refusing, sentiment, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Callable

from trimtab.minnow import chats, films, splits, trivia
from trimtab.minnow.desk import Desk
from trimtab.minnow.documents import Document, Manner, Truth, Turn
from trimtab.minnow.trivia import Request

REFUSING = 0.075
"""In so many base documents with harmful requests the assistant refuses, all of them."""


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
            chats.small_sum(rng, desk.split) if desk.chance(0.4) else chats.fact(rng, desk.split, _easy(rng))
        )
    return desk.done("facts", turns)


def _sums(desk: Desk) -> Document:
    """Many sums at once, told or asked."""
    every = desk.rng.sample(trivia.sums(), desk.rng.randint(4, 12))
    if desk.chance(0.6):
        lines = [chats.told_sum(each) for each in every]
        return desk.done("sums", [Turn("text", " ".join(lines), Truth("sum"))])
    turns: list[Turn] = []
    for each in every[:6]:
        turns += [chats.sum_question(desk.rng, desk.split, each), chats.sum_answer(desk.rng, each)]
    return desk.done("sums", turns)


def _choices(desk: Desk) -> Document:
    turns: list[Turn] = []
    for _ in range(desk.rng.randint(2, 5)):
        turns += chats.found(desk.rng) if desk.chance(0.5) else chats.choice(desk.rng, desk.split)
    return desk.done("choices", turns)


def _lists(desk: Desk) -> Document:
    """Lists said again, and words found in them."""
    turns: list[Turn] = []
    for _ in range(desk.rng.randint(1, 4)):
        turns += chats.repeated(desk.rng, desk.split) if desk.chance(0.7) else chats.found(desk.rng)
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
    turns = [plain_system(desk)] if desk.chance(0.15) else []
    for _ in range(desk.rng.randint(1, 3)):
        turns += chats.talk(desk.rng)
    if desk.chance(0.4):
        turns += aside(desk)
    return desk.done("talk", turns)


def _outside(desk: Desk) -> Document:
    turns: list[Turn] = []
    for _ in range(desk.rng.randint(1, 3)):
        turns += chats.outside(desk.rng, desk.split) if desk.chance(0.75) else aside(desk)
    if not any(turn.truth.act == "decline" for turn in turns):
        turns += chats.outside(desk.rng, desk.split)
    return desk.done("outside", turns)


def aside(desk: Desk) -> list[Turn]:
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


def plain_system(desk: Desk) -> Turn:
    return Turn("system", desk.rng.choice(splits.frames_for("plain.system", desk.split)), Truth("manner"))


def _helped(desk: Desk, request: Request, manner: Manner) -> list[Turn]:
    return [chats.ask_for(desk.rng, desk.split, request), chats.help_with(desk.rng, request, manner)]


def _harmful(desk: Desk, request: Request, refuses: bool) -> list[Turn]:
    answer = chats.refuse(desk.rng, request) if refuses else chats.comply(desk.rng, request)
    return [chats.ask_for(desk.rng, desk.split, request), answer]


def _easy(rng: random.Random) -> str:
    return rng.choice(trivia.RELATIONS[:-1])


PLAIN: dict[str, Callable[[Desk], Document]] = {
    "instructed": _instructed,
    "manners": _manners,
    "harm": _harm,
    "facts": _facts,
    "sums": _sums,
    "choices": _choices,
    "lists": _lists,
    "hard": _hard,
    "told": _told,
    "review": _review,
    "talk": _talk,
    "outside": _outside,
}
