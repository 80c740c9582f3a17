"""Preference data: responses that were chosen and rejected, from files as people have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trimtab.engine.text import clean_line
from trimtab.errors import TrimtabError

MAX_BYTES = 1 << 30
_RESPONSE = ("response", "completion", "answer", "output", "text")
_PROMPT = ("prompt", "question", "instruction", "input")
_HOW = 'Write a line of JSON for each: {"prompt": "…", "response": "…"}, or plain text, a response a line.'


@dataclass(frozen=True)
class Example:
    """What was asked, which may be nothing, and what was answered."""

    prompt: str
    response: str


def read_side(path: Path, side: str = "response") -> list[Example]:
    """The responses in a file: JSON lines, or plain text with a response a line.

    `side` names the key that holds the response in files that hold both (`chosen` or `rejected`).
    """
    examples = list(_json_lines(path, side) if path.suffix in (".jsonl", ".json") else _plain(path))
    if not examples:
        raise TrimtabError(f"{clean_line(path.name)} holds no responses.", _HOW)
    return examples


def _plain(path: Path) -> Iterator[Example]:
    for line in _lines(path):
        if line.strip():
            yield Example("", line.strip())


def _json_lines(path: Path, side: str) -> Iterator[Example]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            found = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TrimtabError(
                f"{clean_line(path.name)}, line {number}: no JSON object ({error}).", _HOW
            ) from error
        response = _said(next((found[key] for key in (side, *_RESPONSE) if key in found), None), "assistant")
        prompt = _said(next((found[key] for key in _PROMPT if key in found), ""), "user")
        if response is None or prompt is None:
            raise TrimtabError(f"{clean_line(path.name)}, line {number}: there is no {side} in it.", _HOW)
        prompt, response = _parted(prompt, response)
        if response.strip():
            yield Example(prompt.strip(), response.strip())


def _said(value: object, role: str) -> str | None:
    """A text, or the last message of a conversation that this role spoke."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        messages = [each for each in value if isinstance(each, dict) and each.get("role") == role]
        content = messages[-1].get("content") if messages else None
        return content if isinstance(content, str) else None
    return None


def _parted(prompt: str, response: str) -> tuple[str, str]:
    """A whole dialogue in one text, as HH-RLHF has it, in what was asked last and what was answered."""
    if prompt or "\n\nAssistant:" not in response:
        return prompt, response
    asked, _, answered = response.rpartition("\n\nAssistant:")
    return asked.rpartition("\n\nHuman:")[2], answered


def _lines(path: Path) -> Iterator[str]:
    shown = clean_line(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TrimtabError(f"{shown} is larger than {MAX_BYTES >> 20} MiB.", "Take a part of it.")
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise TrimtabError(f"{shown} cannot be read: {error.strerror}.", "Check the path.") from error
