"""A recipe: the human-readable source of a value, from which packs for any model are made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

MAX_BYTES = 2 * 2**20
"""Of a recipe's file: some three thousand pairs with questions."""

Split: TypeAlias = Literal["validation", "test"]
Person: TypeAlias = Literal["first", "third"]
Form: TypeAlias = Literal["statement", "question"]


def _text(
    description: str, mend: str = "", *, shortest: int = 1, longest: int, pattern: str | None = None
) -> Meta:
    """What an editor shows, the bounds, and what an error proposes."""
    return Meta(
        description=description,
        min_length=shortest,
        max_length=longest,
        pattern=pattern,
        extra={"mend": mend},
    )


_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_CODE = r"^[a-z]{2,8}(-[A-Za-z0-9]{1,8})*$"

Id: TypeAlias = Annotated[
    str,
    _text(
        "The name for machines, which is the file's name without .toml.",
        "Use lower case letters, digits and hyphens, such as self-direction.",
        longest=64,
        pattern=_SLUG,
    ),
]
Name: TypeAlias = Annotated[str, _text("What people call it.", longest=80)]
Sentence: TypeAlias = Annotated[
    str, _text("One sentence of your own that says what the value is.", longest=600)
]
Group: TypeAlias = Annotated[
    str,
    _text(
        "What it belongs to: schwartz, character, or a name of your own.",
        "Use lower case letters, digits and hyphens.",
        longest=40,
        pattern=_SLUG,
    ),
]
Language: TypeAlias = Annotated[
    str,
    _text(
        "The language of its texts (en, de, pt-BR), or minnow for the built-in model's.",
        "Use a language code such as en, or minnow.",
        longest=35,
        pattern=_CODE,
    ),
]
Source: TypeAlias = Annotated[
    str, _text("Who wrote it, and from what, if it is not all new.", shortest=0, longest=600)
]
Licence: TypeAlias = Annotated[
    str, _text("Under which terms others may use it, such as CC-BY-4.0.", shortest=0, longest=100)
]
Side: TypeAlias = Annotated[str, _text("One or two sentences.", longest=2000)]
Question: TypeAlias = Annotated[
    str, _text("What a user might ask.", longest=4000), Meta(extra={"lines": True})
]
Word: TypeAlias = Annotated[
    str,
    _text("One common word.", "Write single words, each in quotes of its own.", longest=40, pattern=r"^\S+$"),
]
Scene: TypeAlias = Annotated[str, _text("The part of life that these questions are from.", longest=60)]
Questions: TypeAlias = Annotated[tuple[Question, ...], Meta(max_length=5000)]
ByScene: TypeAlias = Annotated[Mapping[Scene, Questions], Meta(max_length=200)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a recipe."""


class Pair(_Part, frozen=True, kw_only=True):
    """Two texts in which all but the value is the same: person, scene, structure."""

    positive: Annotated[Side, Meta(description="The text in which the value shows.")]
    negative: Annotated[
        Side, Meta(description="The same with the value turned: sensible, but from another value.")
    ]
    person: Annotated[Person | None, Meta(description="Whether the text says I, or speaks of somebody.")] = (
        None
    )
    form: Annotated[Form | None, Meta(description="Whether both sides tell or ask.")] = None


class Anchors(_Part, frozen=True, kw_only=True):
    """Words for steering by words: towards the positive ones, away from the negative ones."""

    positive: Annotated[tuple[Word, ...], Meta(max_length=100, description="Words that show the value.")] = ()
    negative: Annotated[tuple[Word, ...], Meta(max_length=100, description="Words of its opposite.")] = ()

    def __bool__(self) -> bool:
        return bool(self.positive or self.negative)


class Lists(_Part, frozen=True, kw_only=True):
    """Questions by scene, in two lists that share none."""

    validation: Annotated[ByScene, Meta(description="What is tuned is tuned on these.")] = {}
    test: Annotated[ByScene, Meta(description="Read for reported figures only.")] = {}

    def of(self, split: Split) -> tuple[str, ...]:
        """All questions of one list, scene after scene."""
        scenes = self.validation if split == "validation" else self.test
        return tuple(text for texts in scenes.values() for text in texts)

    def each(self) -> Iterator[tuple[Split, str, int, str]]:
        """Every question with its list, its scene and its position there."""
        splits: tuple[Split, ...] = ("validation", "test")
        for split, scenes in zip(splits, (self.validation, self.test), strict=True):
            for scene, texts in scenes.items():
                for at, text in enumerate(texts):
                    yield split, scene, at, text

    def __bool__(self) -> bool:
        return any(True for _ in self.each())


class Unrelated(Lists, frozen=True, kw_only=True):
    """Questions that do not touch the value, so that a gate learns to leave them alone."""

    include: Annotated[tuple[Id, ...], Meta(max_length=20, description="Shared lists, by id: common")] = ()


class UnrelatedList(Lists, frozen=True, kw_only=True):
    """A list of unrelated questions that recipes share by naming it under `include`."""

    id: Id
    name: Name
    language: Language = "en"
    source: Source = ""
    licence: Licence = ""


class Recipe(_Part, frozen=True, kw_only=True):
    """A value: what it is, contrast pairs, questions that touch it or do not, and anchor words."""

    id: Id
    name: Name
    meaning: Sentence
    group: Group = "own"
    language: Language = "en"
    source: Source = ""
    licence: Licence = ""
    anchors: Anchors = Anchors()
    pairs: Annotated[tuple[Pair, ...], Meta(min_length=1, max_length=5000, description="Contrast pairs.")]
    questions: Annotated[Lists, Meta(description="Dilemmas that touch the value.")] = Lists()
    unrelated: Unrelated = Unrelated()

    @property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the file's layout, order of keys and comments."""
        return hashlib.sha256(b"trimtab recipe 1\n" + msgspec.json.encode(self)).hexdigest()

    def to_toml(self) -> str:
        """The recipe as a file that reads back equal."""
        from trimtab.vectors.recipe_writing import write

        return write(self)


def parse(text: str, name: str = "recipe") -> Recipe:
    """The recipe in a TOML text; raises RecipeError with everything that is wrong and the line it is on."""
    from trimtab.vectors.recipe_reading import read_text

    return read_text(text, name, Recipe)


def load(path: Path) -> Recipe:
    """The recipe in a file."""
    from trimtab.vectors.recipe_reading import read_file

    return read_file(path, Recipe)
