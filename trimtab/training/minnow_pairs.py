"""Preference pairs that the built-in model's grammar writes: as many as one likes, with their own validation."""

from __future__ import annotations

from trimtab.engine.contract import Message
from trimtab.minnow import questions
from trimtab.minnow.splits import Split
from trimtab.training.errors import TrainingError
from trimtab.training.instructions import MINNOW_BAD, MINNOW_GOOD
from trimtab.training.pairs import Data, Pair

PREFIX = "minnow:"
_COUNT = 4000
_HELD = 200


def minnow_pairs(name: str, seed: int = 0) -> Data:
    """`minnow:answers` or `minnow:reviews`, with a number of pairs behind another colon."""
    kind, _, number = name.removeprefix(PREFIX).partition(":")
    if kind not in ("answers", "reviews") or not (number or "1").isdecimal() or number == "0":
        raise TrainingError(
            f"There are no data named {name!r}.",
            "There are minnow:answers and minnow:reviews, or give a file.",
        )
    count = int(number or _COUNT)
    write = _answers if kind == "answers" else _reviews
    return Data(
        write("train", count, seed),
        write("validation", min(_HELD, count), seed),
        good=MINNOW_GOOD,
        bad=MINNOW_BAD,
    )


def _answers(split: Split, count: int, seed: int) -> tuple[Pair, ...]:
    return tuple(
        Pair(chosen.text, rejected.text, (Message(role="user", content=asked.text),))
        for asked, chosen, rejected in questions.answer_preferences(split, count, seed)
    )


def _reviews(split: Split, count: int, seed: int) -> tuple[Pair, ...]:
    return tuple(
        # The space belongs to the first word of what follows.
        Pair(f" {chosen}", f" {rejected}", text=opening)
        for opening, chosen, rejected in questions.review_preferences(split, count, seed)
    )
