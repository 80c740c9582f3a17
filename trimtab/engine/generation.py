"""The engine above every machine: prompts, gates, the reply loop, its events and its receipt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from trimtab.engine.cache import Sequence0
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
from trimtab.engine.distinction import Distinction, LinearTune
from trimtab.engine.gating import GateReader
from trimtab.engine.machine import Machine
from trimtab.engine.plan import Plan, make_plan
from trimtab.engine.program import Anchors, Preface, Program, Tune
from trimtab.engine.reply import Reply
from trimtab.engine.scoring import score_pairs
from trimtab.engine.template import ChatTemplate
from trimtab.errors import Cancelled, Unsupported

PIECE = 512
"""How many tokens of a prompt are read between two reports of progress."""
_KEPT_TUNES = 64
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class MachineEngine:
    """An `Engine` over a `Machine`."""

    def __init__(self, machine: Machine, piece: int = PIECE) -> None:
        self.machine = machine
        self.sequence = Sequence0(machine)
        self.piece = piece
        self.gates = GateReader(machine, self.prompt_tokens)
        self._template = ChatTemplate(
            self.info.template, machine.template_variables(), machine.special_texts()
        )
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._wanted: Program | None = None
        self._tunes: dict[Tune, LinearTune] = {}
        self._distinctions: dict[Anchors, Distinction] = {}

    @property
    def info(self) -> ModelInfo:
        return self.machine.info

    def tokenize(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]:
        return self.machine.tokenize(text, special=special, bos=bos)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return self.machine.pieces(tokens)

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        self.check(request.program)
        self._cancelled.clear()
        self.take_wanted()
        with self._interruptible():
            yield from Reply(self, request).events()

    def steer(self, program: Program) -> None:
        self.check(program)
        with self._lock:
            self._wanted = program

    def cancel(self) -> None:
        self._cancelled.set()

    def activations(self, request: ActivationRequest, progress: Progress) -> FloatArray:
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
        with self._interruptible():
            return self.machine.activations(texts, request, self._watched(progress))

    def score(self, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
        self.check(request.program)
        self._cancelled.clear()
        with self._interruptible():
            return score_pairs(self, request, self._watched(progress))

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        wrong = [token for token in tokens if not 0 <= token < self.info.vocabulary]
        if wrong:
            raise Unsupported(f"Token {wrong[0]} does not exist; there are {self.info.vocabulary}.")
        return self.machine.unembed(tokens)

    def close(self) -> None:
        self.machine.close()

    def check(self, program: Program) -> None:
        """Refuses by name what this model cannot carry out, before anything runs."""
        program.check(layers=self.info.layers, width=self.info.width, vocabulary=self.info.vocabulary)
        opened = dict.fromkeys(program.gates(), True)
        unsteerable = {gate.layer for gate in program.gates()} - set(self.info.steerable)
        if unsteerable:
            raise Unsupported(f"A gate reads layer {min(unsteerable)}, which cannot be read in this model.")
        for plan in (make_plan(program, phase, open_gates=opened, measuring=True) for phase in PHASES):
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
        for preface in prefaces:
            at = next((n for n, message in enumerate(found) if message.role == preface.place), None)
            if at is None:
                found.insert(0, Message(role=preface.place, content=preface.text))
            elif preface.place == "system":
                found[at] = Message(role="system", content=f"{found[at].content}\n\n{preface.text}")
            else:
                found[at] = Message(role="user", content=f"{preface.text}\n\n{found[at].content}")
        return found

    def install(self, plan: Plan) -> None:
        """Puts the plan in place, with what its tunes need of the model, as logits do not outlive a pass."""
        for tune in plan.tunes:
            if tune.linear:
                self.linear_tune(tune)
            self.distinction(tune.anchors)
        self.machine.install(plan)

    def linear_tune(self, tune: Tune) -> LinearTune:
        if tune not in self._tunes:
            _forget_oldest(self._tunes)
            self._tunes[tune] = LinearTune(self.machine, tune)
        return self._tunes[tune]

    def distinction(self, anchors: Anchors) -> Distinction:
        if anchors not in self._distinctions:
            _forget_oldest(self._distinctions)
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

    def _watched(self, progress: Progress) -> Progress:
        def told(fraction: float) -> bool:
            if self.cancelled:
                raise Cancelled("Stopped.")
            return progress(fraction)

        return told

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


def _forget_oldest(kept: dict[_Key, _Value]) -> None:
    if len(kept) >= _KEPT_TUNES:
        del kept[next(iter(kept))]
