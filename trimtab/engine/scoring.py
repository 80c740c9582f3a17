"""Log-probabilities of continuations, in one batch where that is the same, else position by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from trimtab.engine import gating, math
from trimtab.engine.contract import FloatArray, Message, Progress, ScoreRequest
from trimtab.engine.plan import Plan, make_plan, open_prefaces, prompt_probes
from trimtab.engine.program import Preface
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
    def alike(self) -> str | None:
        """Pairs of which this is equal can be read in one batch; None for one that cannot be read at once.

        That is so if one plan does for all positions, and if all that is tuned is tuned on logits.
        """
        at_once = self.prompt.fingerprint == self.reply.fingerprint
        return self.reply.fingerprint if at_once and all(tune.linear for tune in self.reply.tunes) else None


def score_pairs(engine: MachineEngine, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
    """For each pair the log-probability of each token of the continuation."""
    pairs = [_pair(engine, request, context, said) for context, said in request.pairs]
    found: list[FloatArray] = [np.empty(0, dtype=np.float32)] * len(pairs)
    done = 0
    for group in _groups(pairs):
        alone = pairs[group[0]].alike is None
        batch = [_score_one(engine, pairs[group[0]])] if alone else _score_batch(engine, pairs, group)
        for number, scores in zip(group, batch, strict=True):
            found[number] = scores
        done += len(group)
        progress(done / len(pairs))
    return found


def _groups(pairs: list[_Pair]) -> list[list[int]]:
    """The pairs to read together, by number."""
    together: dict[object, list[int]] = {}
    for number, pair in enumerate(pairs):
        key = number if pair.alike is None else (pair.alike, pair.reply.tunes)
        together.setdefault(key, []).append(number)
    return list(together.values())


def _score_batch(engine: MachineEngine, pairs: list[_Pair], group: list[int]) -> list[FloatArray]:
    """In sequences of their own, beside the chat's."""
    plan = pairs[group[0]].reply
    tuner = engine.install(plan)
    texts = [(pairs[number].context, pairs[number].continuation) for number in group]
    return engine.machine.score(texts, tuner.apply if plan.tunes else None, lambda _: not engine.cancelled)


def _pair(engine: MachineEngine, request: ScoreRequest, context: str, continuation: str) -> _Pair:
    program = request.program
    scores = engine.gates.scores(program.gates(), context)
    opened = {gate: gating.is_open(gate, scores) for gate in program.gates()}
    if prompt_probes(program, opened):
        raise Unsupported("Raises of the prompt policy cannot be scored.", "Use the token policy.")
    before = _context(engine, context, open_prefaces(program, opened), request.form)
    after = engine.machine.tokenize(continuation, special=False, bos=False)
    if not before or not after:
        raise Unsupported("A pair to score needs a context and a continuation.")
    length, window = len(before) + len(after), engine.info.context
    if length > window:
        raise ContextFull(f"A text to score is {length} tokens long; the window holds {window}.")
    prompt, reply = (make_plan(program, phase, open_gates=opened) for phase in ("prompt", "reply"))
    return _Pair(before, after, prompt, reply)


def _context(
    engine: MachineEngine, text: str, prefaces: Sequence[Preface], form: Literal["plain", "chat"]
) -> list[int]:
    if form == "chat":
        return engine.chat_tokens(engine.with_prefaces([Message(role="user", content=text)], prefaces))
    start = "".join(f"{preface.text}\n\n" for preface in prefaces)
    return engine.machine.tokenize(start + text, special=False, bos=True)


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
