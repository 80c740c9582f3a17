"""Log-probabilities of continuations, in one batch where that is the same, else position by position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trimtab.engine import gating, math
from trimtab.engine.contract import FloatArray, Progress, ScoreRequest
from trimtab.engine.plan import Plan, make_plan, open_prefaces, prompt_probes
from trimtab.engine.program import Program
from trimtab.errors import Cancelled, ContextFull, Unsupported

if TYPE_CHECKING:
    from trimtab.engine.generation import MachineEngine


@dataclass(frozen=True)
class _Pair:
    """A context and its continuation as tokens, and what to do while they are read."""

    context: list[int]
    continuation: list[int]
    prompt: Plan
    reply: Plan

    @property
    def steered(self) -> bool:
        return self.prompt.steers or self.reply.steers


def score_pairs(engine: MachineEngine, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
    """For each pair the log-probability of each token of the continuation."""
    pairs = [_pair(engine, request.program, context, said) for context, said in request.pairs]
    if not any(pair.steered for pair in pairs):
        return engine.machine.score([(pair.context, pair.continuation) for pair in pairs], progress)
    found = []
    for number, pair in enumerate(pairs, 1):
        found.append(_score_one(engine, pair))
        progress(number / len(pairs))
    return found


def _pair(engine: MachineEngine, program: Program, context: str, continuation: str) -> _Pair:
    scores = engine.gates.scores(program.gates(), context)
    opened = {gate: gating.is_open(gate, scores) for gate in program.gates()}
    if prompt_probes(program, opened):
        raise Unsupported("Raises of the prompt policy cannot be scored.", "Use the token policy.")
    start = "".join(f"{preface.text}\n\n" for preface in open_prefaces(program, opened))
    before = engine.machine.tokenize(start + context, special=False, bos=True)
    after = engine.machine.tokenize(continuation, special=False, bos=False)
    if not before or not after:
        raise Unsupported("A pair to score needs a context and a continuation.")
    length, window = len(before) + len(after), engine.info.context
    if length > window:
        raise ContextFull(f"A text to score is {length} tokens long; the window holds {window}.")
    prompt, reply = (make_plan(program, phase, open_gates=opened) for phase in ("prompt", "reply"))
    return _Pair(before, after, prompt, reply)


def _score_one(engine: MachineEngine, pair: _Pair) -> FloatArray:
    """Reads the pair in the chat's sequence, one position of the continuation at a time."""
    engine.cache.reuse(pair.context, pair.prompt.fingerprint, same_program=True)
    engine.install(pair.prompt)
    unread = pair.context[len(engine.cache) : -1]
    if unread:
        engine.cache.decode(unread, pair.prompt)
    tuner = engine.install(pair.reply)
    logits = engine.cache.decode(pair.context[-1:], pair.reply)
    found = np.empty(len(pair.continuation), dtype=np.float32)
    for place, token in enumerate(pair.continuation):
        if engine.cancelled:
            raise Cancelled("Stopped.")
        tuner.apply(logits)
        found[place] = math.log_probability(logits, token)
        if place + 1 < len(pair.continuation):
            logits = engine.cache.decode([token], pair.reply)
    return found
