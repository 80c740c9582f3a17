"""Gates: whether a user's message has to do with a value, asked once per message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from trimtab.engine import math
from trimtab.engine.contract import GateScore
from trimtab.engine.machine import Machine
from trimtab.engine.program import Classifier, Gate, Probe, Program

MAX_TOKENS = 512
"""A gate reads at most the end of a message this long, and no more than half a window."""

Form = Literal["plain", "chat"]


class Classifies(Protocol):
    """A loaded classifier of texts."""

    def probability(self, label: str, text: str) -> float: ...


class GateReader:
    """Reads gates on a machine, each state once per message; classifiers are loaded when they are first asked."""

    def __init__(self, machine: Machine, prompt_tokens: Callable[[str, Form], list[int]]) -> None:
        self._machine = machine
        self._prompt_tokens = prompt_tokens
        self._text = ""
        self._scores: dict[Gate, float] = {}
        self._classifiers: dict[str, Classifies] = {}

    def scores(self, gates: Sequence[Gate], text: str) -> dict[Gate, float]:
        """P of each gate's probe for this message."""
        if text != self._text:
            self._text, self._scores = text, {}
        for form in ("plain", "chat"):
            unread = [
                (gate, gate.probe)
                for gate in gates
                if gate.probe is not None and gate.form == form and gate not in self._scores
            ]
            if unread:
                self._read(unread, form)
        for gate in gates:
            if gate.classifier is not None and gate not in self._scores:
                self._scores[gate] = self._classify(gate.classifier)
        return {gate: self._scores[gate] for gate in gates}

    def _classify(self, wanted: Classifier) -> float:
        if wanted.digest not in self._classifiers:
            from trimtab.engine.loading import load_classifier

            self._classifiers[wanted.digest] = load_classifier(Path(wanted.files[0].path).parent)
        return self._classifiers[wanted.digest].probability(wanted.label, self._text)

    def _read(self, gates: Sequence[tuple[Gate, Probe]], form: Form) -> None:
        layers = sorted({gate.layer for gate, _ in gates})
        tokens = self._prompt_tokens(self._end(self._text), form)
        if not tokens:
            self._scores |= {gate: 0.0 for gate, _ in gates}
            return
        states = dict(zip(layers, self._machine.state_at_end(tokens, layers), strict=True))
        for gate, probe in gates:
            logit = float(probe.weight.values.astype("f8") @ states[gate.layer].astype("f8"))
            self._scores[gate] = float(math.probability(logit + probe.bias))

    def _end(self, text: str) -> str:
        tokens = self._machine.tokenize(text, special=False, bos=False)
        most = max(1, min(MAX_TOKENS, self._machine.info.context // 2))
        if len(tokens) <= most:
            return text
        return b"".join(self._machine.pieces(tokens[-most:])).decode("utf-8", "ignore")


def judged(program: Program, scores: dict[Gate, float]) -> tuple[GateScore, ...]:
    """For the receipt: each gate that was asked once, under the labels of what hangs on it."""
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
        if gate in scores
    )


def is_open(gate: Gate, scores: dict[Gate, float]) -> bool:
    return scores[gate] >= gate.threshold
