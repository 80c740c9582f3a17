"""What a stage is after: examples made from pairs, and for each the loss and a number that tells how well it goes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from trimtab.training.options import Settled
from trimtab.training.pairs import Pair
from trimtab.training.torch import losses
from trimtab.training.torch.examples import Encoder, Spoken
from trimtab.training.torch.network import Network

Example = tuple[Spoken, ...]
"""The texts that one loss is computed from."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A network under one of its adapters, or under none."""

    network: Network
    adapter: str | None = None

    def states(self, rows: Sequence[Spoken], options: Settled) -> tuple[Tensor, Tensor]:
        with self.network.adapters.acting(self.adapter):
            return self.network.states(rows, options.layers.blocks, lead=options.lead)


class Objective(Protocol):
    """One of the methods' aims."""

    @property
    def measured(self) -> str:
        """What the second number is."""
        ...

    def examples(self, pairs: Sequence[Pair], encoder: Encoder) -> list[Example]: ...

    def losses(self, batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """For each example its loss, which can be derived, and its measure."""
        ...


@dataclass(frozen=True, slots=True)
class Likely:
    """Makes one of each pair's responses likelier (Eqs. 2 and 3)."""

    network: Network
    options: Settled
    which: Literal["chosen", "rejected"]
    measured: str = "per token"

    def examples(self, pairs: Sequence[Pair], encoder: Encoder) -> list[Example]:
        return [(encoder.encode(pair, getattr(pair, self.which)),) for pair in pairs]

    def losses(self, batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
        found, counts = self.network.likelihoods([text for (text,) in batch])
        each = -found / counts
        return each if self.options.likelihood == "mean" else -found, each.detach()


@dataclass(frozen=True, slots=True)
class Contrast:
    """Makes each response likelier behind its own instruction than behind the opposite one (Eq. 1)."""

    network: Network
    options: Settled
    measured: str = "told apart"

    def examples(self, pairs: Sequence[Pair], encoder: Encoder) -> list[Example]:
        good, bad = self.options.good, self.options.bad
        return [
            (encoder.encode(pair, said, own), encoder.encode(pair, said, opposite))
            for pair in pairs
            for said, own, opposite in ((pair.chosen, good, bad), (pair.rejected, bad, good))
        ]

    def losses(self, batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
        found, counts = self.network.likelihoods([own for own, _ in batch] + [other for _, other in batch])
        if self.options.likelihood == "mean":
            found = found / counts
        own, opposite = found.chunk(2)
        each = losses.contrast(
            own, opposite, supervised=self.options.supervised, smoothing=self.options.smoothing
        )
        return each, (own > opposite).float()


@dataclass(slots=True)
class Preference:
    """DPO: the chosen response's gain over the reference above the rejected one's."""

    network: Network
    options: Settled
    measured: str = "preferred"
    _reference: dict[Example, float] = field(default_factory=dict)

    def examples(self, pairs: Sequence[Pair], encoder: Encoder) -> list[Example]:
        return [(encoder.encode(pair, pair.chosen), encoder.encode(pair, pair.rejected)) for pair in pairs]

    def refer(self, examples: Sequence[Example], size: int) -> None:
        """Takes the network as it is now for the reference."""
        for start in range(0, len(examples), size):
            batch = examples[start : start + size]
            with torch.no_grad():
                gaps = self._gaps(batch).tolist()
            self._reference.update(zip(batch, gaps, strict=True))

    def losses(self, batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
        gaps = self._gaps(batch)
        reference = torch.tensor([self._reference[each] for each in batch], device=gaps.device)
        return losses.dpo(gaps, reference, self.options.beta), (gaps.detach() > reference).float()

    def _gaps(self, batch: Sequence[Example]) -> Tensor:
        found, _ = self.network.likelihoods([text for text, _ in batch] + [text for _, text in batch])
        chosen, rejected = found.chunk(2)
        return chosen - rejected


@dataclass(frozen=True, slots=True)
class Fit:
    """Fits an adapter to the base's states plus alpha times the pattern that tells preferred from dispreferred."""

    network: Network
    options: Settled
    adapter: str
    good: Voice
    bad: Voice
    measured: str = "of the way"

    def examples(self, pairs: Sequence[Pair], encoder: Encoder) -> list[Example]:
        """The same response behind what the adapter will read, behind p+ and behind p- (section 3.2)."""
        options = self.options
        first = options.good if options.instructions != "none" else ""
        second = options.bad if options.instructions == "contrast" else first
        plain = options.good if options.instructed else ""
        return [
            tuple(
                encoder.encode(pair, said, instruction).first(options.tokens)
                for instruction in (plain, first, second)
            )
            for pair in pairs
            for said in self._stimuli(pair)
        ]

    def losses(self, batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
        plain, first, second = ([example[at] for example in batch] for at in range(3))
        with torch.no_grad():
            base, said = Voice(self.network).states(plain, self.options)
            pattern = self._pattern(first, second)
            target = base + self.options.alpha * pattern
        found, _ = Voice(self.network, self.adapter).states(plain, self.options)
        each = losses.miss(found, target, said, self.options.fit)
        with torch.no_grad():
            unmoved = losses.miss(base, target, said, self.options.fit)
            way = 1 - each / unmoved.clamp_min(1e-9)
        return each, way

    def _pattern(self, first: Sequence[Spoken], second: Sequence[Spoken]) -> Tensor:
        """v of Eq. 5: (layers, texts, response, width)."""
        return self.good.states(first, self.options)[0] - self.bad.states(second, self.options)[0]

    def _stimuli(self, pair: Pair) -> Sequence[str]:
        match self.options.stimuli:
            case "both":
                return (pair.chosen, pair.rejected)
            case "random":
                chosen = random.Random(f"stimuli {self.options.seed} {pair.key}").random() < 0.5
                return (pair.chosen if chosen else pair.rejected,)
            case one:
                return (getattr(pair, one),)
