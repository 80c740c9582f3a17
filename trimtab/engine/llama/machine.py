"""One model loaded by llama.cpp, with the chat in its sequence 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trimtab.engine.contract import ActivationRequest, FloatArray, ModelInfo, Progress
from trimtab.engine.gguf_file import GgufFile
from trimtab.engine.llama import adapters as lora
from trimtab.engine.llama.adapters import Adapters
from trimtab.engine.llama.aside import CHAT, Aside
from trimtab.engine.llama.forward import Forward
from trimtab.engine.llama.head import Head
from trimtab.engine.llama.interruption import Interruption
from trimtab.engine.llama.native import Native
from trimtab.engine.llama.sites import Sites, unembedding
from trimtab.engine.llama.steering import Steering
from trimtab.engine.llama.words import Words
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan
from trimtab.errors import Cancelled, ContextFull, Unsupported


@dataclass(frozen=True)
class Parts:
    """What a machine is put together from."""

    native: Native
    file: GgufFile
    words: Words
    forward: Forward
    interruption: Interruption
    sites: Sites
    adapters: Adapters
    steering: Steering
    head: Head
    aside: Aside
    softcap: float


class LlamaMachine:
    """A `Machine` over llama.cpp."""

    def __init__(self, info: ModelInfo, parts: Parts) -> None:
        self.info = info
        self._parts = parts
        self._native = parts.native
        self._words = parts.words
        self._forward = parts.forward
        self._batch = parts.forward.batch
        self._interruption = parts.interruption
        self._steering = parts.steering
        self._sites = parts.sites
        self._length = 0

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        return self._words.tokenize(text, special=special, bos=bos)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return self._words.pieces(tokens)

    def is_end(self, token: int) -> bool:
        return self._words.is_end(token)

    def special_texts(self) -> list[str]:
        return self._words.specials

    def template_variables(self) -> dict[str, str]:
        return self._words.variables

    def unsupported(self, plan: Plan) -> str | None:
        for layer in plan.layers:
            if layer not in self._sites.steerable:
                node = f"l_out-{layer}"
                problem = self._sites.problems.get(node, "does not show in this model")
                return f"Layer {layer} cannot be steered or read: its output {node} {problem}."
        for tune in plan.tunes:
            if not self._sites.head:
                return f"{tune.title}: this model's logits are no linear function of its final normed state."
            if tune.site == "prenorm" and not tune.linear and self._sites.norm is None:
                return f"{tune.title}: the norm before this model's head is not known; use the site after it."
        return lora.unsupported(plan.adapters)

    def install(self, plan: Plan) -> None:
        self._steering.install(plan)

    def decode(self, tokens: Sequence[int]) -> FloatArray:
        count = len(tokens)
        if self._length + count > self.info.context:
            raise ContextFull(
                f"The model's window of {self.info.context:,} tokens is full.",
                "Start a new chat, or load it with a larger context.",
            )
        try:
            if count == 1:
                self._steering.before()
                self._batch.one(tokens[0], self._length)
                self._forward.run()
                self._steering.after(1, 1)
                self._length += 1
            else:
                self._read(tokens)
        except BaseException:
            self._length = self._forward.length(CHAT)
            raise
        return self._forward.logits()

    def _read(self, tokens: Sequence[int]) -> None:
        """Decodes many tokens piece by piece, with logits after the last."""
        for start in range(0, len(tokens), self._batch.capacity):
            if start and self._interruption.wanted:
                raise Cancelled("Stopped.")
            piece = tokens[start : start + self._batch.capacity]
            outputs = [len(piece) - 1] if start + len(piece) == len(tokens) else []
            self._steering.before()
            self._batch.clear()
            self._batch.add(piece, self._length, CHAT, outputs)
            self._forward.run()
            self._steering.after(len(piece), len(outputs))
            self._length += len(piece)

    def readings(self) -> Readings:
        return self._steering.readings()

    def deltas(self) -> dict[int, FloatArray]:
        return self._steering.deltas()

    def cut(self, length: int) -> bool:
        held = self._forward.length(CHAT)
        api, memory = self._native.api, self._native.memory
        done = held <= length or bool(api.llama_memory_seq_rm(memory, CHAT, length, -1))
        if not done:
            self._forward.forget(CHAT)
        self._length = min(held, length) if done else 0
        return done

    def slide(self, keep: int, drop: int) -> None:
        if not self.info.can_shift:
            raise Unsupported(
                "This model's window cannot let go of its oldest part.",
                "Start a new chat, or load it with a larger context.",
            )
        api, memory = self._native.api, self._native.memory
        api.llama_memory_seq_rm(memory, CHAT, keep, keep + drop)
        api.llama_memory_seq_add(memory, CHAT, keep + drop, -1, -drop)
        self._length -= drop

    def interrupt(self, wanted: Callable[[], bool] | None) -> None:
        self._interruption.ask(wanted)

    def head(self, direction: FloatArray) -> FloatArray:
        if not self._sites.head:
            raise Unsupported("This model's logits are no linear function of its final normed state.")
        with self._steering.paused():
            return self._parts.head.apply(direction)

    def head_bias(self) -> FloatArray | None:
        return self._sites.head_bias

    def softcap(self) -> float:
        return self._parts.softcap

    def state_at_end(self, tokens: Sequence[int], layers: Sequence[int]) -> FloatArray:
        self._check_layers(layers)
        with self._steering.paused():
            texts = [(tokens, slice(len(tokens) - 1, None))]
            states: FloatArray = self._parts.aside.states(texts, layers, "last", lambda _: True)[0]
            return states

    def activations(
        self, texts: Sequence[tuple[list[int], slice]], request: ActivationRequest, progress: Progress
    ) -> FloatArray:
        self._check_layers(request.layers)
        with self._steering.paused():
            return self._parts.aside.states(texts, request.layers, request.positions, progress)

    def score(
        self, pairs: Sequence[tuple[list[int], list[int]]], plan: Plan, progress: Progress
    ) -> list[FloatArray]:
        with self._steering.instead(plan):
            return self._parts.aside.scores(pairs, progress)

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        return unembedding(self._parts.file, tokens)

    def close(self) -> None:
        self._native.free_context()
        self._parts.adapters.close()
        self._native.close()
        self._parts.file.close()

    def _check_layers(self, layers: Sequence[int]) -> None:
        for layer in layers:
            if layer not in self._sites.steerable:
                raise Unsupported(f"Layer {layer} of this model cannot be read.", "Choose another layer.")
