"""What a steering program is made of: probes, gates, and the interventions, each checked when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

import msgspec
import numpy as np
from msgspec.structs import force_setattr

from trimtab.engine.files import AdapterFile, Classifier, adapter_files, digest_of
from trimtab.engine.parts import Array, Part, clean_name
from trimtab.errors import ProgramError

Scope = Literal["prompt", "reply", "all"]
"""`reply` begins at the position that predicts the reply's first token; `prompt` ends before it."""

_LARGEST = float(np.finfo(np.float32).max)
MAX_TUNE_STEPS = 10_000
MAX_ROWS_PER_LAYER = 64
"""How many probes may be raised together at one layer; the native kernel's tables are this long."""


class Probe(Part, frozen=True, kw_only=True):
    """A linear probe `P(e) = sigmoid(w·e + b)`."""

    weight: Array
    bias: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weight.values.any():
            raise ProgramError("A probe's weights are all zero: it points nowhere.")

    def opposed(self) -> Probe:
        """The probe of the opposite: raising it suppresses the value."""
        return Probe(weight=Array(-self.weight.values), bias=-self.bias)


class Gate(Part, frozen=True, kw_only=True):
    """Steers only if the probe calls the user's message related: `P >= threshold` at `layer`.

    Instead of a probe a classifier of its own may be asked, which knows nothing of the model that is steered.
    """

    probe: Probe | None = None
    layer: int = 0
    threshold: float = 0.5
    form: Literal["plain", "chat"] = "plain"
    """Read the message bare, or inside the chat template."""
    classifier: Classifier | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _layer(self.layer)
        if (self.probe is None) == (self.classifier is None):
            raise ProgramError("A gate asks either a probe or a classifier.")
        if not 0.0 <= self.threshold <= 1.0:
            raise ProgramError(f"A gate's threshold lies between 0 and 1, not at {self.threshold}.")

    def anonymous(self) -> Gate:
        if self.classifier is None:
            return self
        return msgspec.structs.replace(self, classifier=self.classifier.anonymous())


class _Intervention(Part, frozen=True, kw_only=True):
    scope: Scope = "all"
    gate: Gate | None = None
    label: str = ""
    """What the user calls it: shown in receipts and errors."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        clean_name(self, "label")

    def anonymous(self) -> Self:
        if self.gate is None or self.gate.classifier is None:
            return self
        return msgspec.structs.replace(self, gate=self.gate.anonymous())

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
        if abs(self.scale) * float(abs(self.vector.values).max()) > _LARGEST:
            raise ProgramError(f"A shift by {self.scale:g} times its vector is no number any more.")


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
        if not self.strengths:
            force_setattr(self, "strengths", (1.0,) * len(self.probes))
        if not self.probes:
            raise ProgramError("A Raise needs at least one probe.")
        if not len(self.probes) == len(self.targets) == len(self.strengths):
            raise ProgramError(
                f"A Raise has {len(self.probes)} probes, {len(self.targets)} targets and "
                f"{len(self.strengths)} strengths: the three must be as many."
            )
        if len({probe.weight.width for probe in self.probes}) > 1:
            raise ProgramError("The probes of a Raise differ in width: they belong to different models.")
        for strength in self.strengths:
            if strength < 0:
                raise ProgramError(
                    f"A strength of {strength} is below zero.", "To suppress a value, use Probe.opposed()."
                )
        if self.cap is not None and self.cap <= 0:
            raise ProgramError(f"A cap on the shift must be above zero, not {self.cap}.")


class Anchors(Part, frozen=True, kw_only=True):
    """Two sets of token ids: those to bring forward and those to hold back, weighted if wished."""

    name: str = "anchors"
    positive: tuple[int, ...] = ()
    negative: tuple[int, ...] = ()
    positive_weights: tuple[float, ...] = ()
    negative_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        clean_name(self, "name")
        for side in ("positive", "negative"):
            tokens: tuple[int, ...] = getattr(self, side)
            weights: tuple[float, ...] = getattr(self, f"{side}_weights") or (1.0,) * len(tokens)
            if any(token < 0 for token in tokens):
                raise ProgramError(f"The {side} anchors hold a negative token id.")
            if len(set(tokens)) != len(tokens):
                raise ProgramError(f"The {side} anchors name a token twice.", "Weigh it instead.")
            if len(weights) != len(tokens):
                raise ProgramError(f"{len(tokens)} {side} anchors have {len(weights)} weights.")
            if any(weight <= 0 for weight in weights):
                raise ProgramError(f"The {side} anchors' weights must be above zero.")
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
        if self.objective == "logodds" and not (self.anchors.positive and self.anchors.negative):
            raise ProgramError("The log-odds objective needs anchors on both sides.")

    @property
    def linear(self) -> bool:
        """Whether its effect is a known multiple of one direction, so no steps need be taken."""
        return self.objective == "phi" and self.site == "normed" and self.solver == "auto"


class Adapter(_Intervention, tag="adapter", frozen=True, kw_only=True):
    """A LoRA adapter at a scale: a GGUF file for llama.cpp, a peft folder for PyTorch."""

    files: tuple[AdapterFile, ...]
    scale: float = 1.0

    name: ClassVar[str] = "Adapter"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.files or len({file.name for file in self.files}) != len(self.files):
            raise ProgramError("An adapter needs files, each name once.")

    @property
    def kind(self) -> Literal["gguf", "peft"]:
        return "gguf" if len(self.files) == 1 and self.files[0].name.endswith(".gguf") else "peft"

    @property
    def digest(self) -> str:
        """The identity of the adapter's content, whatever its scale."""
        return digest_of(self.files)

    def anonymous(self) -> Self:
        files = tuple(file.anonymous() for file in self.files)
        return msgspec.structs.replace(super().anonymous(), files=files)

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
        super().__post_init__()
        clean_name(self, "name")
        if not self.name:
            raise ProgramError("A watched probe needs a name.")
        _layer(self.layer)


Intervention = Shift | Raise | Tune | Adapter | Preface


def _layer(layer: int) -> None:
    if layer < 0:
        raise ProgramError(f"Layer {layer} does not exist: layers count from 0.")
