"""Batched passes beside the sequence: activations, and scores of continuations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from trimtab.engine.contract import FloatArray, Progress
from trimtab.engine.program import Tune
from trimtab.engine.torch.families import Anatomy
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.steering import watch
from trimtab.engine.torch.tuning import Tuner
from trimtab.errors import Cancelled, ContextFull

_TOKENS = 4096
_PAIRS = 1 << 23
"""What a batch may hold at most: tokens, and pairs of positions that attend to each other."""
_LOGITS = 1 << 24


class Reader:
    """Texts are padded at the end, where a causal model's earlier positions cannot see it."""

    def __init__(self, anatomy: Anatomy, masks: Masks, context: int, device: torch.device) -> None:
        self._anatomy = anatomy
        self._masks = masks
        self._context = context
        self._device = device

    def activations(
        self, texts: Sequence[tuple[list[int], slice]], layers: Sequence[int], *, mean: bool, progress: Progress
    ) -> FloatArray:
        """Shape (texts, layers, width): of each text the last or the mean of the positions in its slice."""
        found = np.empty((len(texts), len(layers), self._anatomy.width), dtype=np.float32)
        places = {layer: [n for n, each in enumerate(layers) if each == layer] for layer in layers}
        done = 0
        for batch in self._batches([tokens for tokens, _ in texts], progress):
            tokens = [texts[n][0] for n in batch]
            spans = [range(len(texts[n][0]))[texts[n][1]] for n in batch]
            shares = self._shares(spans, max(map(len, tokens)), mean=mean)

            def see(
                layer: int, states: Tensor, batch: list[int] = batch, shares: Tensor = shares
            ) -> None:
                rows = torch.bmm(shares, states.float()).squeeze(1).cpu().numpy()
                for place in places[layer]:
                    found[batch, place] = rows

            if places:
                watch(self._anatomy.layers, list(places), see, partial(self._pass, tokens))
            done += len(batch)
            self._tell(progress, done / len(texts))
        return found

    def score(
        self,
        pairs: Sequence[tuple[list[int], list[int]]],
        tunes: Sequence[Tune],
        tuner: Tuner,
        progress: Progress,
    ) -> list[FloatArray]:
        """For each (context, continuation) the log-probability of each token of the continuation."""
        found: list[FloatArray] = [np.empty(0, dtype=np.float32)] * len(pairs)
        done = 0
        for batch in self._batches([context + after for context, after in pairs], progress):
            texts = [pairs[n][0] + pairs[n][1] for n in batch]
            last, normed = self._ends(texts)
            for row, number in enumerate(batch):
                context, after = pairs[number]
                at = slice(len(context) - 1, len(context) - 1 + len(after))
                states = tuner.normed(last[row, at], normed[row, at], tunes) if tunes else normed[row, at]
                found[number] = self._log_probabilities(states, after)
            done += len(batch)
            self._tell(progress, done / len(pairs))
        return found

    def _log_probabilities(self, states: Tensor, tokens: Sequence[int]) -> FloatArray:
        rows = max(1, _LOGITS // self._anatomy.vocabulary)
        wanted = torch.tensor(tokens, device=self._device)
        parts = []
        with torch.inference_mode():
            for some, each in zip(torch.split(states, rows), torch.split(wanted, rows), strict=True):
                logits = self._anatomy.logits(some)
                chosen = logits.gather(1, each.unsqueeze(1)).squeeze(1)
                parts.append(chosen - logits.logsumexp(1))
            found: FloatArray = torch.cat(parts).cpu().numpy()
        return found

    def _ends(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """The states before the final norm and after it, at every position."""
        seen: list[Tensor] = []
        handle = self._anatomy.norm.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        try:
            normed = self._pass(texts)
        finally:
            handle.remove()
        return seen[0], normed

    @torch.inference_mode()
    def _pass(self, texts: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, texts))
        ids = torch.zeros((len(texts), longest), dtype=torch.long)
        for row, tokens in enumerate(texts):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        positions = self._masks.positions(0, longest)
        result = self._anatomy.base(
            input_ids=ids.to(self._device),
            attention_mask=self._masks.make(positions, longest),
            position_ids=positions.unsqueeze(0).expand(len(texts), -1),
            use_cache=False,
        )
        states: Tensor = result.last_hidden_state
        return states

    def _shares(self, spans: Sequence[range], longest: int, *, mean: bool) -> Tensor:
        """Shape (texts, 1, positions): how much of each position is wanted."""
        shares = torch.zeros((len(spans), 1, longest))
        for row, span in enumerate(spans):
            if not span:
                raise ValueError("a slice of a text to read holds no position")
            if mean:
                shares[row, 0, list(span)] = 1.0 / len(span)
            else:
                shares[row, 0, span[-1]] = 1.0
        return shares.to(self._device)

    def _batches(self, texts: Sequence[Sequence[int]], progress: Progress) -> Iterator[list[int]]:
        """Texts of like length together, no more than memory should be asked to hold."""
        for tokens in texts:
            if not 0 < len(tokens) <= self._context:
                raise ContextFull(
                    f"A text to read is {len(tokens)} tokens long; the window holds 1 to {self._context}.",
                    "Shorten it, or load the model with a larger context.",
                )
        self._tell(progress, 0.0)
        batch: list[int] = []
        for number in sorted(range(len(texts)), key=lambda n: -len(texts[n])):
            longest = len(texts[batch[0] if batch else number])
            size = len(batch) + 1
            if batch and (size * longest > _TOKENS or size * longest * longest > _PAIRS):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    def _tell(self, progress: Progress, fraction: float) -> None:
        if not progress(fraction):
            raise Cancelled("Stopped while reading.")
