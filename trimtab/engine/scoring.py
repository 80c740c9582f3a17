"""Log-probabilities of continuations, in one batch where that is the same, else position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trimtab.engine import gating
from trimtab.engine.contract import FloatArray, Progress, ScoreRequest
from trimtab.engine.plan import Plan, make_plan, measured_layers, open_prefaces
from trimtab.engine.program import Program
from trimtab.errors import ContextFull, Unsupported

if TYPE_CHECKING:
    from trimtab.engine.generation import MachineEngine


def score_pairs(engine: MachineEngine, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
    """For each pair the log-probability of each token of the continuation."""
    program = request.program
    pairs = [_tokens(engine, program, context, continuation) for context, continuation in request.pairs]
    if not program.gates() and not program.interventions:
        return engine.machine.score(pairs, Plan(fingerprint=""), progress)
    results = []
    for number, (pair, (context, _)) in enumerate(zip(pairs, request.pairs, strict=True)):
        scores = engine.gates.scores(program.gates(), context)
        opened = {gate: gating.is_open(gate, scores) for gate in program.gates()}
        if measured_layers(program, opened):
            raise Unsupported("Raises of the prompt policy cannot be scored.", "Use the token policy.")
        results.append(
            _score_one(
                engine,
                *pair,
                make_plan(program, "prompt", open_gates=opened),
                make_plan(program, "reply", open_gates=opened),
            )
        )
        progress((number + 1) / len(pairs))
    return results


def _tokens(
    engine: MachineEngine, program: Program, context: str, continuation: str
) -> tuple[list[int], list[int]]:
    scores = engine.gates.scores(program.gates(), context)
    opened = {gate: gating.is_open(gate, scores) for gate in program.gates()}
    start = "".join(f"{preface.text}\n\n" for preface in open_prefaces(program, opened))
    before = engine.machine.tokenize(start + context, special=False, bos=True)
    after = engine.machine.tokenize(continuation, special=False, bos=False)
    if not before or not after:
        raise Unsupported("A pair to score needs a context and a continuation.")
    length, window = len(before) + len(after), engine.info.context
    if length > window:
        raise ContextFull(f"A text to score is {length} tokens long; the window holds {window}.")
    return before, after


def _score_one(
    engine: MachineEngine, context: list[int], continuation: list[int], prompt: Plan, reply: Plan
) -> FloatArray:
    """Reads the pair in the chat's sequence, one position of the continuation at a time."""
    engine.sequence.reuse(context, prompt.fingerprint, same_program=True)
    engine.machine.install(prompt)
    unread = context[len(engine.sequence) : -1]
    if unread:
        engine.sequence.decode(unread, prompt)
    engine.install(reply)
    logits = engine.sequence.decode(context[-1:], reply)
    found = np.empty(len(continuation), dtype=np.float32)
    for place, token in enumerate(continuation):
        for tune in reply.tunes:
            if tune.linear:
                engine.linear_tune(tune).apply(logits)
        exact = logits.astype(np.float64)
        found[place] = exact[token] - exact.max() - np.log(np.exp(exact - exact.max()).sum())
        if place + 1 < len(continuation):
            logits = engine.sequence.decode([token], reply)
    return found
