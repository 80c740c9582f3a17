"""Packages with plugins, laid out as pip would, without pip."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "plugins.md"


def lay_out(
    folder: Path, package: str, entries: Mapping[str, str], modules: Mapping[str, str], version: str = "1.0"
) -> Path:
    """Modules by their name, and entry points by theirs, in a folder for Python's path."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, "utf-8")
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", "utf-8")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[trimtab.plugins]", *lines, ""]), "utf-8")
    return folder


def documented(folder: Path) -> Path:
    """The worked example of the documentation, as it is printed there."""
    text = DOCUMENT.read_text("utf-8")
    [module] = _blocks(text, "python")
    [toml] = _blocks(text, "toml")
    project = tomllib.loads(toml)["project"]
    entries = project["entry-points"]["trimtab.plugins"]
    [name] = entries.values()
    return lay_out(folder, project["name"], entries, {name: module}, project["version"])


def _blocks(text: str, language: str) -> list[str]:
    return [part.partition("```")[0] for part in text.split(f"```{language}\n")[1:]]
