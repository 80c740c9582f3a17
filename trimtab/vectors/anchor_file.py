"""Anchor packs: chosen words with where they come from, in a TOML file that people read, edit and share."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from trimtab import locations
from trimtab.engine.text import clean_line
from trimtab.errors import TrimtabError
from trimtab.vectors.pack_files import read_bounded, write_atomically

MAX_BYTES = 1 << 20
SUFFIX = ".toml"


class AnchorWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word, its mean log-ratio, and how often it occurred."""

    word: Annotated[str, Meta(min_length=1, max_length=80)]
    score: float = 0.0
    count: int = 0


class AnchorPack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to bring forward and to hold back, and how they were chosen."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    model: str = ""
    """π*, as the user would name it."""
    reference: str = ""
    """π_ref."""
    form: str = ""
    vocabulary_hash: str = ""
    data: str = ""
    date: str = ""
    tool: str = ""
    positive: Annotated[tuple[AnchorWord, ...], Meta(max_length=100)] = ()
    negative: Annotated[tuple[AnchorWord, ...], Meta(max_length=100)] = ()


def folder() -> Path:
    """Where anchor packs are found by their name."""
    return locations.data() / "anchors"


def find(name: str) -> AnchorPack:
    """An anchor pack by its name or its path."""
    path = Path(name).expanduser()
    if not (path.suffix == SUFFIX or "/" in name or "\\" in name):
        path = folder() / f"{name}{SUFFIX}"
        if not path.is_file():
            known = sorted(each.stem for each in folder().glob(f"*{SUFFIX}"))
            raise TrimtabError(
                f"There is no anchor pack called {clean_line(name)}.",
                f"There are: {', '.join(known)}." if known else "Make one: trimtab anchors --help",
            )
    return read(path)


def read(path: Path) -> AnchorPack:
    """The anchor pack in a file, anybody's."""
    shown = clean_line(str(path))
    try:
        pack = msgspec.convert(tomllib.loads(read_bounded(path, MAX_BYTES).decode("utf-8")), AnchorPack)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise TrimtabError(
            f"{shown} is no anchor pack: {clean_line(str(error))}", "Mend the file."
        ) from error
    if not pack.positive and not pack.negative:
        raise TrimtabError(f"{shown} holds no words.", "Mend the file.")
    return pack


def save(pack: AnchorPack, path: Path) -> None:
    write_atomically(path, to_toml(pack).encode())


def to_toml(pack: AnchorPack) -> str:
    return "\n".join(_lines(pack)) + "\n"


def _lines(pack: AnchorPack) -> Iterator[str]:
    for field in ("name", "model", "reference", "form", "vocabulary_hash", "data", "date", "tool"):
        if value := getattr(pack, field):
            yield f"{field} = {json.dumps(clean_line(value), ensure_ascii=False)}"
    for side, words in (("positive", pack.positive), ("negative", pack.negative)):
        for each in words:
            yield ""
            yield f"[[{side}]]"
            yield f"word = {json.dumps(each.word, ensure_ascii=False)}"
            yield f"score = {each.score:.6g}" if "." in f"{each.score:.6g}" else f"score = {each.score:.1f}"
            yield f"count = {each.count}"
