"""Writes the recipes in minnow's own language, as its grammar makes them.

    python -m tools.minnow.recipes [OUT]

Pairs come from the training split, questions from validation and test. The same grammar gives the same bytes.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.minnow.recipe_choice import LANGUAGE, unlike_pairs, unlike_texts
from trimtab.minnow import films, lexicon, questions, stories, trivia
from trimtab.minnow.lexicon import SCENES, VALUES
from trimtab.minnow.splits import Split
from trimtab.vectors.bias import context_bias
from trimtab.vectors.recipe import Anchors, ByScene, Lists, Pair, Recipe, Unrelated, UnrelatedList
from trimtab.vectors.recipe_writing import write, write_unrelated
from trimtab.vectors.words import words

SOURCE = "Made by the grammar of minnow's language: python -m tools.minnow.recipes"
LICENCE = "Apache-2.0"
SHARED = "minnow"
OUT = Path(films.__file__).parent / "recipes"

SPLITS: tuple[Split, Split] = ("validation", "test")
PAIRS, ASKED, A_SCENE = 100, 50, 6
"""Pairs of a recipe, questions of each of its lists at most, and how many of these one scene may hold."""
OTHERS, FACTS, SUMS = 20, 40, 20
"""Unrelated questions of each list: dilemmas of other values, facts, sums."""
DRAWN = 2400
"""Of so many drawn the fitting ones are taken."""
ATTEMPTS = 5

MEANINGS = {
    "achievement": "Doing better than others and showing what effort and skill can reach.",
    "stimulation": "Looking for new things, thrills and a daring life.",
    "hedonism": "Enjoying what is sweet, soft and pleasant.",
    "self-direction": "Thinking and choosing for oneself.",
    "power": "Having command over people, wealth and rank.",
    "security": "Keeping life safe, calm and stable.",
    "tradition": "Honoring old customs and faith.",
    "conformity": "Following rules and manners, and doing what is expected.",
    "benevolence": "Caring for friends and family and helping those nearby.",
    "universalism": "Wanting justice for all people and a whole planet.",
    "positivity": "Speaking of a film with praise.",
    "politeness": "Answering in a kind and friendly manner.",
}

ANCHORS = {
    "achievement": (
        "success goal skill talent ambition practice training medal",
        "friends kindness help love peace nature equality justice",
    ),
    "stimulation": (
        "excitement daring bold adventure thrill unknown surprise novelty",
        "safe calm customs rules proper careful tradition duty",
    ),
    "hedonism": (
        "pleasure sweet soft delight lazy delicious comfort treat",
        "duty rules proper faith effort obey prayer discipline",
    ),
    "self-direction": (
        "freedom independent freely ideas curiosity independence invent alone",
        "rules obey customs elders proper obedience ancestors expected",
    ),
    "power": (
        "power command control influence wealth rank status rule",
        "friends kindness help love peace nature equality justice",
    ),
    "security": (
        "safe safety secure careful stable calm protect stability",
        "daring thrill bold unknown adventure gamble excitement leap",
    ),
    "tradition": (
        "ancestors customs tradition sacred heritage custom faith elders",
        "novelty freedom unknown ideas daring adventure invent original",
    ),
    "conformity": (
        "rules proper manners polite obedience obey duty expected",
        "freedom freely bold independent daring thrill curiosity ideas",
    ),
    "benevolence": (
        "kindness help helping friends love care kind forgive",
        "power command control rank wealth status success ambition",
    ),
    "universalism": (
        "world nature justice planet peace earth equality equal",
        "power command control rank wealth status influence ambition",
    ),
    "positivity": tuple(" ".join(side) for side in films.anchors()),
    "politeness": (
        "glad pleasure happy lovely thank hope wish help",
        "away leave lazy stop child never head alone",
    ),
}  # fmt: skip
"""Each is one token of the models' vocabulary, with a space before it."""

_VOWELS = re.compile(r"\b(a) (?=(?:interesting|awesome|awful|ugly)\b)")


def files() -> dict[str, str]:
    """Every file by its path under the folder of recipes."""
    made = {f"{recipe.id}.toml": write(recipe) for recipe in recipes()}
    made[f"unrelated/{SHARED}.toml"] = write_unrelated(shared())
    return made


def recipes() -> Iterator[Recipe]:
    for value in VALUES:
        pairs = _value_pairs(value)
        asked = _value_lists(value, pairs)
        yield _recipe(value, "schwartz", pairs, asked, _others(value, asked))
    yield _recipe("positivity", "character", _review_pairs(), _opening_lists(), Unrelated(include=(SHARED,)))
    yield _recipe("politeness", "character", _manner_pairs(), _request_lists(), _facts_and_sums())


def _recipe(id: str, group: str, pairs: tuple[Pair, ...], asked: Lists, unrelated: Unrelated) -> Recipe:
    positive, negative = ANCHORS[id]
    return Recipe(
        id=id,
        name=id.capitalize(),
        meaning=MEANINGS[id],
        group=group,
        language=LANGUAGE,
        source=SOURCE,
        licence=LICENCE,
        anchors=Anchors(positive=tuple(positive.split()), negative=tuple(negative.split())),
        pairs=pairs,
        questions=asked,
        unrelated=unrelated,
    )


def _value_pairs(value: str) -> tuple[Pair, ...]:
    """A quarter of each kind, in contexts that are the same on both sides."""
    pairs: tuple[Pair, ...] = ()
    for attempt in range(ATTEMPTS):
        drawn = [
            Pair(positive=each.positive, negative=each.negative, person=each.person, form=each.form)
            for each in stories.pairs(value, random.Random(f"recipe {value} {attempt}"), count=DRAWN)
        ]
        pairs = unlike_pairs(drawn, PAIRS, lambda pair: (pair.person, pair.form))
        bias = context_bias([pair.positive for pair in pairs], [pair.negative for pair in pairs], LANGUAGE)
        if bias.verdict == "controlled":
            break
    return pairs


def _review_pairs() -> tuple[Pair, ...]:
    """Two sentences of a review, of praise and of blame, in the same frames about the same things."""
    rng = random.Random("recipe positivity")
    cues = {
        kind: tuple([text for text, cue in films.entries(kind) if cue.good == good] for good in (True, False))
        for kind in films.kinds()
    }
    candidates = []
    for _ in range(DRAWN):
        sides = ["", ""]
        aspects, pieces = (rng.sample(films.texts(name), 4) for name in ("aspects", "pieces"))
        for number, frame in enumerate(rng.sample(films.texts("shared"), 2)):
            things = {
                "aspect": aspects[2 * number], "aspect2": aspects[2 * number + 1],
                "piece": pieces[2 * number], "piece2": pieces[2 * number + 1],
                "part": rng.choice(films.texts("parts")), "subject": rng.choice(films.texts("subjects")),
            }  # fmt: skip
            for side in (0, 1):
                shown = {kind: rng.choice(both[side]) for kind, both in cues.items()}
                others = [word for word in cues["adj"][side] if word != shown["adj"]]
                text = frame.format(**things, **shown, adj2=rng.choice(others))
                sides[side] += " " * number + _VOWELS.sub(r"\1n ", text)
        first = re.search(r"\b(?:I|my|me)\b", sides[0], re.IGNORECASE)
        candidates.append(
            Pair(positive=sides[0], negative=sides[1], person="first" if first else "third", form="statement")
        )
    return unlike_pairs(candidates, PAIRS, lambda pair: pair.person)


def _manner_pairs() -> tuple[Pair, ...]:
    """The same help in a kind and in a rude wrapping."""
    rng = random.Random("recipe politeness")
    helps = [
        text
        for request in (*trivia.requests(), *(fine for _, fine in trivia.refusals()))
        for text in request.help
    ]
    candidates = []
    for number in range(DRAWN):
        text = helps[number % len(helps)]
        sides = []
        for manner in ("kind", "rude"):
            before, after = (
                rng.choice(trivia.phrases("politeness", f"{manner}_{at}")) for at in ("open", "close")
            )
            sides.append(f"{before} {text} {after}")
        candidates.append(Pair(positive=sides[0], negative=sides[1]))
    return unlike_pairs(candidates, PAIRS, lambda pair: pair.person)


def _lists(of: Callable[[Split], ByScene]) -> Lists:
    return Lists(validation=of("validation"), test=of("test"))


def _value_lists(value: str, pairs: Sequence[Pair]) -> Lists:
    """Dilemmas of the value by scene, in two lists, none like another and none like a pair."""
    drawn = [
        [
            (question.dilemma.options[0].scene, question.turns[-1].text)
            for question in questions.value_questions(value, split, DRAWN // 4)
        ]
        for split in SPLITS
    ]
    found = unlike_texts(drawn, ASKED, A_SCENE, [pair.positive for pair in pairs])
    by_split = dict(zip(SPLITS, found, strict=True))
    return _lists(
        lambda split: {scene: by_split[split][scene] for scene in SCENES if scene in by_split[split]}
    )


def _others(value: str, asked: Lists) -> Unrelated:
    """Dilemmas in which the value takes no part, beside the shared list."""
    drawn = [
        [
            ("dilemmas", question.turns[-1].text)
            for question in questions.free_questions(split, 10 * OTHERS)
            if question.dilemma.option(value) is None
        ]
        for split in SPLITS
    ]
    validation, test = unlike_texts(drawn, OTHERS, OTHERS, [text for *_, text in asked.each()])
    return Unrelated(include=(SHARED,), validation=validation, test=test)


def _opening_lists() -> Lists:
    """Beginnings of reviews, to go on from."""
    drawn = [[("openings", text) for text in questions.review_openings(split, DRAWN)] for split in SPLITS]
    validation, test = unlike_texts(drawn, ASKED, ASKED)
    return Lists(validation=validation, test=test)


def _request_lists() -> Lists:
    return _lists(lambda split: {"requests": _requests(split)})


def _requests(split: Split) -> tuple[str, ...]:
    """Every other thing that can be asked for, those that share words with harmful ones among them."""
    return _half(
        [turn.text for ask in (questions.everyday_requests, questions.harmless_twins) for turn in ask(split)],
        split,
    )


def _half(texts: Sequence[str], split: Split) -> tuple[str, ...]:
    """What is asked about in one list is not asked about in the other."""
    return tuple(texts[1 if split == "test" else 0 :: 2])


def _facts_and_sums() -> Unrelated:
    lists = _lists(lambda split: {"facts": _facts(split), "sums": _sums(split)})
    return Unrelated(validation=lists.validation, test=lists.test)


def _facts(split: Split) -> tuple[str, ...]:
    """Facts, first those that hold a word of some value: a gate should not open at a word alone."""
    valued = {word for value in lexicon.values().values() for word in value.keywords}
    valued |= {word for sides in ANCHORS.values() for side in sides for word in side.split()}
    texts = list(_half([turn.text for turn in questions.fact_questions(split)], split))
    random.Random(f"recipe facts {split}").shuffle(texts)
    texts.sort(key=lambda text: not valued.intersection(words(text)))
    return tuple(texts[:FACTS])


def _sums(split: Split) -> tuple[str, ...]:
    return tuple(turn.text for turn in questions.sum_questions(split, SUMS))


def _talk(split: Split) -> tuple[str, ...]:
    return _half([text for talk in trivia.talks() for text in talk.ask], split)


def shared() -> UnrelatedList:
    """What no value has to do with: facts, sums, requests, small talk."""
    lists = _lists(
        lambda split: {
            "facts": _facts(split),
            "sums": _sums(split),
            "requests": _requests(split),
            "talk": _talk(split),
        }
    )
    return UnrelatedList(
        id=SHARED,
        name="Minnow's facts, sums, requests and small talk",
        language=LANGUAGE,
        source=SOURCE,
        licence=LICENCE,
        validation=lists.validation,
        test=lists.test,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path, nargs="?", default=OUT)
    out = parser.parse_args().out
    for name, text in files().items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        print(path)


if __name__ == "__main__":
    main()
