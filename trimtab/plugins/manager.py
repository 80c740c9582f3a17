"""Finds plugins by name without importing them, loads them when they are used, and names those it had to skip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal, TypeAlias

import pluggy

from trimtab.engine.text import clean_line
from trimtab.plugins.errors import PluginError
from trimtab.plugins.hooks import GROUP, Hooks
from trimtab.plugins.kinds import EngineSource, Judge, PackImporter, RecipeSource
from trimtab.plugins.line import SOURCES
from trimtab.plugins.method import Level, Method, MethodOptions

Kind: TypeAlias = Literal["methods", "engines", "pack_importers", "judges", "recipe_sources"]

KINDS: dict[Kind, type] = {
    "methods": Method,
    "engines": EngineSource,
    "pack_importers": PackImporter,
    "judges": Judge,
    "recipe_sources": RecipeSource,
}
"""What each hook, named `trimtab_` and this, brings."""

BUILT_IN = ("adapter", "awot", "caa", "conva", "ica", "preface", "repe", "vector")
"""Entry points like any package's, listed here so that they are there however Trimtab was installed."""

_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")


@dataclass(frozen=True)
class Found:
    """A plugin by its entry point, before anything of it was imported."""

    entry: metadata.EntryPoint
    package: str
    """The distribution it came with and its version; empty for a built-in one."""

    @property
    def name(self) -> str:
        return self.entry.name


@dataclass(frozen=True)
class Skipped:
    """A plugin that cannot be used, and why."""

    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return (
            f"The plugin {self.name}{f' ({self.package})' if self.package else ''} is skipped: {self.reason}"
        )


class Plugins:
    """All plugins of this installation. What is used of them is loaded then, and once."""

    def __init__(self, found: Iterable[Found]) -> None:
        self._found: dict[str, Found] = {}
        self._skipped: dict[str, Skipped] = {}
        self._loaded: dict[str, dict[Kind, dict[str, Any]]] = {}
        self._manager = pluggy.PluginManager("trimtab")
        self._manager.add_hookspecs(Hooks)
        for each in found:
            if each.name in self._found:
                other = self._found[each.name]
                reason = f"{other.package or 'Trimtab itself'} has a plugin of that name"
                self._skipped[f"{each.name} {each.package}"] = Skipped(each.name, each.package, reason)
            else:
                self._found[each.name] = each

    @classmethod
    def discover(cls) -> Plugins:
        """The built-in plugins and those of every installed package; nothing is imported yet."""
        return cls([*_built_in(), *_installed()])

    @classmethod
    def built_in(cls) -> Plugins:
        return cls(_built_in())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._found)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Those of them that were loaded so far and can be used."""
        return tuple(name for name in self._found if name in self._loaded)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be used of all that was loaded so far."""
        return tuple(self._skipped.values())

    def package(self, name: str) -> str:
        """Where a plugin comes from."""
        return self._found[name].package

    def load(self, name: str) -> dict[Kind, dict[str, Any]]:
        """What one plugin brings, by kind and name; raises if it cannot be used."""
        if name not in self._found:
            raise PluginError(f"There is no plugin {name}.", f"There are: {', '.join(self._found)}.")
        if name not in self._loaded and name not in self._skipped:
            self._load(self._found[name])
        if name in self._skipped:
            raise PluginError(
                f"The plugin {name} cannot be used: {self._skipped[name].reason}.",
                "Update or uninstall the package it came with.",
            )
        return self._loaded[name]

    def load_all(self) -> None:
        """Loads every plugin; those that fail are among `skipped`, and so is what has another's name."""
        for name, found in self._found.items():
            if name not in self._loaded and name not in self._skipped:
                self._load(found)
        for kind in KINDS:
            self._merged(kind)

    def method(self, name: str) -> Method:
        """A method by its name. A plugin of that name is looked at first, so that no other need be imported."""
        if name in self._found and name not in self._skipped:
            if name not in self._loaded:
                self._load(self._found[name])
            own = self._loaded.get(name, {}).get("methods", {})
            if name in own:
                method: Method = own[name]
                return method
        known = self.methods()
        if name not in known:
            failed = "".join(f" {each}." for each in self.skipped)
            raise PluginError(
                f"There is no method {name}.{failed}", f"There are: {', '.join(sorted(known))}."
            )
        return known[name]

    def methods(self) -> dict[str, Method]:
        return self._all("methods")

    def engines(self) -> dict[str, EngineSource]:
        return self._all("engines")

    def pack_importers(self) -> dict[str, PackImporter]:
        return self._all("pack_importers")

    def judges(self) -> dict[str, Judge]:
        return self._all("judges")

    def recipe_sources(self) -> dict[str, RecipeSource]:
        return self._all("recipe_sources")

    def _all(self, kind: Kind) -> dict[str, Any]:
        self.load_all()
        return self._merged(kind)

    def _merged(self, kind: Kind) -> dict[str, Any]:
        """Of every plugin; of two things with one name the first plugin's is taken, the built-in ones' before all."""
        merged: dict[str, Any] = {}
        for name in self._found:
            for key, thing in self._loaded.get(name, {}).get(kind, {}).items():
                if key not in merged:
                    merged[key] = thing
                    continue
                note = Skipped(
                    name, self._found[name].package, f"its {_words(kind)} {key} has another's name"
                )
                self._skipped.setdefault(f"{name} {kind} {key}", note)
        return merged

    def _load(self, found: Found) -> None:
        try:
            plugin = found.entry.load()
            self._manager.register(plugin, found.name)
            self._loaded[found.name] = self._brought(plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001  a plugin may raise what it likes
            if self._manager.has_plugin(found.name):
                self._manager.unregister(name=found.name)
            self._skipped[found.name] = Skipped(found.name, found.package, _reason(error))

    def _brought(self, plugin: object) -> dict[Kind, dict[str, Any]]:
        for caller in self._manager.get_hookcallers(plugin) or []:
            if not caller.has_spec():
                raise PluginError(f"It implements {caller.name}, which is no hook of this version.")
        others = [each for each in self._manager.get_plugins() if each is not plugin]
        brought: dict[Kind, dict[str, Any]] = {}
        for kind, wanted in KINDS.items():
            hook: Callable[[], Sequence[object]] = self._manager.subset_hook_caller(f"trimtab_{kind}", others)
            for things in hook():
                brought[kind] = _checked(kind, wanted, things)
        return brought


def _built_in() -> list[Found]:
    return [
        Found(metadata.EntryPoint(name, f"trimtab.plugins.methods.{name}", GROUP), "") for name in BUILT_IN
    ]


def _installed() -> list[Found]:
    found = []
    for entry in metadata.entry_points(group=GROUP):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown package"
        found.append(Found(entry, clean_line(package)))
    return sorted(found, key=lambda each: (each.name, each.package))


def _checked(kind: Kind, wanted: type, things: object) -> dict[str, Any]:
    """What a hook answered, by name, or why it cannot be used."""
    if isinstance(things, str) or not isinstance(things, Sequence):
        raise PluginError(f"trimtab_{kind} answers with a {type(things).__name__} instead of a sequence.")
    named: dict[str, Any] = {}
    for thing in things:
        if isinstance(thing, type) or not isinstance(thing, wanted):
            shown = thing.__name__ if isinstance(thing, type) else type(thing).__name__
            raise PluginError(f"trimtab_{kind} brings {shown}, which is no {_words(kind)}.")
        name, summary = thing.name, thing.summary  # type: ignore[attr-defined]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"trimtab_{kind} brings something called {name!r}.")
        if not isinstance(summary, str):
            raise PluginError(f"The {_words(kind)} {name} has no summary.")
        if isinstance(thing, Method):
            _check_method(thing)
        named[name] = thing
    return named


def _check_method(method: Method) -> None:
    options: object = method.options
    takes: object = method.takes
    if not (isinstance(options, type) and issubclass(options, MethodOptions)):
        raise PluginError(f"The options of the method {method.name} are no MethodOptions.")
    if not isinstance(takes, tuple) or not takes or not set(takes) <= set(SOURCES):
        raise PluginError(f"The method {method.name} does not say what it takes.")
    if not isinstance(method.level, Level):
        raise PluginError(f"The method {method.name} does not say what its level is.")


def _words(kind: Kind) -> str:
    return kind.removesuffix("s").replace("_", " ")


def _reason(error: BaseException) -> str:
    """One line, whatever a plugin says of itself."""
    said = clean_line(str(error.what if isinstance(error, PluginError) else error)).strip()
    if isinstance(error, PluginError):
        return said.rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
