"""What plugins may bring beside methods: engines, pack importers, judges, recipe sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from trimtab.engine.identity import ModelIdentity
from trimtab.vectors.pack import Pack


@dataclass(frozen=True, kw_only=True)
class EngineSource:
    """An engine by the factory that the worker calls in its own process, where alone it is imported.

    `factory` is `module:function`. The function is called with a `LoadRequest` and a `Progress`, and answers with an
    `Engine`; all three are in `trimtab.engine.contract`.
    """

    name: str
    summary: str
    factory: str


@runtime_checkable
class PackImporter(Protocol):
    """Reads one format of other programs. Nothing in a file is believed, and none may be executed."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    def recognises(self, path: Path) -> bool:
        """Whether the file seems to be of this format, from a look at its name and its first bytes."""
        ...

    def read(self, path: Path, model: ModelIdentity) -> Pack:
        """The file as a pack for this model, with warnings in it; what is not understood is refused."""
        ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a judge says of an answer. None is no opinion: the question is outside of what it judges."""

    value: float | None = None
    """How much of the value is in the answer, from 0, the opposite, to 1."""
    fluency: float | None = None
    """How well it is said, from 0 to 1."""
    reason: str = ""


@runtime_checkable
class Judge(Protocol):
    """Says of an answer how much of a value is in it."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    def judge(self, value: str, question: str, answer: str) -> Verdict:
        """`value` is the id of a recipe."""
        ...


@dataclass(frozen=True, kw_only=True)
class RecipeSource:
    """A folder of recipes that comes with a package."""

    name: str
    summary: str
    folder: Path
