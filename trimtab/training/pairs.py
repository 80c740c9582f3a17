"""Preference pairs: a prompt with a chosen and a rejected response, parted so that no prompt is in two parts."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.engine.contract import Message
from trimtab.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation to answer, or with `text` a plain text to continue, and the two ways to go on."""

    chosen: str
    rejected: str
    prompt: tuple[Message, ...] = ()
    text: str = ""

    @property
    def key(self) -> str:
        """Equal where the prompts are."""
        turns = [[message.role, message.content] for message in self.prompt]
        return json.dumps([turns, self.text], ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Data:
    """Pairs to train on, and those to validate on where they come apart."""

    pairs: tuple[Pair, ...]
    held: tuple[Pair, ...] = ()
    good: str = ""
    bad: str = ""
    """Instructions that suit these data better than the paper's."""


@dataclass(frozen=True, slots=True)
class Parts:
    """No prompt of one part is in another."""

    one: tuple[Pair, ...]
    two: tuple[Pair, ...]
    held: tuple[Pair, ...]

    def digests(self) -> dict[str, str]:
        return {name: _digest(getattr(self, name)) for name in ("one", "two", "held")}


def part(data: Data, *, seed: int, first_share: float, held_share: float) -> Parts:
    """The pairs by prompts: some held out unless the data hold out their own, the rest between the two steps."""
    own = {pair.key for pair in data.held}
    pairs = [pair for pair in data.pairs if pair.chosen != pair.rejected and pair.key not in own]
    if not pairs:
        raise TrainingError("The data hold no pair to train on.", "Give pairs whose two responses differ.")
    keys = sorted({pair.key for pair in pairs})
    random.Random(f"parts {seed}").shuffle(keys)
    most = len(keys) - (1 if first_share in (0.0, 1.0) else 2)
    kept = 0 if own else max(0, min(most, round(len(keys) * held_share)))
    middle = kept + round((len(keys) - kept) * first_share)
    place = {key: number for number, key in enumerate(keys)}

    def between(low: int, high: int) -> tuple[Pair, ...]:
        return tuple(pair for pair in pairs if low <= place[pair.key] < high)

    return Parts(
        one=between(kept, middle), two=between(middle, len(keys)), held=data.held or between(0, kept)
    )


def _digest(pairs: Sequence[Pair]) -> str:
    found = hashlib.sha256()
    for pair in pairs:
        line = json.dumps([pair.key, pair.chosen, pair.rejected], ensure_ascii=False)
        found.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return found.hexdigest()
