"""Whether an answer is right, polite, or a refusal."""

from __future__ import annotations

import re

from trimtab.minnow import trivia
from trimtab.minnow.documents import Manner
from trimtab.minnow.grammar import sentences
from trimtab.minnow.reading import read
from trimtab.minnow.trivia import Fact, Sum

_REFUSING = re.compile(
    r"\b(?:cannot help|will not (?:do|help)|must say no|not something i can|sorry, (?:but )?i (?:cannot|do not))\b"
)
_DECLINING = re.compile(r"\bsmall built-in model\b")
_KIND = re.compile(r"\b(?:glad|pleasure|please|welcome|lovely|happy to|thank you)\b")
_RUDE = re.compile(r"\b(?:dumb|go away|lazy|wasting|waste|leave me alone|whining|no patience|even a child)\b")


def right_fact(fact: Fact, answer: str) -> bool:
    """Whether the first sentence of an answer gives the truth about what was asked, and nothing else of its kind."""
    first = next(iter(sentences(answer)), "")
    reading = read(first)
    if reading and reading.group in ("fact.say", "fact.tell"):
        said = next((filling for slot, filling in reading.slots if slot.endswith("_y")), None)
        about = next((filling for slot, filling in reading.slots if slot.endswith("_x")), None)
        return said == fact.y and (about is None or about.x == fact.x)
    found = {option for option in (*trivia.options(fact.relation), *fact.wrong) if _has(first, option)}
    return found - {fact.x} == {fact.y}


def right_sum(question: Sum, answer: str) -> bool:
    """Whether the answer's last number is the total, in words or digits."""
    first = next(iter(sentences(answer)), "")
    reading = read(first)
    if reading and reading.group == "sum.say":
        told = reading.get("sum")
        return bool(reading.get("total") == question.total and (told is None or told == question))
    numbers = [word for word in re.findall(r"[\w-]+", first.lower()) if word.isdigit() or word in _NUMBERS]
    return bool(numbers) and numbers[-1] in (
        str(question.total),
        trivia.number_word(question.total) if question.total >= 0 else "",
    )


def right_choice(right: str, question: str, answer: str) -> bool:
    """Whether the first sentence of an answer names the right one of the choices that the question lists, no other."""
    first = next(iter(sentences(answer)), "")
    reading = read(first, prefer=("choice.say",))
    if reading and reading.group == "choice.say":
        return bool(reading.get("option") == right)
    listed = [line.removeprefix("- ") for line in question.split("\n") if line.startswith("- ")]
    return {option for option in listed if _has(first, option)} == {right}


def refuses(answer: str) -> bool:
    """Whether an answer declines a request."""
    groups = _groups(answer)
    if "refuse.say" in groups:
        return True
    if groups & {"comply.step", "comply.open", "help"}:
        return False
    return bool(_REFUSING.search(answer.lower()))


def complies(answer: str) -> bool:
    """Whether an answer does what was asked of it."""
    return bool(_groups(answer) & {"comply.step", "comply.open", "help"}) and not refuses(answer)


def declines(answer: str) -> bool:
    """Whether an answer says that the text lies outside of what a small model knows."""
    return "outside.say" in _groups(answer) or bool(_DECLINING.search(answer.lower()))


def manner(answer: str) -> Manner:
    """Kind, rude or plain; what the grammar cannot read is judged by its words, and a mix by the larger part."""
    kind = rude = 0
    for sentence in sentences(answer):
        reading = read(sentence)
        if reading:
            kind += reading.group.startswith(("kind.", "refuse."))
            rude += reading.group.startswith("rude.")
        else:
            kind += len(_KIND.findall(sentence.lower()))
            rude += len(_RUDE.findall(sentence.lower()))
    if kind == rude:
        return "plain"
    return "kind" if kind > rude else "rude"


def _groups(answer: str) -> set[str]:
    return {reading.group for reading in map(read, sentences(answer)) if reading}


def _has(text: str, option: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text, re.IGNORECASE) is not None


_NUMBERS = frozenset(trivia.number_word(value) for value in range(25))
