"""What every kind of document is written with: chance, split, register, and what follows from them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from trimtab.minnow.documents import Document, Register, Turn
from trimtab.minnow.lexicon import VALUES
from trimtab.minnow.splits import Split
from trimtab.minnow.thread import Thread, spread


@dataclass(frozen=True, slots=True)
class Desk:
    """What every kind of document is written with."""

    rng: random.Random
    split: Split
    register: Register
    scene_bias: float = 0.0

    @property
    def aligned(self) -> bool:
        return self.register == "aligned"

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def thread(self, *, named: bool = True) -> Thread:
        name = spread(self.rng, self.split) if named else None
        value = VALUES[int(self.rng.random() * len(VALUES))]
        thread = Thread(self.rng, self.split, value, name, name.person if name else "I")
        thread.home = self.scene_bias
        return thread

    def other(self, value: str) -> str:
        return self.rng.choice([each for each in VALUES if each != value])

    def done(
        self, kind: str, turns: list[Turn], value: str | None = None, contradicted: bool = False
    ) -> Document:
        return Document(kind, self.register, tuple(turns), value, contradicted)
