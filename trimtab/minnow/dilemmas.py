"""Dilemmas between values, and answers that lean to one of them or weigh them evenly."""

from __future__ import annotations

from trimtab.minnow import splits
from trimtab.minnow.documents import Dilemma
from trimtab.minnow.lexicon import Action, Name
from trimtab.minnow.thread import Thread


def dilemma(thread: Thread, name: Name | None, *, three: bool = False, of_value: bool = True) -> Dilemma:
    """A dilemma in which the thread's value takes part (or, with `of_value` off, any two)."""
    asking = Thread(thread.rng, thread.split, thread.value, name, topics=thread.topics)
    topic = asking.topic(weighed=of_value)
    options: tuple[Action, ...] | None = None
    if three:
        found = [
            each for each in splits.triples(topic, thread.split) if not of_value or _has(each, thread.value)
        ]
        options = thread.choice(found) if found else None
    if options is None:
        pairs = (
            splits.pairings_with(topic, thread.value, thread.split)
            if of_value
            else splits.pairings(topic, thread.split)
        )
        options = thread.choice(pairs)
    shuffled = list(options)
    thread.rng.shuffle(shuffled)
    return Dilemma(name, tuple(shuffled))


def ask(thread: Thread, question: Dilemma, *, choose: bool = False, tell: bool = False) -> str:
    """The question in words; `choose` asks to take a side, `tell` only tells of the choice."""
    three = len(question.options) == 3
    group = "ask.three" if three else "tell.two" if tell else "ask.two"
    person = question.name.person if question.name else "I"
    speaker = Thread(thread.rng, thread.split, thread.value, question.name, person, recent=thread.recent)
    text = speaker.line(group, *question.options, named=True, introduces=False)
    if question.name and question.name.text not in text:
        text = speaker.line(group, *question.options, named=True, introduces=True)
    if choose:
        text += " " + speaker.line("ask.choose", person=person)
    return text


_LEANS = (
    ("say", "why"),
    ("say", "why", "why"),
    ("because",),
    ("because", "why"),
    ("first", "so"),
    ("first", "so", "why"),
    ("first", "first", "so"),
    ("first", "because"),
)


def lean(thread: Thread, question: Dilemma, value: str) -> str:
    """An answer from a value: it names that value's option with reasons of that value, and no other option."""
    action = question.option(value)
    assert action is not None
    lines: list[str] = []
    named = True
    for part in thread.choice(_LEANS):
        line = _speak(
            thread,
            f"lean.{part}",
            question,
            (action,),
            named=named,
            alone=named and part == "why",
            value=value,
        )
        named = named and not (question.name and question.name.text in line)
        lines.append(line)
    return " ".join(lines)


def even(thread: Thread, question: Dilemma) -> str:
    """An answer that gives each option its reason and takes no side."""
    three = len(question.options) == 3
    lines = []
    if thread.rng.random() < 0.7:
        lines.append(_speak(thread, "even.open", question, question.options, named=True, alone=True))
    options = question.options
    named = True
    for part in ("one", "two", "three") if three else ("one", "two"):
        line = _speak(thread, f"even.{part}", question, options, named=named, alone=named and part != "one")
        if question.name and question.name.text in line:
            named = False
        lines.append(line)
    if thread.rng.random() < 0.5:
        lines.append(_speak(thread, "even.close", question, options, named=named, alone=named))
    return " ".join(lines)


def _speak(
    thread: Thread,
    group: str,
    question: Dilemma,
    actions: tuple[Action, ...],
    *,
    named: bool,
    alone: bool = False,
    value: str | None = None,
) -> str:
    """A sentence of an answer, about the person whom the question was about; each option keeps its own reason."""
    speaker = Thread(
        thread.rng,
        thread.split,
        thread.value,
        question.name,
        question.person,
        reasons=thread.reasons,
        recent=thread.recent,
    )
    return speaker.line(group, *actions, named=named, alone=alone and question.name is not None, value=value)


def _has(options: tuple[Action, ...], value: str) -> bool:
    return any(action.value == value for action in options)
