"""Chat templates: a conversation made into a prompt, in a sandbox, with the user's words kept as words."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from trimtab.engine.contract import Message
from trimtab.errors import ModelError

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_SPLIT = "\ufdd0"
"""Put into a special token's text inside a message, so that it is tokenised as mere words."""
_HERE = "\ufdd1"
"""Where a message that is to be resumed ends. Both are noncharacters, which no text may hold."""

_MAX_GROWTH = 1 << 20


class ChatTemplate:
    """Renders conversations for one model."""

    def __init__(self, source: str | None, variables: Mapping[str, str], specials: Sequence[str]) -> None:
        self._variables = dict(variables)
        texts = sorted({text for text in specials if len(text) > 1}, key=len, reverse=True)
        self._specials = re.compile("|".join(map(re.escape, texts))) if texts else None
        try:
            self._template = _environment().from_string(source or CHATML)
        except jinja2.TemplateError as error:
            raise ModelError(
                f"The model's chat template is broken: {_line(error)}.", "Use another copy of the model."
            ) from error

    def tokens(
        self,
        messages: Sequence[Message],
        tokenize: Callable[[str], list[int]],
        *,
        resume: bool = False,
    ) -> list[int]:
        """The prompt's tokens; `tokenize` parses special tokens. `resume` leaves the last message open."""
        return [token for piece in self.pieces(messages, resume=resume) for token in tokenize(piece)]

    def pieces(self, messages: Sequence[Message], *, resume: bool = False) -> list[str]:
        """The prompt, cut wherever a message spelled out a special token."""
        safe = [{"role": message.role, "content": self._shield(message.content)} for message in messages]
        if resume:
            safe[-1]["content"] += _HERE
        try:
            text = self._render(safe, prompt=not resume)
        except jinja2.TemplateError as error:
            if safe[0]["role"] != "system":
                raise ModelError(f"The model's chat template refused: {_line(error)}.") from error
            text = self._render_without_system(safe, prompt=not resume)
        if resume:
            text = text[: text.rindex(_HERE)] if _HERE in text else text
        return [piece for piece in text.split(_SPLIT) if piece]

    def _shield(self, content: str) -> str:
        content = content.replace(_SPLIT, "").replace(_HERE, "")
        if self._specials is None:
            return content
        return self._specials.sub(lambda found: found[0][0] + _SPLIT + found[0][1:], content)

    def _render_without_system(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        """For templates that know no system role: its words open the first user message."""
        system, *rest = messages
        first = next((number for number, message in enumerate(rest) if message["role"] == "user"), None)
        if first is None:
            rest = [{"role": "user", "content": system["content"]}, *rest]
        else:
            opened = {"role": "user", "content": f"{system['content']}\n\n{rest[first]['content']}"}
            rest = [*rest[:first], opened, *rest[first + 1 :]]
        try:
            return self._render(rest, prompt=prompt)
        except jinja2.TemplateError as error:
            raise ModelError(f"The model's chat template refused: {_line(error)}.") from error

    def _render(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        limit = _MAX_GROWTH + 8 * sum(len(message["content"]) for message in messages)
        parts: list[str] = []
        size = 0
        try:
            for part in self._template.generate(
                messages=messages, add_generation_prompt=prompt, **self._variables
            ):
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise ModelError("The model's chat template writes without end.", "Use another model.")
        except (TypeError, ValueError, KeyError, ArithmeticError, RecursionError, MemoryError) as error:
            raise jinja2.TemplateError(str(error)) from error
        return "".join(parts)


class _Generation(jinja2.ext.Extension):
    """`{% generation %}`, with which some templates mark the assistant's words, says nothing here."""

    tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().astimezone().strftime(form)
    return environment


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(reason: str) -> None:
    raise jinja2.TemplateError(reason)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
