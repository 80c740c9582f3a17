"""A recipe for tests: small and sound, to be broken in one place at a time."""

from __future__ import annotations

import msgspec

from trimtab.vectors.recipe import Anchors, Form, Lists, Pair, Person, Recipe, Unrelated

KINDS: tuple[tuple[Person, Form], ...] = (
    ("first", "statement"),
    ("first", "question"),
    ("third", "statement"),
    ("third", "question"),
)
SIDES = (
    (
        (
            "I test the ladder twice before we pick the cherries.",
            "I climb the ladder quickly before we pick the cherries.",
        ),
        (
            "My bicycle stands chained to the lamp post while I shop.",
            "My bicycle leans freely on the lamp post while I shop.",
        ),
        (
            "We count the children at every stop of the tour.",
            "We let the children roam at every stop of the tour.",
        ),
    ),
    (
        (
            "Shall I boil the river water before our group drinks it?",
            "Shall I cool the river water before our group drinks it?",
        ),
        (
            "Could we insure the piano before the movers carry it?",
            "Could we play the piano before the movers carry it?",
        ),
        (
            "May I copy my thesis to a second disk tonight?",
            "May I show my thesis to a second friend tonight?",
        ),
    ),
    (
        (
            "The captain studied the weather charts for an hour.",
            "The captain studied the harbour bars for an hour.",
        ),
        (
            "Olga wears a helmet on the slope above the village.",
            "Olga wears a ribbon on the slope above the village.",
        ),
        ("The baker labels all jars of nuts for the fair.", "The baker mixes all jars of nuts for the fair."),
    ),
    (
        (
            "Did Mateo lock the medicine away when his niece came?",
            "Did Mateo set the medicine out when his niece came?",
        ),
        (
            "Would the electrician switch off the current first?",
            "Would the electrician trust his feeling for current first?",
        ),
        (
            "Has Lin read the contract to its end by now?",
            "Has Lin shared the contract with her friends by now?",
        ),
    ),
)


def sound() -> Recipe:
    """Twelve pairs of four kinds and a few questions, in which no check finds a problem."""
    pairs = [
        Pair(positive=positive, negative=negative, person=person, form=form)
        for row in zip(*SIDES, strict=True)
        for (person, form), (positive, negative) in zip(KINDS, row, strict=True)
    ]
    return Recipe(
        id="care",
        name="Care",
        meaning="Looking twice before something can go wrong.",
        licence="CC0-1.0",
        anchors=Anchors(
            positive=("careful", "safe", "secure", "cautious"), negative=("risky", "wild", "daring", "loose")
        ),
        pairs=tuple(pairs),
        questions=Lists(
            validation={
                "travel": ("Is it fine to hitch a ride through the desert with a stranger?",),
                "money": ("Would you put half of your savings into your cousin's brewery?",),
            },
            test={
                "travel": ("Should my grandmother fly alone with just one working kidney?",),
                "money": ("My bank offers to lend me twice what the flat costs. Do I accept?",),
            },
        ),
        unrelated=Unrelated(validation={"facts": ("What is the capital of Peru?",)}),
    )


def with_pair(number: int, **changes: object) -> Recipe:
    """The sound recipe with one pair changed."""
    recipe = sound()
    pairs = list(recipe.pairs)
    pairs[number] = msgspec.structs.replace(pairs[number], **changes)
    return msgspec.structs.replace(recipe, pairs=tuple(pairs))


def with_words(positive: str, negative: str, pairs: int = 12) -> Recipe:
    """The sound recipe with these words at the beginning of both sides of so many pairs."""
    recipe = sound()
    changed = [
        msgspec.structs.replace(
            pair, positive=f"{positive}{pair.positive}", negative=f"{negative}{pair.negative}"
        )
        for pair in recipe.pairs[:pairs]
    ]
    return msgspec.structs.replace(recipe, pairs=(*changed, *recipe.pairs[pairs:]))
