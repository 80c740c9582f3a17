"""Reads recipes from TOML as their types describe them, and names everything that is wrong with its line."""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import inspect

from trimtab.engine.text import clean, clean_line
from trimtab.vectors.errors import Fault, RecipeError
from trimtab.vectors.recipe import MAX_BYTES, Recipe, UnrelatedList
from trimtab.vectors.toml_places import Path as Entry
from trimtab.vectors.toml_places import Places, places

Part = TypeVar("Part", Recipe, UnrelatedList)

MAX_FAULTS = 50
_AT = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
_JOINERS = "\u200c\u200d"
"""Signs without a width that some scripts cannot be written without."""
_TOO_LONG = 60
_OWNERS = {"Recipe": "a recipe", "Pair": "a pair", "UnrelatedList": "a list of unrelated questions"}


def read_file(path: Path, kind: type[Part]) -> Part:
    """What a file holds."""
    return read_text(file_text(path), path.name, kind)


def file_text(path: Path) -> str:
    """The text of a recipe's file, no longer than a recipe may be."""
    name = clean_line(path.name)
    try:
        if not path.is_file():
            raise RecipeError(f"There is no recipe at {clean_line(str(path))}.", "Check the path.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecipeError(
            f"{clean_line(str(path))} cannot be read: {reason}.", "Check its permissions."
        ) from error
    if len(content) > MAX_BYTES:
        raise _refused(
            name, "", f"it is larger than {MAX_BYTES // 2**20} MB.", "Split it into several recipes."
        )
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refused(name, f"line {line}", "it is not UTF-8 text.", "Save it as UTF-8.") from None


def read_text(text: str, name: str, kind: type[Part]) -> Part:
    """What a text holds; `name` is what errors call it."""
    name = clean_line(name)
    if len(text) > MAX_BYTES:
        raise _refused(
            name, "", f"it is larger than {MAX_BYTES // 2**20} MB.", "Split it into several recipes."
        )
    found = places(text, name)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_toml(name, error) from None
    reader = _Reader(found)
    value = reader.value(table, inspect.type_info(kind), ())
    if reader.faults:
        raise RecipeError.of(name, reader.in_order())
    assert isinstance(value, kind)
    return value


def describe(entry: Entry, found: Places | None = None) -> str:
    """An entry as its writer knows it: "pair 17 (line 214)", "questions.test.work 3 (line 300)"."""
    said = ""
    for part in entry:
        if isinstance(part, int):
            said = f"{'pair' if said == 'pairs' else said} {part + 1}"
        else:
            said += (", " if said[-1:].isdigit() else "." if said else "") + clean_line(part)[:_TOO_LONG]
    line = found.line(entry) if found else None
    return f"{said} (line {line})".strip() if line else said


class _Reader:
    """Walks over a parsed TOML document beside the type that it should have."""

    def __init__(self, found: Places) -> None:
        self._places = found
        self.faults: list[tuple[int, Fault]] = []

    def in_order(self) -> list[Fault]:
        """The faults from the top of the file down."""
        return [fault for _, fault in sorted(self.faults, key=lambda each: each[0])]

    def value(self, value: Any, kind: inspect.Type, entry: Entry, extra: dict[str, Any] | None = None) -> Any:
        """The value as its type wants it; what is wrong becomes a fault."""
        match kind:
            case inspect.Metadata():
                return self.value(value, kind.type, entry, (extra or {}) | (kind.extra or {}))
            case inspect.StructType():
                return self._table(value, kind, entry)
            case inspect.VarTupleType():
                return self._list(value, kind, entry)
            case inspect.DictType():
                return self._scenes(value, kind, entry)
            case inspect.StrType():
                return self._text(value, kind, entry, extra or {})
            case inspect.UnionType():
                return self._choice(value, kind, entry)
        raise TypeError(kind)

    def _fault(self, entry: Entry, what: str, mend: str = "") -> None:
        if len(self.faults) < MAX_FAULTS:
            line = self._places.line(entry) or 0
            self.faults.append((line, Fault(describe(entry, self._places), what, mend)))

    def _table(self, value: Any, kind: inspect.StructType, entry: Entry) -> Any:
        if not isinstance(value, dict):
            return self._fault(
                entry, f"it is {_named(value)}, not a table.", f"Write [{describe(entry)}] above its keys."
            )
        known = {field.encode_name: field for field in kind.fields}
        meant = set()
        for key in [key for key in value if key not in known][:MAX_FAULTS]:
            near = _nearest(key, [each for each in known if each not in value])
            meant.add(near)
            mend = f"Did you mean `{near}`?" if near else f"Known here: {', '.join(known)}."
            owner = _OWNERS.get(kind.cls.__name__) or f"[{describe(entry)}]"
            self._fault((*entry, key), f"{_quoted(key)} is no key of {owner}.", mend)
        content = {}
        for key, field in known.items():
            if key in value:
                content[key] = self.value(value[key], field.type, (*entry, key))
                # What was written out and what was left out is the same content.
                if content[key] == field.default:
                    del content[key]
            elif field.required and key not in meant:
                self._fault(entry, f"`{key}` is missing.", _purpose(field))
        return None if self.faults else kind.cls(**content)

    def _list(self, value: Any, kind: inspect.VarTupleType, entry: Entry) -> Any:
        if not isinstance(value, list):
            mend = "Write each as [[pairs]]." if entry == ("pairs",) else 'Write ["...", "..."].'
            return self._fault(entry, f"it is {_named(value)}, not a list.", mend)
        if len(value) > (kind.max_length or len(value)):
            return self._fault(entry, f"it holds {len(value)} entries; {kind.max_length} are allowed.")
        if len(value) < (kind.min_length or 0):
            return self._fault(entry, "it is empty.", "Write at least one [[pairs]].")
        return tuple(self.value(each, kind.item_type, (*entry, at)) for at, each in enumerate(value))

    def _scenes(self, value: Any, kind: inspect.DictType, entry: Entry) -> Any:
        if not isinstance(value, dict):
            mend = f'Sort its questions by scene: [{describe(entry)}], then work = ["..."].'
            return self._fault(entry, f"it is {_named(value)}, not a table.", mend)
        if len(value) > (kind.max_length or len(value)):
            return self._fault(entry, f"it holds {len(value)} scenes; {kind.max_length} are allowed.")
        return {
            self.value(key, kind.key_type, (*entry, key)): self.value(texts, kind.value_type, (*entry, key))
            for key, texts in value.items()
        }

    def _text(self, value: Any, kind: inspect.StrType, entry: Entry, extra: dict[str, Any]) -> Any:
        if not isinstance(value, str):
            return self._fault(entry, f"it is {_named(value)}, not text.", "Put it into quotes.")
        unsafe = _unsafe(value)
        if unsafe:
            what = f"it holds a character that cannot be seen (U+{ord(unsafe):04X})."
            return self._fault(entry, what, "Take it out: type the text anew around it.")
        text = unicodedata.normalize("NFC", value)
        text = text.strip() if extra.get("lines") else " ".join(text.split())
        if len(text) < (kind.min_length or 0):
            return self._fault(entry, "it is empty.", "Fill it in or take it out.")
        if len(text) > (kind.max_length or len(text)):
            return self._fault(
                entry, f"it has {len(text)} characters; {kind.max_length} are allowed.", "Shorten it."
            )
        if kind.pattern and not re.search(kind.pattern, text):
            return self._fault(entry, f"{_quoted(text)} will not do.", extra.get("mend", ""))
        return text

    def _choice(self, value: Any, kind: inspect.UnionType, entry: Entry) -> Any:
        literal = next(each for each in kind.types if isinstance(each, inspect.LiteralType))
        known = [str(each) for each in literal.values]
        if value in known:
            return value
        near = _nearest(value, known) if isinstance(value, str) else ""
        either = " or ".join(f"`{each}`" for each in sorted(known))
        mend = f"Did you mean `{near}`?" if near else f"It can be {either}."
        said = _quoted(value) if isinstance(value, str) else f"it is {_named(value)} and"
        return self._fault(entry, f"{said} will not do.", mend)


def _unsafe(text: str) -> str:
    """The first character that would not be seen, or would steer what shows it."""
    kept = clean(text)
    if text.isascii() and kept == text:
        return ""
    for at, character in enumerate(text.replace("\r\n", "\n")):
        if at >= len(kept) or kept[at] != character:
            return character
        if unicodedata.category(character) in ("Cf", "Cs") and character not in _JOINERS:
            return character
    return ""


def _nearest(word: str, known: Sequence[str]) -> str:
    """What a mistyped word was probably meant to be, if anything."""
    near = difflib.get_close_matches(word, known, 1, 0.6) if len(word) <= _TOO_LONG else []
    return near[0] if near else ""


def _named(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date")


def _quoted(text: str) -> str:
    short = clean_line(text)
    return f"`{short if len(short) <= _TOO_LONG else short[:_TOO_LONG] + '…'}`"


def _purpose(field: inspect.Field) -> str:
    """What a missing key is for."""
    schema = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    said = str((schema or {}).get("description", ""))
    return f"Add it: {said[:1].lower()}{said[1:]}"


def _not_toml(name: str, error: Exception) -> RecipeError:
    said = str(error)
    match = _AT.search(said)
    line = f"line {match[1]}" if match and match[1] else "at its end" if match else ""
    what = _AT.sub("", said.splitlines()[0] if said else "nested too deeply").strip()
    return _refused(
        name,
        line,
        f"it is no TOML: {clean_line(what)[:1].lower()}{clean_line(what)[1:].rstrip('.')}.",
        'Texts stand in straight double quotes on one line; a double quote within is written \\".',
    )


def _refused(name: str, where: str, what: str, mend: str) -> RecipeError:
    return RecipeError.of(name, [Fault(where, what, mend)])
