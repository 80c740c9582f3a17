"""The plugins of this installation as people and programs read them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from trimtab.engine.text import clean_line
from trimtab.plugins.line import describe
from trimtab.plugins.manager import Plugins
from trimtab.plugins.method import Method


@dataclass(frozen=True)
class Row:
    """One thing that a plugin brings."""

    plugin: str
    package: str
    kind: str
    name: str
    summary: str
    takes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    rows: tuple[Row, ...]
    skipped: tuple[str, ...]


def listing(plugins: Plugins) -> Listing:
    """Loads every plugin to say what it brings."""
    plugins.load_all()
    rows = [
        _row(name, plugins.package(name), kind, thing)
        for name in plugins.loaded
        for kind, things in plugins.load(name).items()
        for thing in things.values()
    ]
    return Listing(tuple(rows), tuple(str(each) for each in plugins.skipped))


def render(found: Listing) -> str:
    """A line for each thing, under the package that it comes with."""
    lines: list[str] = []
    packages = dict.fromkeys(row.package for row in found.rows)
    width = max((len(row.name) for row in found.rows), default=0)
    for package in packages:
        lines += ["", package or "built in"]
        for row in found.rows:
            if row.package == package:
                takes = f" Takes {' or '.join(row.takes)}." if row.takes else ""
                lines.append(f"  {row.kind:<14} {row.name:<{width}}  {row.summary}{takes}")
    lines += ["", *found.skipped] if found.skipped else []
    return "\n".join(lines).strip("\n")


def to_json(found: Listing) -> str:
    return json.dumps(asdict(found), indent=2)


def _row(plugin: str, package: str, kind: str, thing: Any) -> Row:
    method = thing if isinstance(thing, Method) else None
    return Row(
        plugin=plugin,
        package=package,
        kind=kind.removesuffix("s").replace("_", " "),
        name=thing.name,
        summary=clean_line(str(thing.summary)),
        takes=tuple(map(describe, method.takes)) if method else (),
        options=tuple(field.name for field in msgspec.structs.fields(method.options)) if method else (),
    )
