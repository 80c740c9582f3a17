"""A transformers model as a `Machine`: one sequence, steered."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import torch

from trimtab.engine.contract import ActivationRequest, FloatArray, ModelInfo, Progress
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan
from trimtab.engine.program import Tune
from trimtab.engine.torch.adapters import Adapters
from trimtab.engine.torch.decode import Decoder, Outcome
from trimtab.engine.torch.families import Anatomy
from trimtab.engine.torch.graph import Graphs
from trimtab.engine.torch.head import bias_of, through_head
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.reading import Reader
from trimtab.engine.torch.steering import Hooks, Steering
from trimtab.engine.torch.tokens import Tokens
from trimtab.engine.torch.tuning import Tuner
from trimtab.errors import Cancelled, ContextFull, Unsupported

_UNSTEERED = Plan(fingerprint="")


@dataclass(frozen=True, eq=False)
class Parts:
    """What a machine is put together from."""

    anatomy: Anatomy
    tokens: Tokens
    steering: Steering
    decoder: Decoder
    masks: Masks
    device: torch.device
    graphs: Graphs[Outcome] | None


class TorchMachine:
    """Implements `trimtab.engine.machine.Machine`."""

    def __init__(self, info: ModelInfo, parts: Parts, batch: int) -> None:
        """`batch` is how many tokens are read in one piece."""
        self.info = info
        self._anatomy = parts.anatomy
        self._tokens = parts.tokens
        self._steering = parts.steering
        self._decoder = parts.decoder
        self._device = parts.device
        self._batch = max(1, batch)
        self._graphs = parts.graphs
        self._hooks = Hooks(parts.anatomy.layers, parts.steering)
        self._adapters = Adapters(parts.anatomy.model)
        self._tuner = Tuner(parts.anatomy)
        self._reader = Reader(parts.anatomy, parts.masks, info.context, parts.device)
        self._length = 0
        self._plan = _UNSTEERED
        self._tunes: tuple[Tune, ...] = ()
        self._wanted: Callable[[], bool] | None = None

    def warm_up(self) -> None:
        """Allocates the cache and, where steps are captured, captures the plainest."""
        self.install(_UNSTEERED)
        self._decoder.run([0], 0, None)
        self.decode([0])
        self.cut(0)
        self.readings()

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        return self._tokens.tokenize(text, special=special, bos=bos)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return self._tokens.pieces(tokens)

    def is_end(self, token: int) -> bool:
        return self._tokens.is_end(token)

    def special_texts(self) -> list[str]:
        return self._tokens.special_texts()

    def template_variables(self) -> dict[str, str]:
        return self._tokens.variables()

    def unsupported(self, plan: Plan) -> str | None:
        for adapter in plan.adapters:
            if adapter.kind != "peft":
                return (
                    f"{adapter.title} is a GGUF adapter, which runs on llama.cpp only: "
                    "give the peft folder that it was made from."
                )
        return None

    def install(self, plan: Plan) -> None:
        reason = self.unsupported(plan)
        if reason is not None:
            raise Unsupported(reason)
        self._adapters.install(plan.adapters)
        self._hooks.install(plan)
        self._plan = plan
        self._tunes = tuple(tune for tune in plan.tunes if not tune.linear)
        self._decoder.keep_last = bool(self._tunes)

    def decode(self, tokens: Sequence[int]) -> FloatArray:
        if not tokens:
            raise ValueError("no token to decode")
        if self._length + len(tokens) > self.info.context:
            raise ContextFull(
                f"The window of {self.info.context} tokens is full.", "Start a new conversation or shorten this one."
            )
        shape = self._steering.shape()
        key = None if shape is None else (shape, self._adapters.shape())
        for start in range(0, len(tokens), self._batch):
            if self._wanted is not None and self._wanted():
                raise Cancelled("Stopped while reading.")
            piece = tokens[start : start + self._batch]
            outcome = self._decoder.run(piece, self._length, key)
            self._length += len(piece)
        self._note_failure()
        normed = outcome.normed
        if self._tunes:
            last = normed if outcome.last is None else outcome.last
            normed = self._tuner.normed(last, normed, self._tunes)
        with torch.inference_mode():
            logits: FloatArray = self._anatomy.logits(normed)[0].cpu().numpy()
        return logits

    def readings(self) -> Readings:
        return self._steering.readings()

    def deltas(self) -> dict[int, FloatArray]:
        return self._steering.deltas()

    def cut(self, length: int) -> bool:
        if not 0 <= length <= self._length:
            raise ValueError(f"cannot keep {length} of {self._length} positions")
        self._length = length
        return True

    def slide(self, keep: int, drop: int) -> None:
        del keep, drop
        raise Unsupported("The PyTorch engine cannot let go of the oldest part of a full window.")

    def interrupt(self, wanted: Callable[[], bool] | None) -> None:
        self._wanted = wanted
        self._decoder.wanted = wanted

    def head(self, direction: FloatArray) -> FloatArray:
        return through_head(self._anatomy, direction)

    def head_bias(self) -> FloatArray | None:
        return bias_of(self._anatomy)

    def softcap(self) -> float:
        return self._anatomy.softcap

    def state_at_end(self, tokens: Sequence[int], layers: Sequence[int]) -> FloatArray:
        with self._aside():
            texts = [(list(tokens), slice(len(tokens)))]
            found: FloatArray = self._reader.activations(texts, layers, mean=False, progress=self._going)[0]
        return found

    def activations(
        self, texts: Sequence[tuple[list[int], slice]], request: ActivationRequest, progress: Progress
    ) -> FloatArray:
        with self._aside():
            return self._reader.activations(
                texts, request.layers, mean=request.positions == "mean", progress=self._both(progress)
            )

    def score(
        self, pairs: Sequence[tuple[list[int], list[int]]], plan: Plan, progress: Progress
    ) -> list[FloatArray]:
        """All of the plan's tunes are done here, the linear ones by their steps."""
        before = self._plan
        self.install(plan)
        try:
            return self._reader.score(pairs, plan.tunes, self._tuner, self._both(progress))
        finally:
            self.install(before)

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        chosen = torch.tensor(list(tokens), dtype=torch.long, device=self._device)
        with torch.inference_mode():
            rows: FloatArray = self._anatomy.weight[chosen].float().cpu().numpy()
        return rows

    def close(self) -> None:
        self.install(_UNSTEERED)
        self._tuner.forget()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        with self._hooks.idle(), self._adapters.idle():
            yield

    def _both(self, progress: Progress) -> Progress:
        return lambda fraction: self._going(fraction) and progress(fraction)

    def _going(self, _fraction: float) -> bool:
        return self._wanted is None or not self._wanted()

    def _note_failure(self) -> None:
        failure = self._graphs.failure if self._graphs is not None else None
        if failure is not None:
            warning = f"The step could not be captured as a CUDA graph and runs without: {failure}"
            if warning not in self.info.warnings:
                self.info = msgspec.structs.replace(self.info, warnings=(*self.info.warnings, warning))
