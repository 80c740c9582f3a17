"""What a steering program is made of: probes, gates, and the interventions, each checked when it is made."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import ClassVar, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import force_setattr

from trimtab.errors import ProgramError

Scope = Literal["prompt", "reply", "all"]
"""`reply` begins at the position that predicts the reply's first token; `prompt` ends before it."""

MAX_TUNE_STEPS = 10_000
MAX_ROWS_PER_LAYER = 64
"""How many probes may be raised together at one layer; the native kernel's tables are this long."""


class Array:
    """A read-only float32 vector that knows the hash of its content."""

    __slots__ = ("digest", "values")

    def __init__(self, values: npt.ArrayLike, *, digest: str | None = None) -> None:
        array = np.array(values, dtype=np.float32, order="C")
        if array.ndim != 1 or array.size == 0:
            raise ProgramError(f"A steering vector has one dimension, this one has shape {array.shape}.")
        if not np.isfinite(array).all():
            raise ProgramError("A steering vector holds NaN or infinity.", "Rebuild or re-import it.")
        array.setflags(write=False)
        found = hashlib.sha256(array.astype("<f4", copy=False).tobytes()).hexdigest()
        if digest is not None and digest != found:
            raise ProgramError(f"An array announced as {digest[:12]} hashes to {found[:12]}.")
        self.values: npt.NDArray[np.float32] = array
        self.digest = found

    @property
    def width(self) -> int:
        return int(self.values.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Array(width={self.width}, digest={self.digest[:12]})"

    @classmethod
    def of(cls, values: Array | npt.ArrayLike) -> Array:
        return values if isinstance(values, Array) else cls(values)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Frozen, serialisable, equal by content."""

    def anonymous(self) -> Self:
        """The same without anything that is true only of this machine."""
        return self

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and encode(self) == encode(other)

    def __hash__(self) -> int:
        return hash(encode(self))


class Probe(Part, frozen=True, kw_only=True):
    """A linear probe `P(e) = sigmoid(w·e + b)`."""

    weight: Array
    bias: float = 0.0

    def __post_init__(self) -> None:
        force_setattr(self, "weight", Array.of(self.weight))
        _settle(self, bias="A probe's bias")
        if not self.weight.values.any():
            raise ProgramError("A probe's weights are all zero: it points nowhere.")

    def opposed(self) -> Probe:
        """The probe of the opposite: raising it suppresses the value."""
        return Probe(weight=Array(-self.weight.values), bias=-self.bias)


class Gate(Part, frozen=True, kw_only=True):
    """Steers only if the probe calls the user's message related: `P >= threshold` at `layer`."""

    probe: Probe
    layer: int
    threshold: float = 0.5
    form: Literal["plain", "chat"] = "plain"
    """Read the message bare, or inside the chat template."""

    def __post_init__(self) -> None:
        _layer(self.layer)
        _settle(self, threshold="A gate's threshold")
        if not 0.0 <= self.threshold <= 1.0:
            raise ProgramError(f"A gate's threshold lies between 0 and 1, not at {self.threshold}.")


class _Intervention(Part, frozen=True, kw_only=True):
    scope: Scope = "all"
    gate: Gate | None = None
    label: str = ""
    """What the user calls it: shown in receipts and errors."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        if self.scope not in ("prompt", "reply", "all"):
            raise ProgramError(f"A scope is prompt, reply or all, not {self.scope!r}.")

    @property
    def title(self) -> str:
        return f"{self.name} ({self.label})" if self.label else self.name


class Shift(_Intervention, tag="shift", frozen=True, kw_only=True):
    """`h <- h + scale * vector` after block `layer`."""

    layer: int
    vector: Array
    scale: float = 1.0

    name: ClassVar[str] = "Shift"

    def __post_init__(self) -> None:
        super().__post_init__()
        _layer(self.layer)
        force_setattr(self, "vector", Array.of(self.vector))
        _settle(self, scale="A shift's scale")


class Raise(_Intervention, tag="raise", frozen=True, kw_only=True):
    """The smallest shift after block `layer` that lifts every probe's logit to its target.

    Raises that are active at one layer are solved together, whatever values they came from.
    """

    layer: int
    probes: tuple[Probe, ...]
    targets: tuple[float, ...]
    """In logits: `trimtab.engine.math.target_logit(x)` for a slider at x."""
    strengths: tuple[float, ...] = ()
    """1 reaches the target, 0 drops the row, between goes part of the way; empty means all 1."""
    policy: Literal["token", "prompt"] = "token"
    """Measure at every position, or once at the prompt's last token and add that everywhere."""
    cap: float | None = None
    """The longest shift allowed; over it the squared shortfall is minimised and reported."""

    name: ClassVar[str] = "Raise"

    def __post_init__(self) -> None:
        super().__post_init__()
        _layer(self.layer)
        force_setattr(self, "probes", tuple(self.probes))
        force_setattr(self, "targets", tuple(float(target) for target in self.targets))
        strengths = tuple(float(s) for s in self.strengths) or (1.0,) * len(self.probes)
        force_setattr(self, "strengths", strengths)
        if not self.probes:
            raise ProgramError("A Raise needs at least one probe.")
        if not len(self.probes) == len(self.targets) == len(self.strengths):
            raise ProgramError(
                f"A Raise has {len(self.probes)} probes, {len(self.targets)} targets and "
                f"{len(self.strengths)} strengths: the three must be as many."
            )
        if len({probe.weight.width for probe in self.probes}) > 1:
            raise ProgramError("The probes of a Raise differ in width: they belong to different models.")
        for target in self.targets:
            _finite("A target", target)
        for strength in self.strengths:
            _finite("A strength", strength)
            if strength < 0:
                raise ProgramError(
                    f"A strength of {strength} is below zero.", "To suppress a value, use Probe.opposed()."
                )
        if self.policy not in ("token", "prompt"):
            raise ProgramError(f"A policy is token or prompt, not {self.policy!r}.")
        if self.cap is not None:
            _settle(self, cap="A cap")
            if self.cap <= 0:
                raise ProgramError(f"A cap on the shift must be above zero, not {self.cap}.")


class Anchors(Part, frozen=True, kw_only=True):
    """Two sets of token ids: those to bring forward and those to hold back, weighted if wished."""

    name: str = "anchors"
    positive: tuple[int, ...] = ()
    negative: tuple[int, ...] = ()
    positive_weights: tuple[float, ...] = ()
    negative_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for side in ("positive", "negative"):
            tokens = tuple(int(token) for token in getattr(self, side))
            weights = tuple(float(w) for w in getattr(self, f"{side}_weights")) or (1.0,) * len(tokens)
            if any(token < 0 for token in tokens):
                raise ProgramError(f"The {side} anchors hold a negative token id.")
            if len(set(tokens)) != len(tokens):
                raise ProgramError(f"The {side} anchors name a token twice.", "Weigh it instead.")
            if len(weights) != len(tokens):
                raise ProgramError(f"{len(tokens)} {side} anchors have {len(weights)} weights.")
            if any(not math.isfinite(w) or w <= 0 for w in weights):
                raise ProgramError(f"The {side} anchors' weights must be above zero.")
            force_setattr(self, side, tokens)
            force_setattr(self, f"{side}_weights", weights)
        if not self.positive and not self.negative:
            raise ProgramError("Anchors need at least one word.")
        both = set(self.positive) & set(self.negative)
        if both:
            raise ProgramError(f"Token {min(both)} is an anchor on both sides.", "Drop it from one.")


class Tune(_Intervention, tag="tune", frozen=True, kw_only=True):
    """Moves the final hidden state, at each step, toward the positive anchors and off the negative."""

    anchors: Anchors
    step: float = 2.0
    """The step size alpha."""
    steps: int = 60
    penalty: float = 0.0
    """The weight lambda of the squared distance from the first state."""
    objective: Literal["phi", "logodds"] = "phi"
    site: Literal["normed", "prenorm"] = "normed"
    """The state after the final norm, which the unembedding reads, or the one before it."""
    hold: float | None = None
    """Instead of all steps, only as far as the objective needs to reach this."""
    solver: Literal["auto", "gradient"] = "auto"
    """`auto` takes the closed form where there is one; `gradient` always takes the steps."""

    name: ClassVar[str] = "Tune"

    def __post_init__(self) -> None:
        super().__post_init__()
        _settle(self, step="A step", penalty="A penalty")
        if self.scope == "prompt":
            raise ProgramError("A Tune acts where the reply is predicted: its scope is reply or all.")
        if self.step <= 0:
            raise ProgramError(f"A Tune's step must be above zero, not {self.step}.")
        if not 0 <= self.steps <= MAX_TUNE_STEPS:
            raise ProgramError(f"A Tune takes 0 to {MAX_TUNE_STEPS} steps, not {self.steps}.")
        if self.penalty < 0:
            raise ProgramError(f"A Tune's penalty must not be below zero, not {self.penalty}.")
        if self.step * self.penalty >= 1:
            raise ProgramError(
                f"step x penalty is {self.step * self.penalty:g}: at 1 and above the steps diverge.",
                "Lower one of the two.",
            )
        if self.hold is not None:
            _settle(self, hold="A hold")
        for field, allowed in (
            ("objective", ("phi", "logodds")),
            ("site", ("normed", "prenorm")),
            ("solver", ("auto", "gradient")),
        ):
            if getattr(self, field) not in allowed:
                raise ProgramError(
                    f"A Tune's {field} is {' or '.join(allowed)}, not {getattr(self, field)!r}."
                )
        if self.objective == "logodds" and not (self.anchors.positive and self.anchors.negative):
            raise ProgramError("The log-odds objective needs anchors on both sides.")

    @property
    def linear(self) -> bool:
        """Whether its effect is a known multiple of one direction, so no steps need be taken."""
        return self.objective == "phi" and self.site == "normed" and self.solver == "auto"


class AdapterFile(Part, frozen=True, kw_only=True):
    """One file of an adapter, known by the hash of its content."""

    name: str
    digest: str
    path: str = ""
    """Where it lies on this machine; no part of its identity, and empty on the wire."""

    def __post_init__(self) -> None:
        if not self.name or self.name != Path(self.name).name or self.name in (".", ".."):
            raise ProgramError(f"An adapter's file has an unsafe name: {self.name!r}.")
        if len(self.digest) != 64 or set(self.digest) - set("0123456789abcdef"):
            raise ProgramError(f"An adapter's file has a digest that is no SHA-256: {self.digest!r}.")

    def anonymous(self) -> AdapterFile:
        return msgspec.structs.replace(self, path="") if self.path else self


class Adapter(_Intervention, tag="adapter", frozen=True, kw_only=True):
    """A LoRA adapter at a scale: a GGUF file for llama.cpp, a peft folder for PyTorch."""

    files: tuple[AdapterFile, ...]
    scale: float = 1.0

    name: ClassVar[str] = "Adapter"

    def __post_init__(self) -> None:
        super().__post_init__()
        _settle(self, scale="An adapter's scale")
        force_setattr(self, "files", tuple(self.files))
        if not self.files or len({file.name for file in self.files}) != len(self.files):
            raise ProgramError("An adapter needs files, each name once.")

    @property
    def kind(self) -> Literal["gguf", "peft"]:
        return "gguf" if len(self.files) == 1 and self.files[0].name.endswith(".gguf") else "peft"

    @property
    def digest(self) -> str:
        """The identity of the adapter's content, whatever its scale."""
        return hashlib.sha256(b"".join(file.digest.encode() for file in self.files)).hexdigest()

    def anonymous(self) -> Adapter:
        return msgspec.structs.replace(self, files=tuple(file.anonymous() for file in self.files))

    @classmethod
    def load(
        cls,
        path: str | Path,
        scale: float = 1.0,
        *,
        scope: Scope = "all",
        gate: Gate | None = None,
        label: str = "",
    ) -> Adapter:
        """The adapter in a GGUF file or a peft folder, hashed."""
        return cls(files=adapter_files(Path(path)), scale=scale, scope=scope, gate=gate, label=label)


class Preface(_Intervention, tag="preface", frozen=True, kw_only=True):
    """Words put before the conversation: the baseline that everybody compares with."""

    text: str
    place: Literal["system", "user"] = "system"

    name: ClassVar[str] = "Preface"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text.strip():
            raise ProgramError("A Preface is empty.")
        if self.scope != "all":
            raise ProgramError("A Preface is read by all that follows: its scope is all.")


class Watch(Part, frozen=True, kw_only=True):
    """A probe that reports without steering, read after whatever is done at its layer."""

    name: str
    layer: int
    probe: Probe

    def __post_init__(self) -> None:
        _layer(self.layer)


Intervention = Shift | Raise | Tune | Adapter | Preface


def adapter_files(path: Path) -> tuple[AdapterFile, ...]:
    """The files of an adapter at `path`, a GGUF file or a peft folder, with their hashes."""
    if path.is_dir():
        names = ["adapter_config.json", "adapter_model.safetensors"]
        for name in names:
            if not (path / name).is_file():
                raise ProgramError(
                    f"{path} holds no {name}.", "A peft adapter is a folder with both; pickles are refused."
                )
        paths = [path / name for name in names]
    elif path.is_file():
        if path.suffix != ".gguf":
            raise ProgramError(f"{path} is no adapter.", "Give a .gguf file or a peft folder.")
        paths = [path]
    else:
        raise ProgramError(f"There is no adapter at {path}.", "Check the path.")
    return tuple(
        AdapterFile(name=file.name, digest=_digest(file), path=str(file.resolve())) for file in paths
    )


def encode(value: Part) -> bytes:
    """The canonical bytes of a program or a part of it: arrays by hash, no path of this machine."""
    return _encoder.encode(value.anonymous())


def _encode_array(value: object) -> str:
    if isinstance(value, Array):
        return value.digest
    raise TypeError(f"cannot encode {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array, order="deterministic")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finite(what: str, value: float) -> float:
    if not math.isfinite(value):
        raise ProgramError(f"{what} is {value}: it must be a finite number.")
    return float(value)


def _settle(owner: Part, **fields: str) -> None:
    """Makes each named field a finite float, so that 1 and 1.0 are one program."""
    for field, what in fields.items():
        force_setattr(owner, field, _finite(what, getattr(owner, field)))


def _layer(layer: int) -> None:
    if layer < 0:
        raise ProgramError(f"Layer {layer} does not exist: layers count from 0.")
