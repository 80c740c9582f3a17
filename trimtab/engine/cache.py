"""What lies in a machine's sequence: every position's token, and the program it was computed under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.engine.contract import FloatArray
from trimtab.engine.machine import Machine
from trimtab.engine.plan import Plan


@dataclass(frozen=True)
class Reuse:
    """How much of a prompt need not be read again."""

    length: int
    other_programs: int
    """How many of these positions were computed under another program than they would be now."""


class Sequence0:
    """The chat's sequence in a machine, kept in step with what is decoded into it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._tokens: list[int] = []
        self._fingerprints: list[str] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def reuse(self, tokens: Sequence[int], fingerprint: str, *, same_program: bool) -> Reuse:
        """Cuts the sequence back to where it agrees with `tokens`, whose last is always read anew.

        With `same_program`, positions computed under another fingerprint do not agree.
        """
        length = 0
        for token, held, under in zip(tokens[:-1], self._tokens, self._fingerprints, strict=False):
            if token != held or (same_program and under != fingerprint):
                break
            length += 1
        self.cut(length)
        others = sum(under != fingerprint for under in self._fingerprints)
        return Reuse(length=len(self._tokens), other_programs=others)

    def decode(self, tokens: Sequence[int], plan: Plan) -> FloatArray:
        """Appends tokens under the installed `plan`; the logits after the last."""
        before = len(self._tokens)
        try:
            logits = self._machine.decode(tokens)
        except BaseException:
            self.cut(before, surely=True)
            raise
        self._tokens.extend(tokens)
        self._fingerprints.extend([plan.fingerprint] * len(tokens))
        return logits

    def cut(self, length: int, *, surely: bool = False) -> None:
        """Keeps the first `length` positions, or none where the machine cannot cut.

        `surely` cuts the machine even if nothing is known to lie beyond, as something may after a failure.
        """
        if length == len(self._tokens) and not surely:
            return
        kept = length if self._machine.cut(length) else 0
        del self._tokens[kept:], self._fingerprints[kept:]

    def slide(self, keep: int, drop: int) -> None:
        """Lets go of `drop` positions after the first `keep`."""
        self._machine.slide(keep, drop)
        del self._tokens[keep : keep + drop], self._fingerprints[keep : keep + drop]
