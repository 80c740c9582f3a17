"""One reply: reading the prompt under its plan, then token after token, with what was done on record."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING

from trimtab.engine import gating
from trimtab.engine.cache import Reuse
from trimtab.engine.contract import (
    Done,
    EndReason,
    Event,
    FloatArray,
    GenerateRequest,
    History,
    Message,
    Prefill,
    Receipt,
    Steered,
    Token,
)
from trimtab.engine.distinction import LogitTuner
from trimtab.engine.plan import (
    NOTHING,
    Measured,
    Phase,
    Plan,
    make_measuring_plan,
    make_plan,
    open_prefaces,
    prompt_probes,
)
from trimtab.engine.program import Gate, Program, Raise
from trimtab.engine.receipt import LayerTally, PhiTally, merged, steered_layers, watched_values
from trimtab.engine.sampling import Sampler
from trimtab.engine.text import StopScanner, TextStream
from trimtab.errors import Cancelled, ContextFull, TrimtabError

if TYPE_CHECKING:
    from trimtab.engine.generation import MachineEngine


class Reply:
    """Runs one `GenerateRequest` on an engine."""

    def __init__(self, engine: MachineEngine, request: GenerateRequest) -> None:
        self._engine = engine
        self._machine = engine.machine
        self._cache = engine.cache
        self._request = request
        self._program = request.program
        self._gates: dict[Gate, float] = {}
        self._measured: dict[int, Measured] = {}
        self._reply_plan = NOTHING
        self._tuner = LogitTuner((), (), 0.0)
        self._reuse = Reuse(length=0, other_programs=0)
        self._prompt_tally = LayerTally(engine.info.layers)
        self._reply_tally = LayerTally(engine.info.layers)
        self._phi = PhiTally()
        self._read_before = False
        self._changes: list[tuple[int, str]] = []
        self._prompt: list[int] = []
        self._kept_tokens = 0
        self._steered_tokens = 0
        self._window_shifts = 0
        self._count = 0

    def events(self) -> Iterator[Event]:
        started = time.perf_counter()
        sampler = Sampler(self._request.sampling)
        reason: EndReason = "cancelled"
        text = StopScanner(self._request.sampling.stop)
        stream = TextStream()
        begun: float | None = None
        try:
            self._judge(self._program)
            self._prompt = self._prompt_tokens()
            logits = yield from self._read_prompt()
            sampler = Sampler(self._request.sampling, self._prompt)
            begun = time.perf_counter()
            reason = yield from self._speak(logits, sampler, stream, text)
        except Cancelled:
            reason = "cancelled"
        ended = time.perf_counter()
        held = "" if text.stopped else text.feed(stream.finish()) + text.finish()
        yield Done(
            reason=reason,
            text=held,
            receipt=self._receipt(
                sampler.seed,
                prefill=(begun if begun is not None else ended) - started,
                spoken=ended - begun if begun is not None else 0.0,
            ),
        )

    def _judge(self, program: Program) -> None:
        """Asks the gates that were not asked yet."""
        gates = program.gates()
        if any(gate not in self._gates for gate in gates):
            self._gates |= self._engine.gates.scores(gates, self._gate_text())

    def _open(self, program: Program) -> dict[Gate, bool]:
        return {gate: gating.is_open(gate, self._gates) for gate in program.gates()}

    def _gate_text(self) -> str:
        if self._request.gate_text is not None:
            return self._request.gate_text
        asked = [message.content for message in self._request.messages if message.role == "user"]
        return asked[-1] if asked else self._request.text or ""

    def _prompt_tokens(self) -> list[int]:
        prefaces = open_prefaces(self._program, self._open(self._program))
        if self._request.text is not None:
            start = "".join(f"{preface.text}\n\n" for preface in prefaces)
            tokens = self._machine.tokenize(start + self._request.text, special=False, bos=True)
            self._kept_tokens = len(self._machine.tokenize("", special=False, bos=True))
        else:
            messages = self._engine.with_prefaces(self._request.messages, prefaces)
            tokens = self._engine.chat_tokens(messages, resume=self._request.resume)
            self._kept_tokens = self._system_length(messages, tokens)
        window = self._engine.info.context
        if len(tokens) >= window:
            raise ContextFull(
                f"The conversation is {len(tokens)} tokens long; this model's window holds {window}.",
                "Start a new conversation, shorten this one, or load the model with a larger context.",
            )
        if not tokens:
            raise ContextFull("There is nothing to continue from.", "Say something first.")
        return tokens

    def _system_length(self, messages: list[Message], tokens: list[int]) -> int:
        """How many tokens at the start are the system prompt's: a full window lets go of later ones."""
        start = len(self._machine.tokenize("", special=False, bos=True))
        if messages[0].role != "system" or len(messages) < 2:
            return start
        other = self._engine.chat_tokens([messages[0], Message(role="user", content="\N{FULL BLOCK}")])
        shared = 0
        for left, right in zip(tokens, other, strict=False):
            if left != right:
                break
            shared += 1
        return max(start, shared)

    def _read_prompt(self) -> Generator[Event, None, FloatArray]:
        """Reads all but the prompt's last token under the prompt's plan, that one under the reply's.

        Returns the logits after it.
        """
        probes = prompt_probes(self._program, self._open(self._program))
        if probes:
            yield from self._measure(probes)
        plan = self._plan("prompt")
        self._reply_plan = self._plan("reply")
        yield from self._prefill(plan, same_program=self._request.reread or bool(probes))
        self._tuner = self._engine.install(self._reply_plan)
        logits = self._cache.decode(self._prompt[-1:], self._reply_plan)
        yield Prefill(done=len(self._prompt), total=len(self._prompt), cached=self._reuse.length)
        return logits

    def _measure(self, probes: Mapping[int, frozenset[str]]) -> Iterator[Event]:
        """Reads the prompt once to see which shift its last token needs, layer after layer."""
        yield from self._prefill(self._plan("prompt"), same_program=self._request.reread)
        measuring = make_measuring_plan(self._program, open_gates=self._open(self._program))
        self._engine.install(measuring)
        self._cache.decode(self._prompt[-1:], measuring)
        deltas = self._machine.deltas()
        self._measured = {
            layer: Measured(probes=raised, shift=deltas[layer])
            for layer, raised in probes.items()
            if layer in deltas
        }

    def _prefill(self, plan: Plan, *, same_program: bool) -> Iterator[Event]:
        """Brings the sequence to all of the prompt but its last token."""
        prompt, last = self._prompt, len(self._prompt) - 1
        reuse = self._cache.reuse(prompt, plan.fingerprint, same_program=same_program)
        if self._read_before and reuse.length == last:
            return  # measuring has just read it all, under this very plan
        self._reuse, self._read_before = reuse, True
        self._prompt_tally = LayerTally(self._engine.info.layers)
        self._machine.install(plan)
        done = reuse.length
        yield Prefill(done=done, total=len(prompt), cached=reuse.length)
        while done < last:
            piece = prompt[done : min(done + self._engine.piece, last)]
            self._cache.decode(piece, plan)
            done += len(piece)
            yield Prefill(done=done, total=len(prompt), cached=reuse.length)
        self._prompt_tally.add(self._machine.readings(), plan)

    def _plan(self, phase: Phase) -> Plan:
        return make_plan(self._program, phase, open_gates=self._open(self._program), measured=self._measured)

    def _speak(
        self, logits: FloatArray, sampler: Sampler, stream: TextStream, text: StopScanner
    ) -> Generator[Event, None, EndReason]:
        """Chooses tokens and tells of them until something ends the reply."""
        while True:
            plan = self._reply_plan
            readings = self._machine.readings()
            self._reply_tally.add(readings, plan)
            phi = self._tune(logits)
            token, logprob = sampler.choose(logits)
            if self._machine.is_end(token):
                return "end"
            shown = text.feed(stream.feed(self._machine.pieces([token])[0]))
            self._count += 1
            self._steered_tokens += plan.steers
            yield Token(
                id=token,
                text=shown,
                logprob=logprob,
                phi=phi,
                watched=watched_values(readings, plan),
                shift=steered_layers(readings),
            )
            if text.stopped:
                return "stop"
            if self._count == self._request.sampling.max_tokens:
                return "length"
            if self._engine.cancelled:
                return "cancelled"
            if len(self._cache) >= self._engine.info.context and not self._make_room():
                return "window"
            yield from self._take_wanted()
            logits = self._cache.decode([token], self._reply_plan)

    def _tune(self, logits: FloatArray) -> dict[str, float]:
        """Carries out the linear tunes on the logits; phi of every anchor set afterwards."""
        before, after = self._tuner.apply(logits)
        for name, value in after.items():
            self._phi.add(name, before[name], value)
        return after

    def _take_wanted(self) -> Iterator[Event]:
        """Turns to the program asked for meanwhile, but for what is read before a reply."""
        wanted = self._engine.take_wanted()
        if wanted is None or wanted == self._program:
            return
        running, plan = self._program, self._reply_plan
        try:
            self._judge(wanted)
            self._program = wanted
            self._reply_plan = self._plan("reply")
            self._tuner = self._engine.install(self._reply_plan)
        except Cancelled:
            raise
        except TrimtabError as error:
            self._program, self._reply_plan = running, plan
            self._tuner = self._engine.install(plan)
            yield Steered(index=self._count, fingerprint=running.fingerprint, failed=str(error))
            return
        self._changes.append((self._count, wanted.fingerprint))
        yield Steered(index=self._count, fingerprint=wanted.fingerprint, deferred=self._deferred())

    def _deferred(self) -> tuple[str, ...]:
        """What the running program and the one that the prompt was read under see differently."""
        opened = self._open(self._program)
        said = set(open_prefaces(self._request.program, self._open(self._request.program)))
        wanted = set(open_prefaces(self._program, opened))
        asked = {item.title: item for item in _measured_raises(self._program, opened)}
        known = _measured_raises(self._request.program, self._open(self._request.program))
        late = [item.title for item in self._program.interventions if item in wanted - said]
        late += [item.title for item in self._request.program.interventions if item in said - wanted]
        late += [title for title, item in asked.items() if item not in known]
        return tuple(dict.fromkeys(late))

    def _make_room(self) -> bool:
        """Lets go of the older half of what follows the system prompt."""
        drop = (len(self._cache) - self._kept_tokens) // 2
        if not self._engine.info.can_shift or drop < 1:
            return False
        self._cache.slide(self._kept_tokens, drop)
        self._window_shifts += 1
        return True

    def _receipt(self, seed: int, *, prefill: float, spoken: float) -> Receipt:
        info = self._engine.info
        return Receipt(
            model=info.name,
            vocabulary_hash=info.vocabulary_hash,
            engine=info.engine,
            fingerprint=self._request.program.fingerprint,
            steered=tuple(self._changes),
            gates=gating.judged(self._program, self._gates),
            prompt_layers=self._prompt_tally.layers(),
            reply_layers=self._reply_tally.layers(),
            missed=merged(self._prompt_tally, self._reply_tally),
            phi=self._phi.means(),
            prompt_tokens=len(self._prompt),
            cached_tokens=self._reuse.length,
            other_programs=self._reuse.other_programs,
            history=self._history(),
            reply_tokens=self._count,
            steered_tokens=self._steered_tokens,
            window_shifts=self._window_shifts,
            seed=seed,
            sampling=self._request.sampling,
            prefill_seconds=prefill,
            reply_seconds=spoken,
        )

    def _history(self) -> History:
        if self._reuse.length == 0:
            return "fresh"
        return "as spoken" if self._reuse.other_programs else "same program"


def _measured_raises(program: Program, opened: dict[Gate, bool]) -> list[Raise]:
    return [
        item
        for item in program.interventions
        if isinstance(item, Raise) and item.policy == "prompt" and (item.gate is None or opened[item.gate])
    ]
