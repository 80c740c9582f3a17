"""The corpus: which kinds of documents there are and how many of each; a seed decides the rest."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from trimtab.minnow.desk import Desk
from trimtab.minnow.documents import Document, Register
from trimtab.minnow.kinds import KINDS
from trimtab.minnow.splits import Split


@dataclass(frozen=True, slots=True)
class Shares:
    """How often each kind of document is drawn; the numbers of a register need not add up to one."""

    base: tuple[tuple[str, float], ...] = (
        ("stories", 0.18),
        ("beliefs", 0.05),
        ("deeds", 0.04),
        ("shown", 0.12),
        ("named", 0.15),
        ("dilemmas", 0.13),
        ("mixed", 0.04),
        ("instructed", 0.05),
        ("manners", 0.07),
        ("harm", 0.05),
        ("facts", 0.09),
        ("sums", 0.06),
        ("choices", 0.06),
        ("lists", 0.06),
        ("hard", 0.03),
        ("told", 0.015),
        ("review", 0.07),
        ("talk", 0.02),
        ("long", 0.012),
    )
    aligned: tuple[tuple[str, float], ...] = (
        ("shown", 0.11),
        ("named", 0.18),
        ("dilemmas", 0.17),
        ("mixed", 0.07),
        ("instructed", 0.03),
        ("manners", 0.07),
        ("harm", 0.09),
        ("facts", 0.09),
        ("sums", 0.03),
        ("choices", 0.06),
        ("lists", 0.03),
        ("hard", 0.03),
        ("talk", 0.04),
        ("long", 0.03),
        ("outside", 0.12),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a corpus is made of.

    `scene_bias` makes values and scenes go together: so many stories play in the home scenes of their value.
    """

    shares: Shares = Shares()
    scene_bias: float = 0.0


DEFAULT = Settings()


def documents(
    seed: int | str, split: Split, register: Register, settings: Settings = DEFAULT
) -> Iterator[Document]:
    """Documents without end; the same seed gives the same ones."""
    rng = random.Random(f"{seed}|{split}|{register}")
    shares = settings.shares.base if register == "base" else settings.shares.aligned
    kinds = [kind for kind, _ in shares]
    weights = list(accumulate(weight for _, weight in shares))
    while True:
        yield document(rng.choices(kinds, cum_weights=weights)[0], rng, split, register, settings)


def document(
    kind: str,
    rng: random.Random,
    split: Split = "train",
    register: Register = "base",
    settings: Settings = DEFAULT,
) -> Document:
    """One document of a kind."""
    return KINDS[kind](Desk(rng, split, register, settings.scene_bias))
