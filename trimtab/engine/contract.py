"""What an engine is: the questions it answers, and the shapes of questions and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from trimtab.engine.program import EMPTY, Program
from trimtab.errors import TrimtabError

FloatArray = npt.NDArray[np.float32]
Role = Literal["system", "user", "assistant"]
History = Literal["fresh", "same program", "as spoken"]
"""How the cached part of a prompt was computed: none is cached, under this program, or under others."""
EndReason = Literal["end", "stop", "length", "window", "cancelled"]


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


def _within(field: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise TrimtabError(f"{field} lies between {low:g} and {high:g}, not at {value}.")


class Message(_Struct, frozen=True, kw_only=True):
    role: Role
    content: str


class Sampling(_Struct, frozen=True, kw_only=True):
    """How the next token is chosen; temperature 0 is greedy."""

    temperature: float = 0.8
    top_k: int = 40
    """0 keeps all."""
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last: int = 64
    seed: int | None = None
    """None draws one; the receipt tells which."""
    max_tokens: int | None = None
    """None goes on until the model ends or the window is full."""
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, low, high in (
            ("temperature", 0.0, 100.0),
            ("top_k", 0, 2**31),
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("repeat_penalty", 0.01, 100.0),
            ("repeat_last", 0, 2**31),
            ("seed", 0, 2**64 - 1),
            ("max_tokens", 1, 2**31),
        ):
            _within(field, getattr(self, field), low, high)
        if any(not stop for stop in self.stop):
            raise TrimtabError("A stop string is empty.", "Leave it out.")


class LoadRequest(_Struct, frozen=True, kw_only=True):
    """Which model to load and how; what is None the engine chooses."""

    path: str
    engine: Literal["auto", "llama", "torch"] = "auto"
    """`auto` takes llama.cpp for a GGUF file and PyTorch for a folder."""
    context: int | None = None
    threads: int | None = None
    """None takes the physical cores less one."""
    gpu_layers: int | None = None
    """None puts all on a GPU where there is one."""
    batch: int = 512
    """How many tokens are read in one piece: progress and cancellation come between pieces."""
    exact: bool = False
    """f32 arithmetic and cache and no flash attention, so that engines agree token for token."""
    device: str | None = None
    native: bool = True
    """Use the compiled kernel; without it, or without a compiler's output, numpy does the same."""

    def __post_init__(self) -> None:
        _within("context", self.context, 1, 2**31 - 1)
        _within("threads", self.threads, 1, 512)
        _within("gpu_layers", self.gpu_layers, 0, 2**31 - 1)
        _within("batch", self.batch, 1, 2**20)


class ModelInfo(_Struct, frozen=True, kw_only=True):
    """What a loaded model is and can do."""

    engine: Literal["llama", "torch"]
    name: str
    path: str
    architecture: str
    layers: int
    width: int
    vocabulary: int
    vocabulary_hash: str
    context: int
    trained_context: int
    parameters: int
    quantisation: str
    device: str
    template: str | None
    """The model's chat template, or None when it has none and ChatML is used."""
    steerable: tuple[int, ...]
    """The layers whose output can be read and shifted, found at load by looking."""
    capabilities: tuple[str, ...]
    """The interventions it can carry out, as `Shift`, `Raise`, `Tune`, ..., `Tune.prenorm`."""
    can_cut: bool
    """Whether the cache can be cut back; if not, a changed history is read anew."""
    can_shift: bool
    """Whether a full window can let go of its oldest part."""
    native: bool
    """Whether the compiled kernel runs."""
    threads: int
    warnings: tuple[str, ...] = ()


class GenerateRequest(_Struct, frozen=True, kw_only=True):
    """A conversation to answer, or a text to continue, under a program."""

    messages: tuple[Message, ...] = ()
    text: str | None = None
    """Instead of messages: raw text to continue, special tokens not parsed."""
    program: Program = EMPTY
    sampling: Sampling = Sampling()
    reread: bool = False
    """Read the history anew where it was computed under another program."""
    resume: bool = False
    """The last message is the assistant's own: go on with it."""
    gate_text: str | None = None
    """What the gates read instead of the last user message: a follow-up passes its topic."""

    def __post_init__(self) -> None:
        if (self.text is None) == (not self.messages):
            raise TrimtabError("A request holds either messages or a text.")
        if self.resume and (not self.messages or self.messages[-1].role != "assistant"):
            raise TrimtabError("Only a conversation that ends with the assistant can be resumed.")


class Passage(_Struct, frozen=True, kw_only=True):
    """A text to read activations from; with an answer, positions are those of the answer."""

    text: str
    answer: str | None = None


class ActivationRequest(_Struct, frozen=True, kw_only=True):
    passages: tuple[Passage, ...]
    layers: tuple[int, ...]
    positions: Literal["last", "mean"] = "last"
    form: Literal["plain", "chat"] = "plain"
    """Bare text, or the text as the user's message inside the chat template."""


class ScoreRequest(_Struct, frozen=True, kw_only=True):
    """Continuations to score after their contexts, special tokens not parsed."""

    pairs: tuple[tuple[str, str], ...]
    program: Program = EMPTY
    form: Literal["plain", "chat"] = "plain"
    """Contexts as bare text, or as the user's message inside the chat template."""


class Prefill(_Struct, tag="prefill", frozen=True, kw_only=True):
    """How far the prompt has been read."""

    done: int
    total: int
    cached: int


class Token(_Struct, tag="token", frozen=True, kw_only=True):
    """One token of the reply and what steering did at the position that predicted it."""

    id: int
    text: str
    """Complete characters only; a character split over tokens comes with its last one."""
    logprob: float
    """Under the steered distribution, before temperature and cuts."""
    phi: dict[str, float] = {}
    """The value distinction of each anchor set, after tuning."""
    watched: dict[str, float] = {}
    """P of each watched probe."""
    shift: dict[int, float] = {}
    """The norm of the shift at each layer that moved."""


class Steered(_Struct, tag="steered", frozen=True, kw_only=True):
    """The program was changed before the token of this index."""

    index: int
    fingerprint: str
    deferred: tuple[str, ...] = ()
    """What in it is read before a reply and so waits for the next one, or in the one before and so stays."""
    failed: str = ""
    """Why the program asked for could not be put in place: the one before goes on."""


class GateScore(_Struct, frozen=True, kw_only=True):
    label: str
    score: float
    threshold: float
    open: bool


class LayerShift(_Struct, frozen=True, kw_only=True):
    """What was done at one layer: of `positions` that passed it, `moved` were shifted."""

    layer: int
    positions: int
    moved: int
    mean: float
    """The mean norm over the moved positions."""
    maximum: float


class Missed(_Struct, frozen=True, kw_only=True):
    """A target that could not be reached under the cap."""

    layer: int
    label: str
    row: int
    times: int
    by: float
    """The largest shortfall, in logits."""


class PhiMeans(_Struct, frozen=True, kw_only=True):
    """The mean value distinction over a reply, before tuning and after it."""

    before: float | None
    """None where the tuning happened inside the model, so that only its result is seen."""
    after: float


class Receipt(_Struct, frozen=True, kw_only=True):
    """What was really done to a reply."""

    model: str
    vocabulary_hash: str
    engine: str
    fingerprint: str
    """The program the reply began with."""
    steered: tuple[tuple[int, str], ...] = ()
    """Later programs, each with the index of the first token it acted on."""
    gates: tuple[GateScore, ...] = ()
    prompt_layers: tuple[LayerShift, ...] = ()
    reply_layers: tuple[LayerShift, ...] = ()
    missed: tuple[Missed, ...] = ()
    phi: dict[str, PhiMeans] = {}
    """By anchor set."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    other_programs: int = 0
    """How many cached positions had been computed under another program."""
    history: History = "fresh"
    reply_tokens: int = 0
    steered_tokens: int = 0
    """How many of the reply's tokens were predicted under at least one active intervention."""
    window_shifts: int = 0
    seed: int = 0
    sampling: Sampling = Sampling()
    prefill_seconds: float = 0.0
    reply_seconds: float = 0.0


class Done(_Struct, tag="done", frozen=True, kw_only=True):
    reason: EndReason
    text: str
    """What was still held back at the end."""
    receipt: Receipt


Event = Prefill | Token | Steered | Done
Progress = Callable[[float], bool]
"""Told a fraction; answers whether to go on."""


class Engine(Protocol):
    """One loaded model. All is called from one thread but `steer` and `cancel`, which may come from any."""

    @property
    def info(self) -> ModelInfo: ...

    def tokenize(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]: ...

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes each token stands for."""
        ...

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        """Events of a reply; the last is `Done`, whatever ends it short of an error."""
        ...

    def steer(self, program: Program) -> None:
        """From the next token on, the reply in progress follows this program."""
        ...

    def cancel(self) -> None:
        """Ends the request in progress at the next token, or within its prefill."""
        ...

    def activations(self, request: ActivationRequest, progress: Progress) -> FloatArray:
        """Shape (passages, layers, width): the output of each layer's block, unsteered."""
        ...

    def score(self, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
        """For each pair the log-probability of each token of the continuation."""
        ...

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        """Shape (tokens, width): rows of the unembedding matrix."""
        ...

    def close(self) -> None: ...
