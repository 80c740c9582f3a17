"""Recipes for tests: a sound one to break in one place at a time, and its TOML."""

from __future__ import annotations

import msgspec

from trimtab.vectors.recipe import Anchors, Lists, Pair, Recipe, Unrelated

SCENES = (
    ("the shed", "tools", "at dusk", "neighbour"), ("the boat", "ropes", "in harbour", "sailor"),
    ("our cellar", "apples", "before frost", "gardener"), ("the chapel", "candles", "after mass", "priest"),
    ("a tent", "boots", "by the river", "scout"), ("the bakery", "ovens", "past midnight", "baker"),
    ("my office", "folders", "on Fridays", "clerk"), ("the stable", "saddles", "during storms", "rider"),
    ("their garage", "bicycles", "through winter", "mechanic"), ("the library", "atlases", "over lunch", "student"),
    ("his studio", "canvases", "until spring", "painter"), ("the school", "chalk", "between lessons", "teacher"),
)  # fmt: skip


def sound(pairs: int = 12) -> Recipe:
    """A recipe in which no check finds a fault, made of scenes that share few words."""
    return Recipe(
        id="care",
        name="Care",
        meaning="Looking twice before something can go wrong.",
        licence="CC0-1.0",
        anchors=Anchors(
            positive=("careful", "safe", "secure", "cautious"), negative=("risky", "wild", "daring", "loose")
        ),
        pairs=tuple(_pair(number) for number in range(pairs)),
        questions=Lists(validation=_questions("borrow", "lend"), test=_questions("sell", "rent")),
        unrelated=Unrelated(validation={"facts": ("What is the capital of Peru?",)}),
    )


def with_pair(number: int, recipe: Recipe | None = None, **changes: object) -> Recipe:
    """The sound recipe with one pair changed."""
    recipe = recipe or sound()
    pairs = list(recipe.pairs)
    pairs[number] = msgspec.structs.replace(pairs[number], **changes)
    return msgspec.structs.replace(recipe, pairs=tuple(pairs))


def with_sides(positive: str, negative: str, *, every: int = 1, pairs: int = 12) -> Recipe:
    """The sound recipe with words put before the end of each side, in every so-manieth pair."""
    recipe = sound(pairs)
    changed = [
        msgspec.structs.replace(
            pair, positive=_before_end(pair.positive, positive), negative=_before_end(pair.negative, negative)
        )
        if number % every == 0
        else pair
        for number, pair in enumerate(recipe.pairs)
    ]
    return msgspec.structs.replace(recipe, pairs=tuple(changed))


def _before_end(text: str, words: str) -> str:
    return f"{text[:-1]} {words}{text[-1]}" if words else text


def _pair(number: int) -> Pair:
    where, things, when, who = SCENES[number % len(SCENES)]
    extra = (
        "" if number < len(SCENES) else f" in town {'abcdefghijklmnopqrstuvwxyz'[number // len(SCENES)] * 3}"
    )
    first, asks = number % 2 == 0, number % 4 > 1
    someone = "I" if first else f"the {who}"
    verbs = ("lock", "count") if number % 3 else ("guard", "check")
    stirs = ("open", "lend") if number % 3 else ("share", "toss")
    sides = []
    for verb in (verbs, stirs):
        told = f"{someone} would {verb[0]} {where} and {verb[1]} the {things} {when}{extra}"
        text = f"{'Did you hear that ' if asks else ''}{told}"
        sides.append(text[0].upper() + text[1:] + ("?" if asks else "."))
    return Pair(
        positive=sides[0],
        negative=sides[1],
        person="first" if first else "third",
        form="question" if asks else "statement",
    )


def _questions(verb: str, other: str) -> dict[str, tuple[str, ...]]:
    return {
        f"scene{number % 5}": tuple(
            f"Should the {who} {verb} {things} {when} or {other} them?"
            for _, things, when, who in SCENES[number % 5 :: 5]
        )
        for number in range(5)
    }
