"""What can be wrong with a recipe, so that its writer can mend it, and with building a pack from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.errors import TrimtabError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that keeps a recipe from being read: where it is, what it is, how to mend it."""

    where: str
    what: str
    mend: str = ""


class RecipeError(TrimtabError):
    """A recipe that cannot be found or read; `faults` holds everything that was found wrong with it."""

    def __init__(self, what: str, hint: str = "", faults: Sequence[Fault] = ()) -> None:
        super().__init__(what, hint)
        self.faults = tuple(faults)

    @classmethod
    def of(cls, name: str, faults: Sequence[Fault]) -> RecipeError:
        """The first fault in words, and how many more there are."""
        first = faults[0]
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        where = f"{name}, {first.where}" if first.where else name
        return cls(f"{where}: {first.what}{more}", first.mend, faults)


class BuildError(TrimtabError):
    """A pack that cannot be built: the model, the recipe or the disk does not allow it."""
