"""Whether llama.cpp, through Trimtab's engine, gives the same greedy answers as PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trimtab.engine.contract import (
    Done,
    Engine,
    GenerateRequest,
    LoadRequest,
    Message,
    Role,
    Sampling,
    Token,
)
from trimtab.engine.loading import load_engine
from trimtab.minnow.documents import Turn

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


def agreement(
    path: Path,
    asked: Sequence[tuple[Turn, ...]],
    said: Sequence[str],
    most: int,
    threads: int,
    *,
    exact: bool,
) -> float:
    """The share of conversations to which the model at `path` answers word for word what was `said`."""
    request = LoadRequest(path=str(path), context=1024, threads=threads, exact=exact)
    engine = load_engine(request, lambda _: True)
    try:
        same = [answer(engine, turns, most) == expected for turns, expected in zip(asked, said, strict=True)]
    finally:
        engine.close()
    return sum(same) / len(same)


def answer(engine: Engine, turns: Sequence[Turn], most: int) -> str:
    """The engine's greedy answer."""
    messages = tuple(Message(role=_ROLES[turn.role], content=turn.text) for turn in turns)
    sampling = Sampling(temperature=0, max_tokens=most)
    text = ""
    for event in engine.generate(GenerateRequest(messages=messages, sampling=sampling)):
        if isinstance(event, Token | Done):
            text += event.text
    return text.strip()
