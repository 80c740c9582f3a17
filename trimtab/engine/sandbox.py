"""The process in which a model's chat template runs, bounded in time, in memory and in what it writes.

Started as `python -P -m trimtab.engine.sandbox`; it answers each line of JSON with one. A template comes with
a model from anywhere, and no sandbox within an interpreter keeps an expression from taking for ever.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox

SECONDS = 3.0
"""What one rendering may take: an ordinary one takes a thousandth of it."""
_MEMORY = 2**30
_MAX_SOURCE = 2**18
_MAX_GROWTH = 2**20
_MAX_POWER = 64
_TRIAL = ({"role": "user", "content": "Hi"},)


class Refused(Exception):
    """The template does not want these messages, or makes a mistake with them."""


class Excess(Exception):
    """The template asks for more than any chat needs."""


class Script:
    """A compiled template."""

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        if len(source) > _MAX_SOURCE:
            raise Excess(f"is {len(source):,} characters long")
        try:
            self._template = _environment().from_string(source)
        except MemoryError as error:
            raise Excess("takes too much memory") from error
        except Exception as error:
            raise Refused(_line(error)) from error
        with contextlib.suppress(Refused):
            self.render(_TRIAL, prompt=True)

    def render(self, messages: Sequence[Mapping[str, str]], *, prompt: bool) -> str:
        limit = _MAX_GROWTH + 8 * sum(len(message["content"]) for message in messages)
        parts: list[str] = []
        try:
            for part in self._template.generate(
                messages=messages, add_generation_prompt=prompt, **self._variables
            ):
                parts.append(part)
                limit -= len(part)
                if limit < 0:
                    raise Excess("writes without end")
        except Excess:
            raise
        except MemoryError as error:
            raise Excess("takes too much memory") from error
        except Exception as error:
            raise Refused(_line(error)) from error
        return "".join(parts)


def main() -> None:
    """Compiles the template that the first line holds, then renders messages until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bound_memory()
    _say({"ready": True})
    script: Script | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # The clock runs in a thread without Python, which no expression can hold up.
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            if script is None:
                script = Script(**request)
                answer = {"text": ""}
            else:
                answer = {"text": script.render(**request)}
        except Refused as error:
            answer = {"refused": str(error)}
        except Excess as error:
            answer = {"excess": str(error)}
        faulthandler.cancel_dump_traceback_later()
        _say(answer)


def _say(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _bound_memory() -> None:
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Where the system bounds no memory, what grows fastest is bounded here."""
        if operator == "**" and max(_size(left), _size(right)) > _MAX_POWER:
            raise Excess("computes with numbers that are too large")
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "*" and not numbers and _size(left) * _size(right) > _MAX_GROWTH:
            raise Excess("writes without end")
        return super().call_binop(context, operator, left, right)


def _size(value: Any) -> float:
    return abs(value) if isinstance(value, int | float) else len(value)


class _Generation(jinja2.ext.Extension):
    """`{% generation %}`, with which some templates mark the assistant's words, says nothing here."""

    tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> _Environment:
    # Not optimised: nothing is computed before it is asked for.
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        optimized=False,
        extensions=["jinja2.ext.loopcontrols", _Generation],
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
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


if __name__ == "__main__":
    main()
