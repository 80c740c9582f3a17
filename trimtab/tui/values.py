"""What the desk knows of each value: its name and key, and what was measured of it in this model."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.tui.widgets.slider_track import Zone

ORDER = (
    "achievement", "stimulation", "hedonism", "self-direction", "power",
    "security", "tradition", "conformity", "benevolence", "universalism",
)  # fmt: skip
"""The ten basic values, which have the number keys."""
REACH = 5.0
DEFAULT_LEVEL = 2.0


@dataclass(frozen=True, kw_only=True)
class ValueFacts:
    """One line of the desk."""

    id: str
    name: str = ""
    meaning: str = ""
    built: bool = True
    """Whether there is a pack for this model."""
    recommended: float | None = None
    """The level that was measured to be the best."""
    most: float | None = None
    """The level from which on replies break."""
    gate: float | None = None
    """The pack's own threshold; None where it has no gate."""

    @property
    def key(self) -> str:
        return str((ORDER.index(self.id) + 1) % 10) if self.id in ORDER else ""

    @property
    def zones(self) -> tuple[Zone, ...]:
        """Beyond what is recommended it costs, beyond the most it breaks; empty where nothing was measured."""
        if self.recommended is None or self.recommended <= 0:
            return ()
        most = max(self.most, self.recommended) if self.most is not None else REACH
        costly = Zone(self.recommended + 0.01, most, "costly")
        return (costly, Zone(most + 0.01, REACH, "broken")) if most < REACH else (costly,)

    def told(self, level: float) -> str:
        """What is known of a level, in words."""
        if self.recommended is None or level <= 0:
            return ""
        if level <= self.recommended:
            return f"safe; +{self.recommended:.1f} was measured best"
        if self.most is None or level <= self.most:
            return f"costly beyond +{self.recommended:.1f}"
        return f"breaks replies beyond +{self.most:.1f}"


def ordered(values: list[ValueFacts]) -> list[ValueFacts]:
    """The ten first, in the order of their keys, then those that are built, by name."""
    place = {value: number for number, value in enumerate(ORDER)}
    return sorted(values, key=lambda each: (place.get(each.id, len(ORDER)), not each.built, each.id))
