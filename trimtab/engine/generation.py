"""The engine above every machine: prompts, gates, the reply loop, its events and its receipt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from trimtab.engine.cache import ChatCache
from trimtab.engine.contract import (
    ActivationRequest,
    Event,
    FloatArray,
    GenerateRequest,
    Message,
    ModelInfo,
    Progress,
    ScoreRequest,
)
from trimtab.engine.distinction import Distinction, LogitTuner
from trimtab.engine.gating import GateReader
from trimtab.engine.machine import Machine
from trimtab.engine.plan import Plan, make_measuring_plan, make_plan
from trimtab.engine.program import Anchors, Preface, Program
from trimtab.engine.reply import Reply
from trimtab.engine.scoring import score_pairs
from trimtab.engine.template import ChatTemplate
from trimtab.errors import Cancelled, EngineError, Unsupported

PIECE = 512
"""How many tokens of a prompt are read between two reports of progress."""
_KEPT_DISTINCTIONS = 64


class MachineEngine:
    """An `Engine` over a `Machine`."""

    def __init__(self, machine: Machine, piece: int = PIECE) -> None:
        self.machine = machine
        self.cache = ChatCache(machine)
        self.piece = piece
        self.gates = GateReader(machine, self.prompt_tokens)
        self._template = ChatTemplate(
            self.info.template,
            machine.template_variables(),
            machine.control_texts(),
            machine.defined_texts(),
        )
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._wanted: Program | None = None
        self._distinctions: dict[Anchors, Distinction] = {}

    @property
    def info(self) -> ModelInfo:
        return self.machine.info

    def tokenize(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]:
        return self.machine.tokenize(text, special=special, bos=bos)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        self._check_tokens(tokens)
        return self.machine.pieces(tokens)

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        self.check(request.program)
        self._cancelled.clear()
        self.take_wanted()
        with self._interruptible(), self._starting_clean():
            yield from Reply(self, request).events()

    def steer(self, program: Program) -> None:
        self.check(program)
        with self._lock:
            self._wanted = program

    def cancel(self) -> None:
        self._cancelled.set()

    def activations(self, request: ActivationRequest, progress: Progress) -> FloatArray:
        for layer in set(request.layers) - set(self.info.steerable):
            raise Unsupported(f"Layer {layer} of this model cannot be read.", "Choose another layer.")
        self._cancelled.clear()
        texts: list[tuple[list[int], slice]] = []
        for passage in request.passages:
            tokens = self.prompt_tokens(passage.text, request.form)
            start = 0
            if passage.answer is not None:
                start = len(tokens)
                tokens = tokens + self.tokenize(passage.answer)
            if len(tokens) <= start:
                raise Unsupported("A passage has no tokens to read from.", "Leave out empty texts.")
            texts.append((tokens, slice(start, len(tokens))))
        with self._interruptible(), self._starting_clean():
            return self.machine.activations(texts, request, self._watched(progress))

    def score(self, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
        self.check(request.program)
        self._cancelled.clear()
        with self._interruptible(), self._starting_clean():
            return score_pairs(self, request, self._watched(progress))

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        self._check_tokens(tokens)
        return self.machine.unembed(tokens)

    def close(self) -> None:
        self._template.close()
        self.machine.close()

    def check(self, program: Program) -> None:
        """Refuses by name what this model cannot carry out, before anything runs."""
        program.check(layers=self.info.layers, width=self.info.width, vocabulary=self.info.vocabulary)
        opened = dict.fromkeys(program.gates(), True)
        unsteerable = {gate.layer for gate in program.gates() if gate.probe} - set(self.info.steerable)
        if unsteerable:
            raise Unsupported(f"A gate reads layer {min(unsteerable)}, which cannot be read in this model.")
        plans = [make_plan(program, phase, open_gates=opened) for phase in PHASES]
        for plan in (*plans, make_measuring_plan(program, open_gates=opened)):
            reason = self.machine.unsupported(plan)
            if reason:
                raise Unsupported(reason)

    def prompt_tokens(self, text: str, form: Literal["plain", "chat"]) -> list[int]:
        """A single text as the model reads it, bare or as the user's message."""
        if form == "plain":
            return self.machine.tokenize(text, special=False, bos=True)
        return self.chat_tokens([Message(role="user", content=text)])

    def chat_tokens(self, messages: Sequence[Message], *, resume: bool = False) -> list[int]:
        tokens = self._template.tokens(
            messages, lambda piece: self.machine.tokenize(piece, special=True, bos=False), resume=resume
        )
        start = self.machine.tokenize("", special=False, bos=True)
        return tokens if tokens[: len(start)] == start else start + tokens

    def with_prefaces(self, messages: Sequence[Message], prefaces: Sequence[Preface]) -> list[Message]:
        """The conversation with each preface put into the system prompt or the first user message."""
        found = list(messages)
        for role in ("user", "system"):
            text = "\n\n".join(preface.text for preface in prefaces if preface.place == role)
            if not text:
                continue
            at = next((n for n, message in enumerate(found) if message.role == role), None)
            if at is not None:
                said = found[at].content
                whole = f"{said}\n\n{text}" if role == "system" else f"{text}\n\n{said}"
                found[at] = Message(role=role, content=whole)
            elif role == "system":
                found.insert(0, Message(role="system", content=text))
            else:
                start = sum(message.role == "system" for message in found[:1])
                found.insert(start, Message(role="user", content=text))
        return found

    def install(self, plan: Plan) -> LogitTuner:
        """Puts the plan in place; what carries out its linear tunes.

        All that tuning needs of the model is read now: that takes a pass, which logits do not outlive.
        """
        distinctions = [self._distinction(tune.anchors) for tune in plan.tunes]
        self.machine.install(plan)
        return LogitTuner(plan.tunes, distinctions, self.machine.softcap())

    def _distinction(self, anchors: Anchors) -> Distinction:
        if anchors not in self._distinctions:
            if len(self._distinctions) >= _KEPT_DISTINCTIONS:
                del self._distinctions[next(iter(self._distinctions))]
            self._distinctions[anchors] = Distinction(self.machine, anchors)
        return self._distinctions[anchors]

    def take_wanted(self) -> Program | None:
        """The program that `steer` asked for since the last look."""
        if self._wanted is None:
            return None
        with self._lock:
            wanted, self._wanted = self._wanted, None
        return wanted

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def _check_tokens(self, tokens: Sequence[int]) -> None:
        wrong = [token for token in tokens if not 0 <= token < self.info.vocabulary]
        if wrong:
            raise Unsupported(f"Token {wrong[0]} does not exist; there are {self.info.vocabulary}.")

    def _watched(self, progress: Progress) -> Progress:
        def told(fraction: float) -> bool:
            if self.cancelled:
                raise Cancelled("Stopped.")
            return progress(fraction)

        return told

    @contextmanager
    def _starting_clean(self) -> Iterator[None]:
        """After a failure of the engine, what its cache holds is not to be trusted."""
        try:
            yield
        except EngineError:
            self.cache.reset()
            raise

    def _interruptible(self) -> _Interruptible:
        return _Interruptible(self.machine, self._cancelled.is_set)


PHASES: tuple[Literal["prompt"], Literal["reply"]] = ("prompt", "reply")


class _Interruptible:
    """While it lasts, the machine's forward passes ask whether to stop."""

    def __init__(self, machine: Machine, wanted: Callable[[], bool]) -> None:
        self._machine = machine
        self._wanted = wanted

    def __enter__(self) -> None:
        self._machine.interrupt(self._wanted)

    def __exit__(self, *_: object) -> None:
        self._machine.interrupt(None)
