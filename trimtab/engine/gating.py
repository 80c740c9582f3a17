"""Gates: whether a user's message has to do with a value, asked once per message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from trimtab.engine import math
from trimtab.engine.contract import GateScore
from trimtab.engine.machine import Machine
from trimtab.engine.program import Gate, Program

MAX_TOKENS = 512
"""A gate reads at most the end of a message this long."""

Form = Literal["plain", "chat"]


class GateReader:
    """Reads gates on a machine, each state once per message."""

    def __init__(self, machine: Machine, prompt_tokens: Callable[[str, Form], list[int]]) -> None:
        self._machine = machine
        self._prompt_tokens = prompt_tokens
        self._text = ""
        self._scores: dict[Gate, float] = {}

    def scores(self, gates: Sequence[Gate], text: str) -> dict[Gate, float]:
        """P of each gate's probe for this message."""
        if text != self._text:
            self._text, self._scores = text, {}
        for form in ("plain", "chat"):
            unread = [gate for gate in gates if gate.form == form and gate not in self._scores]
            if unread:
                self._read(unread, form)
        return {gate: self._scores[gate] for gate in gates}

    def _read(self, gates: Sequence[Gate], form: Form) -> None:
        layers = sorted({gate.layer for gate in gates})
        tokens = self._prompt_tokens(self._end(self._text), form)
        states = dict(zip(layers, self._machine.state_at_end(tokens, layers), strict=True))
        for gate in gates:
            logit = float(gate.probe.weight.values.astype("f8") @ states[gate.layer].astype("f8"))
            self._scores[gate] = float(math.probability(logit + gate.probe.bias))

    def _end(self, text: str) -> str:
        tokens = self._machine.tokenize(text, special=False, bos=False)
        if len(tokens) <= MAX_TOKENS:
            return text
        return b"".join(self._machine.pieces(tokens[-MAX_TOKENS:])).decode("utf-8", "ignore")


def judged(program: Program, scores: dict[Gate, float]) -> tuple[GateScore, ...]:
    """For the receipt: each gate once, under the labels of what hangs on it."""
    labels: dict[Gate, list[str]] = {}
    for item in program.interventions:
        if item.gate is not None:
            held = labels.setdefault(item.gate, [])
            if item.label not in held:
                held.append(item.label)
    return tuple(
        GateScore(
            label=", ".join(filter(None, names)),
            score=scores[gate],
            threshold=gate.threshold,
            open=is_open(gate, scores),
        )
        for gate, names in labels.items()
    )


def is_open(gate: Gate, scores: dict[Gate, float]) -> bool:
    return scores[gate] >= gate.threshold
