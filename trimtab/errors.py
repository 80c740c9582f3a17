"""The errors a user may see: each says what is wrong and what to do next, in one line."""

from __future__ import annotations


class TrimtabError(Exception):
    """What is wrong (`what`) and what to do about it (`hint`)."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


class ProgramError(TrimtabError):
    """A steering program that cannot be: a wrong width, an unknown layer, a NaN."""


class Unsupported(TrimtabError):
    """An intervention or request that this engine or this model cannot carry out."""


class ModelError(TrimtabError):
    """A model file that is missing, damaged, or not a model."""


class ContextFull(TrimtabError):
    """The conversation no longer fits the model's window."""


class EngineError(TrimtabError):
    """The engine failed while it ran."""


class MissingExtra(TrimtabError):
    """Something that needs an optional part of Trimtab which is not installed."""

    @classmethod
    def torch(cls, what: str) -> MissingExtra:
        return cls(f"{what} needs PyTorch.", "Install it with: pip install 'trimtab[torch]'")


class ProtocolError(TrimtabError):
    """The engine worker said something that is not the protocol."""


class Cancelled(TrimtabError):
    """The user stopped a request before it was finished."""


class WorkerDied(TrimtabError):
    """The engine worker ended without being asked; `log` is the tail of what it wrote."""

    def __init__(self, what: str, hint: str = "", log: str = "") -> None:
        super().__init__(what, hint)
        self.args = (what, hint, log)
        self.log = log


KINDS: dict[str, type[TrimtabError]] = {
    kind.__name__: kind
    for kind in (
        TrimtabError, ProgramError, Unsupported, ModelError, ContextFull, EngineError,
        MissingExtra, ProtocolError, Cancelled, WorkerDied,
    )
}  # fmt: skip
"""By name, so that an error raised in the worker is raised as the same type in the client."""
