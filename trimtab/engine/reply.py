"""One reply: reading the prompt under its plan, then token after token, with what was done on record."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
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
from trimtab.engine.plan import Phase, Plan, make_plan, measured_layers, open_prefaces
from trimtab.engine.program import Gate, Preface, Program, Raise
from trimtab.engine.receipt import LayerTally, PhiTally, merged, steered_layers, watched_values
from trimtab.engine.sampling import Sampler
from trimtab.engine.text import StopScanner, TextStream
from trimtab.errors import Cancelled, ContextFull

if TYPE_CHECKING:
    from trimtab.engine.generation import MachineEngine


class Reply:
    """Runs one `GenerateRequest` on an engine."""

    def __init__(self, engine: MachineEngine, request: GenerateRequest) -> None:
        self._engine = engine
        self._machine = engine.machine
        self._sequence = engine.sequence
        self._request = request
        self._program = request.program
        self._gates: dict[Gate, float] = {}
        self._fixed: dict[int, FloatArray] = {}
        self._reply_plan = Plan(fingerprint="")
        self._reuse = Reuse(length=0, other_programs=0)
        self._prompt_tally = LayerTally(engine.info.layers)
        self._reply_tally = LayerTally(engine.info.layers)
        self._phi = PhiTally()
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
        layers = measured_layers(self._program, self._open(self._program))
        if layers:
            yield from self._measure(layers)
        plan = self._plan("prompt")
        self._reply_plan = self._plan("reply")
        yield from self._prefill(plan, same_program=self._request.reread or bool(layers))
        self._prompt_tally.add(self._machine.readings(), plan)
        self._engine.install(self._reply_plan)
        logits = self._sequence.decode(self._prompt[-1:], self._reply_plan)
        yield Prefill(done=len(self._prompt), total=len(self._prompt), cached=self._reuse.length)
        return logits

    def _measure(self, layers: frozenset[int]) -> Iterator[Event]:
        """Reads the prompt once to see which shift its last token needs, layer after layer."""
        opened = self._open(self._program)
        yield from self._prefill(self._plan("prompt"), same_program=self._request.reread)
        measuring = make_plan(self._program, "reply", open_gates=opened, measuring=True)
        self._machine.install(measuring)
        self._sequence.decode(self._prompt[-1:], measuring)
        self._fixed = {
            layer: shift for layer, shift in self._machine.deltas().items() if layer in layers and shift.any()
        }

    def _prefill(self, plan: Plan, *, same_program: bool) -> Iterator[Event]:
        """Brings the sequence to all of the prompt but its last token."""
        prompt = self._prompt
        self._reuse = self._sequence.reuse(prompt, plan.fingerprint, same_program=same_program)
        self._machine.install(plan)
        done = self._reuse.length
        yield Prefill(done=done, total=len(prompt), cached=self._reuse.length)
        while done < len(prompt) - 1:
            piece = prompt[done : min(done + self._engine.piece, len(prompt) - 1)]
            self._sequence.decode(piece, plan)
            done += len(piece)
            yield Prefill(done=done, total=len(prompt), cached=self._reuse.length)

    def _plan(self, phase: Phase) -> Plan:
        return make_plan(self._program, phase, open_gates=self._open(self._program), fixed=self._fixed)

    def _speak(
        self, logits: FloatArray, sampler: Sampler, stream: TextStream, text: StopScanner
    ) -> Generator[Event, None, EndReason]:
        """Chooses tokens and tells of them until something ends the reply."""
        while True:
            plan = self._reply_plan
            readings = self._machine.readings()
            self._reply_tally.add(readings, plan)
            phi = self._tune(logits, plan)
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
            if len(self._sequence) >= self._engine.info.context and not self._make_room():
                return "window"
            yield from self._take_wanted()
            logits = self._sequence.decode([token], self._reply_plan)

    def _tune(self, logits: FloatArray, plan: Plan) -> dict[str, float]:
        """Carries out the linear tunes on the logits; phi of every anchor set afterwards."""
        if not plan.tunes:
            return {}
        before: dict[str, float] = {}
        for tune in plan.tunes:
            if tune.linear:
                before[tune.anchors.name], _ = self._engine.linear_tune(tune).apply(logits)
        phi = {tune.anchors.name: self._engine.distinction(tune.anchors).phi(logits) for tune in plan.tunes}
        for name, value in phi.items():
            self._phi.add(name, before.get(name), value)
        return phi

    def _take_wanted(self) -> Iterator[Event]:
        """Turns to the program asked for meanwhile, but for what is read before a reply."""
        wanted = self._engine.take_wanted()
        if wanted is None or wanted == self._program:
            return
        self._judge(wanted)
        deferred = _deferred(self._program, wanted)
        self._program = wanted
        self._reply_plan = self._plan("reply")
        self._engine.install(self._reply_plan)
        self._changes.append((self._count, wanted.fingerprint))
        yield Steered(index=self._count, fingerprint=wanted.fingerprint, deferred=deferred)

    def _make_room(self) -> bool:
        """Lets go of the older half of what follows the system prompt."""
        drop = (len(self._sequence) - self._kept_tokens) // 2
        if not self._engine.info.can_shift or drop < 1:
            return False
        self._sequence.slide(self._kept_tokens, drop)
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


def _deferred(running: Program, wanted: Program) -> tuple[str, ...]:
    """What of `wanted` is read or measured before a reply and differs from what was."""

    def early(program: Program) -> list[Preface | Raise]:
        return [
            item
            for item in program.interventions
            if isinstance(item, Preface) or (isinstance(item, Raise) and item.policy == "prompt")
        ]

    before = early(running)
    return tuple(dict.fromkeys(item.title for item in early(wanted) if item not in before))
