"""What a pack tells beside its vectors: its model, its anchors, what it was measured to do, and its provenance."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from trimtab.engine.identity import ModelIdentity, fingerprint
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_parts import AtMost, Between, Hash, Line, Number, Part, Share, Size

Quality: TypeAlias = Literal["helpfulness", "fluency"]


class BaseModel(Part, frozen=True, kw_only=True):
    """The model that a pack belongs to, and how it was run when the pack was made."""

    title: ClassVar[str] = "A pack's model"

    name: Line
    architecture: Annotated[str, AtMost(64)]
    layers: Annotated[int, Between(1, 512)]
    width: Annotated[int, Between(1, 1 << 20)]
    vocabulary: Annotated[int, Between(1, 1 << 24)]
    vocabulary_hash: Hash
    weights_hash: Hash = ""
    engine: Annotated[str, AtMost(64)] = ""
    quantisation: Annotated[str, AtMost(64)] = ""

    @classmethod
    def of(cls, model: ModelIdentity, engine: str = "") -> BaseModel:
        return cls(
            name=model.name[:200],
            architecture=model.architecture,
            layers=model.layers,
            width=model.width,
            vocabulary=model.vocabulary,
            vocabulary_hash=model.vocabulary_hash,
            weights_hash=model.weights_hash,
            engine=engine,
            quantisation=model.quantisation,
        )

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.architecture, self.layers, self.width, self.vocabulary, self.vocabulary_hash)


class Provenance(Part, frozen=True, kw_only=True):
    """Who made a pack, when, with what, and under which terms others may use it."""

    title: ClassVar[str] = "A pack's provenance"

    tool: Line = ""
    """The program and its version."""
    date: Line = ""
    author: Line = ""
    licence: Line = ""
    source_format: Line = ""
    """Of an imported pack: the format it came in, the file's name and its SHA-256."""
    source_file: Line = ""
    source_hash: Hash = ""


class AnchorWords(Part, frozen=True, kw_only=True):
    """Words to steer towards and away from."""

    title: ClassVar[str] = "A set of anchors"

    positive: Annotated[tuple[Line, ...], AtMost(100)] = ()
    negative: Annotated[tuple[Line, ...], AtMost(100)] = ()

    def __bool__(self) -> bool:
        return bool(self.positive or self.negative)


class Setting(Part, frozen=True, kw_only=True):
    """Where the sliders stand: the value's level, which imported vectors have none of, and the strength."""

    title: ClassVar[str] = "A setting"

    level: Number | None = None
    strength: Number = 1.0


class Interval(Part, frozen=True, kw_only=True):
    """A measured score and the bounds of its confidence interval."""

    title: ClassVar[str] = "A score"

    score: Number
    low: Number
    high: Number

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low <= self.score <= self.high:
            raise PackError(f"A score of {self.score:g} lies outside its interval.")


class CalibrationPoint(Part, frozen=True, kw_only=True):
    """What a setting of the sliders did to validation questions."""

    title: ClassVar[str] = "A calibration point"

    level: Number
    strength: Number
    shift: Size = 0.0
    """The mean length of the shift."""
    value: Interval
    quality: Interval


class Calibration(Part, frozen=True, kw_only=True):
    """The value's score and what it costs, over the settings tried."""

    title: ClassVar[str] = "A calibration"

    quality: Quality
    """What the cost was measured in."""
    questions: Annotated[int, Between(0, 1_000_000)] = 0
    confidence: Share = 0.95
    points: Annotated[tuple[CalibrationPoint, ...], AtMost(200)]
