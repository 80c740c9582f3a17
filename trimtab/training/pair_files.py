"""Reads preference pairs from JSON Lines, in the shapes in which people keep them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from trimtab.engine.contract import Message
from trimtab.engine.text import clean_line
from trimtab.training.errors import TrainingError
from trimtab.training.pairs import Data, Pair

_MOST = 1 << 32
_SHAPES = 'Each line is {"prompt": ..., "chosen": ..., "rejected": ...}; docs/training.md shows the shapes.'


class _Turn(msgspec.Struct):
    role: Literal["system", "user", "assistant"]
    content: str


class _Line(msgspec.Struct):
    """Other keys, as scores or sources, are left alone."""

    chosen: str | list[_Turn]
    rejected: str | list[_Turn]
    prompt: str | list[_Turn] = ""
    messages: list[_Turn] = []
    text: str = ""
    system: str = ""


def read_pairs(path: Path) -> Data:
    """The pairs of a file, of which a wrong line is named."""
    decoder = msgspec.json.Decoder(_Line)
    pairs: list[Pair] = []
    number = 0
    try:
        if path.stat().st_size > _MOST:
            raise TrainingError(f"{path} is larger than {_MOST >> 30} GiB.", "Give a part of it.")
        with path.open("rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    pairs.append(_pair(decoder.decode(line)))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise TrainingError(
            f"{path}, line {number}: {clean_line(str(error))[:200].rstrip('.')}.", _SHAPES
        ) from error
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    return Data(tuple(pairs))


def _pair(line: _Line) -> Pair:
    chosen, rejected = _split(line.chosen), _split(line.rejected)
    if chosen[0] != rejected[0]:
        raise ValueError("chosen and rejected do not answer the same conversation")
    given = [_Turn("user", line.prompt)] if isinstance(line.prompt, str) else line.prompt
    openings = [turns for turns in (given if line.prompt else [], line.messages, chosen[0]) if turns]
    # A prompt that the lists repeat is the same one said twice.
    turns: list[_Turn] = []
    for opening in openings:
        turns = list(opening) if len(opening) > len(turns) else turns
    if any(turns[-len(opening) :] != opening for opening in openings):
        raise ValueError("it gives two prompts that differ")
    if line.system:
        turns.insert(0, _Turn("system", line.system))
    if bool(turns) == bool(line.text):
        raise ValueError("it needs a prompt to answer, or a text to continue")
    if turns and turns[-1].role != "user":
        raise ValueError("its prompt does not end with the user")
    return Pair(
        chosen=_said(chosen[1]),
        rejected=_said(rejected[1]),
        prompt=tuple(Message(role=turn.role, content=turn.content) for turn in turns),
        text=line.text,
    )


def _split(response: str | Sequence[_Turn]) -> tuple[list[_Turn], str]:
    """The turns before a response, where they are told with it, and the response."""
    if isinstance(response, str):
        return [], response
    if not response or response[-1].role != "assistant":
        raise ValueError("a response does not end with the assistant")
    return list(response[:-1]), response[-1].content


def _said(response: str) -> str:
    if not response.strip():
        raise ValueError("a response is empty")
    return response
