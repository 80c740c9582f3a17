"""The JSON Schema of recipes, which lets an editor check and complete a file while it is written."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import msgspec

from trimtab.vectors.recipe import Recipe
from trimtab.vectors.recipe_example import SCHEMA_FILE


def schema() -> dict[str, Any]:
    """The schema that follows from the types, in what editors for TOML understand: draft 7, without references."""
    whole = msgspec.json.schema(Recipe)
    parts = whole["$defs"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Trimtab recipe",
        **_plain(parts.pop("Recipe"), parts),
    }


def text() -> str:
    """The schema as it is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def shipped() -> str:
    """The schema's file, to be laid beside a recipe."""
    return resources.files("trimtab.vectors").joinpath(SCHEMA_FILE).read_text("utf-8")


def _plain(node: Any, parts: dict[str, Any]) -> Any:
    """The node with its references filled in, and without null, which TOML does not have."""
    if isinstance(node, list):
        return [_plain(each, parts) for each in node]
    if not isinstance(node, dict):
        return node
    merged = dict(node)
    if "$ref" in merged:
        merged = {**parts[merged.pop("$ref").rpartition("/")[2]], **merged}
    if "anyOf" in merged:
        (only,) = (each for each in merged.pop("anyOf") if each != {"type": "null"})
        merged = {**only, **merged}
    return {
        key: _plain(value, parts)
        for key, value in merged.items()
        if key != "title" and not (key == "default" and not value)
    }
