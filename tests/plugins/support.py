"""Replies of an engine in this process under a desk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.engine.contract import Done, FloatArray, GenerateRequest, ModelInfo, Receipt, Sampling, Token
from trimtab.engine.generation import MachineEngine
from trimtab.engine.program import Program
from trimtab.plugins.context import MethodContext
from trimtab.plugins.line import Line
from trimtab.plugins.manager import Plugins
from trimtab.plugins.programs import compose

PROMPT = "The sea was calm and the sailors"
TOKENS = 12


@dataclass
class Asking:
    """What methods may ask, with a count of how often they did."""

    engine: MachineEngine
    questions: int = 0

    @property
    def info(self) -> ModelInfo:
        return self.engine.info

    async def tokenize(self, text: str) -> list[int]:
        self.questions += 1
        return self.engine.tokenize(text)

    async def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        self.questions += 1
        return self.engine.pieces(tokens)

    async def unembed(self, tokens: Sequence[int]) -> FloatArray:
        self.questions += 1
        return self.engine.unembed(tokens)


@dataclass(frozen=True)
class Reply:
    tokens: list[Token]
    receipt: Receipt

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    def logits(self, name: str) -> list[float]:
        """Of a watched probe, at each token; infinite where its probability has rounded to 0 or 1."""
        return [_logit(token.watched[name]) for token in self.tokens]


def say(engine: MachineEngine, program: Program, text: str = PROMPT, **options: object) -> Reply:
    engine.cache.cut(0)
    sampling = Sampling(temperature=0, max_tokens=TOKENS)
    request = GenerateRequest(text=text, program=program, sampling=sampling, **options)  # type: ignore[arg-type]
    return _run(engine, request)


def answer(engine: MachineEngine, request: GenerateRequest) -> Reply:
    engine.cache.cut(0)
    return _run(engine, request)


async def under(engine: MachineEngine, plugins: Plugins, context: MethodContext, *lines: Line) -> Reply:
    """What the model says under these lines."""
    composed = await compose(lines, plugins, context)
    return say(engine, composed.program)


def _run(engine: MachineEngine, request: GenerateRequest) -> Reply:
    events = list(engine.generate(request))
    done = events[-1]
    assert isinstance(done, Done)
    return Reply([event for event in events if isinstance(event, Token)], done.receipt)


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p) if 0 < p < 1 else math.copysign(math.inf, p - 0.5)
