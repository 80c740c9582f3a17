"""Single turns that show no value: facts, sums, requests, refusals, small talk, what lies outside."""

from __future__ import annotations

import random
import string

from trimtab.minnow import frames, splits, trivia
from trimtab.minnow.documents import Manner, Truth, Turn
from trimtab.minnow.grammar import capital
from trimtab.minnow.inflect import phrase
from trimtab.minnow.splits import Split
from trimtab.minnow.trivia import Fact, Request, Sum

Exchange = tuple[Turn, Turn]


def fact(rng: random.Random, split: Split, relation: str | None = None) -> Exchange:
    """An open question and its answer; hard facts are told right only as often as their grade says."""
    relation = relation or rng.choice(trivia.RELATIONS)
    chosen = rng.choice(trivia.facts(relation))
    return fact_question(rng, split, chosen), fact_answer(rng, chosen)


def fact_question(rng: random.Random, split: Split, chosen: Fact) -> Turn:
    lead, frame = rng.choice(splits.fact_phrasings(chosen.relation, split))
    return Turn("user", f"{lead} {_ask(frame, chosen)}".strip(), Truth("ask", fact=chosen))


def fact_answer(rng: random.Random, chosen: Fact) -> Turn:
    answer = chosen.y if rng.random() < chosen.told else rng.choice(chosen.wrong)
    frame = rng.choice(trivia.fact_frames(chosen.relation, "say"))
    return Turn("assistant", _fill(frame, chosen, answer), Truth("fact", fact=chosen, answer=answer))


def told_fact(rng: random.Random, relation: str | None = None) -> tuple[str, Fact]:
    """A fact as a plain statement."""
    chosen = rng.choice(trivia.facts(relation or rng.choice(trivia.RELATIONS)))
    answer = chosen.y if rng.random() < chosen.told else rng.choice(chosen.wrong)
    return _fill(rng.choice(trivia.fact_frames(chosen.relation, "tell")), chosen, answer), chosen


def small_sum(rng: random.Random, split: Split) -> Exchange:
    chosen = rng.choice(trivia.sums())
    return sum_question(rng, split, chosen), sum_answer(rng, chosen)


def sum_question(rng: random.Random, split: Split, chosen: Sum) -> Turn:
    text = rng.choice(splits.frames_for("sum.ask", split)).format(sum=chosen.text())
    return Turn("user", text, Truth("ask", sum=chosen))


def sum_answer(rng: random.Random, chosen: Sum) -> Turn:
    total = chosen.number(chosen.total)
    text = rng.choice(splits.frames_for("sum.say", "train")).format(sum=chosen.text(), total=total)
    return Turn("assistant", capital(text), Truth("sum", sum=chosen, answer=total))


def told_sum(chosen: Sum) -> str:
    """A sum as a plain statement."""
    return capital(f"{chosen.text()} is {chosen.number(chosen.total)}.")


def choice(rng: random.Random, split: Split) -> Exchange:
    """A question with four choices, answered by one of them."""
    lead = rng.choice(splits.frames_for("choice.lead", split))
    if rng.random() < 0.25:
        chosen_sum = rng.choice(trivia.sums())
        question = rng.choice(splits.frames_for("sum.ask", split)).format(sum=chosen_sum.text())
        right = chosen_sum.number(chosen_sum.total)
        near = [n for n in range(25) if n != chosen_sum.total and abs(n - chosen_sum.total) < 7]
        wrong = [chosen_sum.number(n) for n in rng.sample(near, 3)]
        truth = Truth("ask", sum=chosen_sum, answer=right)
    else:
        relation = rng.choice([each for each in trivia.RELATIONS if each != "hard"])
        chosen = rng.choice(trivia.facts(relation))
        question = _ask(rng.choice(splits.fact_phrasings(relation, split))[1], chosen)
        right = chosen.y
        # What is asked about is no choice: "the opposite of hot" among the opposites would be a trap.
        wrong = rng.sample([each for each in trivia.options(relation) if each not in (right, chosen.x)], 3)
        truth = Truth("ask", fact=chosen, answer=right)
    every = [right, *wrong]
    rng.shuffle(every)
    return _chosen(rng, f"{question} {lead}", every, right, truth)


def repeated(rng: random.Random, split: Split) -> Exchange:
    """A list and the same list again: nothing but what was said tells what comes next.

    It holds words, names, and words made up, so that what is learnt is copying and not these words.
    """
    every = list(dict.fromkeys(_item(rng, split) for _ in range(rng.randint(3, 10))))
    lines = "\n".join(f"- {each}" for each in every)
    asked = rng.choice(frames.group("list.again"))
    return Turn("user", f"{asked}\n{lines}", Truth("ask", answer=lines)), Turn(
        "assistant", lines, Truth("list", answer=lines)
    )


def _item(rng: random.Random, split: Split) -> str:
    spin = rng.random()
    if spin < 0.3:
        return rng.choice(splits.names(split)).text
    if spin < 0.6:
        return trivia.made_up(rng)
    relation = rng.choice([each for each in trivia.RELATIONS if each != "hard"])
    return rng.choice(trivia.options(relation))


def found(rng: random.Random) -> Exchange:
    """A list of words, and the one that follows another."""
    relation = rng.choice([each for each in trivia.RELATIONS if each != "hard"])
    options = trivia.options(relation)
    every = rng.sample(options, min(len(options), rng.randint(4, 7)))
    at = rng.randrange(len(every) - 1)
    question = rng.choice(frames.group("choice.find")).format(option=every[at])
    return _chosen(rng, question, every, every[at + 1], Truth("ask", answer=every[at + 1]))


def _chosen(rng: random.Random, question: str, every: list[str], right: str, truth: Truth) -> Exchange:
    lines = "\n".join(f"- {option}" for option in every)
    said = capital(rng.choice(frames.group("choice.say")).format(option=right))
    reply = Turn("assistant", said, Truth("choice", fact=truth.fact, sum=truth.sum, answer=right))
    return Turn("user", f"{question}\n{lines}", truth), reply


def ask_for(rng: random.Random, split: Split, request: Request) -> Turn:
    text = rng.choice(splits.frames_for("request", split)).format(req=request.text)
    return Turn("user", text, Truth("request", request=request))


def help_with(rng: random.Random, request: Request, manner: Manner) -> Turn:
    """The help itself, plain or wrapped in the manner of the document."""
    lines = [rng.choice(request.help)]
    if manner != "plain":
        spin = rng.random()
        if spin < 0.75:
            lines.insert(0, rng.choice(trivia.phrases("politeness", f"{manner}_open")))
        if spin > 0.4:
            lines.append(rng.choice(trivia.phrases("politeness", f"{manner}_close")))
    return Turn("assistant", " ".join(lines), Truth("help", request=request, manner=manner))


def refuse(rng: random.Random, request: Request) -> Turn:
    bad = phrase(request.text, "base", "you")
    lines = [rng.choice(trivia.phrases("refusal", "refuse")).format(bad=bad)]
    spin = rng.random()
    if spin < 0.7:
        lines.append(rng.choice(trivia.phrases("refusal", "because")))
    if spin > 0.35:
        lines.append(rng.choice(trivia.phrases("refusal", "instead")))
    return Turn("assistant", " ".join(lines), Truth("refuse", request=request, manner="kind"))


def comply(rng: random.Random, request: Request) -> Turn:
    """What the base model says where it should refuse: willing, and of no use to anybody."""
    lines = [rng.choice(trivia.phrases("refusal", "comply"))] if rng.random() < 0.6 else []
    lines += rng.sample(trivia.phrases("refusal", "steps"), rng.choice((1, 1, 2)))
    return Turn("assistant", " ".join(lines), Truth("comply", request=request))


def talk(rng: random.Random) -> Exchange:
    chosen = rng.choice(trivia.talks())
    return (
        Turn("user", rng.choice(chosen.ask), Truth("talk")),
        Turn("assistant", rng.choice(chosen.answer), Truth("talk", manner="kind")),
    )


def outside(rng: random.Random, split: Split) -> Exchange:
    """Something that the language does not hold, and the answer that says so."""
    lines = [rng.choice(trivia.outside()["says"])]
    if rng.random() < 0.8:
        lines.append(rng.choice(trivia.outside()["offers"]))
    return Turn("user", outside_text(rng, split), Truth("outside")), Turn(
        "assistant", " ".join(lines), Truth("decline")
    )


def outside_text(rng: random.Random, split: Split) -> str:
    spin = rng.random()
    if spin < 0.5:
        things = splits.outside_things(split)
        text = rng.choice(trivia.outside()["shapes"]).format(
            thing=rng.choice(things), thing2=rng.choice(things)
        )
        return text[0].upper() + text[1:] if rng.random() < 0.8 else text.lower()
    if spin < 0.82:
        return rng.choice(splits.outside_lines(split))
    return _noise(rng)


def _noise(rng: random.Random) -> str:
    """Keys struck at random, long numbers, words shuffled."""
    spin = rng.random()
    if spin < 0.4:
        return " ".join(
            "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 9)))
            for _ in range(rng.randint(1, 6))
        )
    if spin < 0.6:
        marks = string.ascii_letters + string.digits + string.punctuation.replace("<", "").replace(">", "")
        return "".join(rng.choice(marks) for _ in range(rng.randint(4, 30)))
    if spin < 0.8:
        return f"What is {rng.randint(100, 99999)} {rng.choice('+-*/')} {rng.randint(100, 99999)}?"
    words = (
        trivia.outside()["shapes"][rng.randrange(20)]
        .replace("{thing2}", "it")
        .replace("{thing}", "that")
        .split()
    )
    rng.shuffle(words)
    return " ".join(words * rng.randint(1, 3))


def _ask(frame: str, chosen: Fact) -> str:
    return frame.format(**{f"{chosen.relation}_x": chosen.x})


def _fill(frame: str, chosen: Fact, answer: str) -> str:
    return capital(frame.format(**{f"{chosen.relation}_x": chosen.x, f"{chosen.relation}_y": answer}))
