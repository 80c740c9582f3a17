"""What a method is: it turns a line of the desk into interventions, and says what its sliders mean."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from trimtab.engine.program import Intervention
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError
from trimtab.plugins.line import Line, Source


class MethodOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A method's settings beside the sliders. Fields are typed, may be annotated with bounds, and have defaults."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """What the value slider counts in, and how far a slider should reach; more is not forbidden."""

    unit: str
    low: float
    high: float
    start: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Steering:
    """What a method makes of a line."""

    interventions: tuple[Intervention, ...]
    notes: tuple[str, ...] = ()
    """What the user should know about how it was done, a sentence each."""


@runtime_checkable
class Method(Protocol):
    """A way to steer. It knows no engine: whatever it makes, every engine can be asked to carry out."""

    @property
    def name(self) -> str:
        """Lower case letters, digits and hyphens; what lines call it by."""
        ...

    @property
    def summary(self) -> str:
        """A sentence that says what it does."""
        ...

    @property
    def takes(self) -> tuple[type[Source], ...]:
        """The kinds of source it can steer with."""
        ...

    @property
    def level(self) -> Level: ...

    @property
    def options(self) -> type[MethodOptions]: ...

    def steer(self, line: Line, model: MethodContext) -> Awaitable[Steering]:
        """The interventions of a line that acts; a `LineError` says what it cannot do."""
        ...


Options = TypeVar("Options", bound=MethodOptions)


def read_options(kind: type[Options], line: Line) -> Options:
    """A line's options as its method declares them; numbers and switches may be given as text."""
    try:
        return msgspec.convert(dict(line.options), kind, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(field.name for field in msgspec.structs.fields(kind)) or "none"
        raise LineError(
            f"An option of {line.title} cannot be: {error}.", f"There are these options: {known}."
        ) from error
