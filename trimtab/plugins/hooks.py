"""The hooks that a plugin may implement: each answers with what the plugin brings of one kind.

A plugin is a module, or any object, whose functions are marked with `hookimpl`. It is found through an entry point
of the group `trimtab.plugins` and imported only when something of it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from trimtab.plugins.kinds import EngineSource, Judge, PackImporter, RecipeSource
    from trimtab.plugins.method import Method

GROUP = "trimtab.plugins"
"""Of the entry points."""

hookspec = pluggy.HookspecMarker("trimtab")
hookimpl = pluggy.HookimplMarker("trimtab")
"""Marks a plugin's functions as answers to the hooks of their name."""


class Hooks:
    """Every hook with what it is asked and what it answers. None has arguments: what it brings, it brings always."""

    @hookspec
    def trimtab_methods(self) -> Sequence[Method]:  # type: ignore[empty-body]
        """Ways to turn a line of the desk into interventions."""

    @hookspec
    def trimtab_engines(self) -> Sequence[EngineSource]:  # type: ignore[empty-body]
        """What runs models, in a process of its own."""

    @hookspec
    def trimtab_pack_importers(self) -> Sequence[PackImporter]:  # type: ignore[empty-body]
        """Readers of other programs' steering vectors."""

    @hookspec
    def trimtab_judges(self) -> Sequence[Judge]:  # type: ignore[empty-body]
        """Those who say how much of a value is in an answer, and how well it is said."""

    @hookspec
    def trimtab_recipe_sources(self) -> Sequence[RecipeSource]:  # type: ignore[empty-body]
        """Folders of recipes that a package carries."""
