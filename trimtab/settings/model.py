"""The settings: what there is, what it means, and what it may be."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that belong together: a table of the file."""


class Look(_Group, frozen=True, kw_only=True):
    theme: Annotated[
        str,
        Meta(description="trimtab-dark, trimtab-light, or any theme of Textual."),
    ] = "trimtab-dark"
    sidebar: Annotated[bool, Meta(description="Show the list of chats where there is room.")] = True
    desk: Annotated[bool, Meta(description="Show the dials where there is room.")] = True
    blink: Annotated[bool, Meta(description="Let the cursor blink.")] = False


class Chat(_Group, frozen=True, kw_only=True):
    system: Annotated[str, Meta(description="The system prompt of new chats.")] = ""
    temperature: Annotated[float, Meta(ge=0, le=100, description="0 always takes the likeliest word.")] = 0.8
    top_p: Annotated[float, Meta(ge=0, le=1, description="Draw from the likeliest words of this share.")] = (
        0.95
    )
    top_k: Annotated[int, Meta(ge=0, description="Draw from so many of the likeliest words; 0 from all.")] = (
        40
    )
    min_p: Annotated[
        float, Meta(ge=0, le=1, description="Leave out words less likely than this share of the likeliest.")
    ] = 0.05
    max_tokens: Annotated[int, Meta(ge=0, description="The longest reply; 0 sets no limit.")] = 0
    reread: Annotated[
        bool, Meta(description="Read the history anew when dials have moved: slower, and truer to the dials.")
    ] = False


class Model(_Group, frozen=True, kw_only=True):
    path: Annotated[
        str, Meta(description="A GGUF file, or a folder of safetensors; empty takes the built-in model.")
    ] = ""
    engine: Annotated[
        Literal["auto", "llama", "torch"], Meta(description="llama.cpp for GGUF files, PyTorch for folders.")
    ] = "auto"
    context: Annotated[int, Meta(ge=0, description="Tokens of the window; 0 takes what suits the model.")] = 0
    threads: Annotated[int, Meta(ge=0, le=512, description="0 takes the processor's cores less one.")] = 0
    gpu_layers: Annotated[int, Meta(ge=-1, description="Layers on a GPU; -1 puts all there.")] = -1


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them; each has a default."""

    look: Look = Look()
    chat: Chat = Chat()
    model: Model = Model()
    keys: dict[str, str] = {}
    """Other keys for commands, by the names that the help shows: `send = "ctrl+s"`."""


@dataclass(frozen=True)
class Documented:
    """A setting as a form or a page shows it."""

    group: str
    name: str
    kind: type
    choices: tuple[str, ...]
    default: Any
    meaning: str


def documented() -> Iterator[Documented]:
    """Every setting but the keys, in the order of the file."""
    for group, kind in get_type_hints(Settings).items():
        if not (isinstance(kind, type) and issubclass(kind, _Group)):
            continue
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            base, meta = get_args(hints[field.name])
            literal = get_origin(base) is Literal
            yield Documented(
                group=group,
                name=field.name,
                kind=str if literal or isinstance(base, types.UnionType) else base,
                choices=get_args(base) if literal else (),
                default=field.default,
                meaning=meta.description,
            )
