"""Models as people and programs read them: a table of many, a page about one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.engine.model_facts import ModelFacts, free_memory
from trimtab.engine.text import clean_line
from trimtab.models.finding import Found

_WINDOWS = (2048, 8192, 32768)
_KEYS = 40


def list_text(found: Sequence[Found]) -> str:
    """A line for each that can be used; then those that cannot, with the reason."""
    usable = [each for each in found if each.glance is not None]
    faulty = [each for each in found if each.glance is None]
    if not found:
        return "There are no models here yet. Get one: trimtab model pull OWNER/NAME"
    rows = [("name", "size", "parameters", "architecture", "format", "kept by")]
    for each in usable:
        short = each.glance
        assert short is not None
        rows.append(
            (
                each.name,
                size(short.size),
                count(short.parameters),
                short.architecture,
                short.quantisation,
                each.keeper or clean_line(str(each.path.parent)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])).rstrip()
        for row in rows
        if usable
    ]
    lines += ["", *(f"{each.name}: {each.fault}" for each in faulty)] if faulty else []
    return "\n".join(lines).strip("\n")


def list_json(found: Sequence[Found]) -> str:
    rows = []
    for each in found:
        short = msgspec.to_builtins(each.glance) if each.glance else {}
        title = short.pop("name", "")
        path = clean_line(str(each.path))
        rows.append(
            {
                "name": each.name,
                "title": title,
                "kept_by": each.keeper,
                "path": path,
                **short,
                "fault": each.fault,
            }
        )
    return json.dumps(rows, indent=2)


def inspect_text(model: ModelFacts, *, whole: bool = False) -> str:
    """What it is, what it takes, whose packs fit it, and what its file says; `whole` shows all of the template."""
    identity = model.identity
    facts = [
        ("file" if model.engine == "llama" else "folder", model.path),
        ("engine", "llama.cpp" if model.engine == "llama" else "PyTorch"),
        ("architecture", identity.architecture),
        ("size", f"{size(model.size)}, {count(model.parameters)} parameters, mostly {identity.quantisation}"),
        ("shape", f"{identity.layers} layers, {identity.width} wide, {identity.vocabulary:,} tokens"),
        ("context", f"{model.context:,} tokens" if model.context else "not told"),
        ("memory", _memory(model)),
        ("fingerprint", identity.fingerprint),
        ("weights", identity.weights_hash[:16] or "not looked at"),
    ]
    lines = [
        identity.name,
        "",
        *(f"{name:<13}{value}" for name, value in facts),
        "",
        *_template(model, whole),
    ]
    if model.metadata:
        shown = list(model.metadata.items())
        kept = shown if whole else shown[:_KEYS]
        lines += ["", *(f"{key} = {value}" for key, value in kept)]
        lines += [f"… and {len(shown) - len(kept)} more (--all)"] if len(kept) < len(shown) else []
    return "\n".join(lines)


def inspect_json(model: ModelFacts) -> str:
    told: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(model, dimensions=None))
    del told["dimensions"]
    told["fingerprint"] = model.identity.fingerprint
    told["memory"] = {str(window): model.memory(window) for window in _windows(model)}
    told["free_memory"] = free_memory()
    return json.dumps(told, indent=2)


def size(amount: int) -> str:
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= bytes_:
            return f"{amount / bytes_:.1f} {unit}"
    return f"{amount} B"


def count(number: int) -> str:
    for unit, many in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= many:
            return f"{number / many:.1f}{unit}"
    return str(number)


def _windows(model: ModelFacts) -> list[int]:
    trained = model.context or _WINDOWS[-1]
    return sorted({*(window for window in _WINDOWS if window < trained), min(trained, 1 << 20)})


def _memory(model: ModelFacts) -> str:
    told = ", ".join(f"{size(model.memory(window))} for {window:,}" for window in _windows(model))
    free = free_memory()
    if free is None:
        return f"about {told} tokens"
    fits = model.memory(_windows(model)[0]) <= free
    return f"about {told} tokens; {size(free)} is free{'' if fits else ', which is too little'}"


def _template(model: ModelFacts, whole: bool) -> list[str]:
    if model.template is None:
        return ["template     none: ChatML is used"]
    lines = model.template.splitlines()
    shown = lines if whole else lines[:6]
    told = [f"  {line if whole else line[:110]}" for line in shown]
    cut = len(lines) > len(shown) or any(len(line) > 110 for line in shown)
    return [
        f"template     its own, {len(model.template):,} characters",
        *told,
        *(["  … (--all)"] if cut and not whole else []),
    ]
