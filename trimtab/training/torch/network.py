"""A model that is trained or listened to: its responses' likelihoods and the states they pass through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from trimtab.engine.torch.families import Anatomy, dissect
from trimtab.engine.torch.folder import check_folder
from trimtab.engine.torch.pretrained import ends_of, read_model
from trimtab.engine.torch.steering import watch
from trimtab.training.torch.examples import Encoder, Spoken
from trimtab.training.torch.lora import Adapters, Targets, trainable


@dataclass(frozen=True, slots=True)
class Place:
    """What to compute on, and how finely."""

    device: torch.device
    half: bool = False
    """In bfloat16 where that is safe."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts padded at their end, where no earlier position can see it, and where their responses are."""

    tokens: Tensor
    """(texts, positions)"""
    places: Tensor
    """(texts, response): the position of each token of the response."""
    said: Tensor
    """(texts, response): whether there is such a token."""


class Network:
    """One copy of the model, opened from its folder."""

    def __init__(self, folder: Path, place: Place, targets: Targets, *, frozen: bool) -> None:
        """`frozen` weights may be kept in bfloat16; those that learn are not."""
        dtype = torch.bfloat16 if place.half and frozen else torch.float32
        model = read_model(folder, check_folder(folder), place.device, dtype, exact=False)
        self.anatomy: Anatomy = dissect(model)
        self.folder = folder
        self.adapters = Adapters(model, self.anatomy.layers, targets)
        self._place = place

    @property
    def parameters(self) -> int:
        return sum(each.numel() for each in self.anatomy.model.parameters())

    def weights(self) -> dict[str, nn.Parameter]:
        """The model's own, each once."""
        return dict(self.anatomy.model.named_parameters())

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over weights as `weights` names them."""
        for name, parameter in self.weights().items():
            parameter.data.copy_(tensors[name])

    def learn(self, parameters: Sequence[nn.Parameter]) -> None:
        trainable(self.anatomy.model, parameters)

    def encoder(self, longest_prompt: int, longest: int) -> Encoder:
        return Encoder(
            self.folder, self.anatomy.vocabulary, ends_of(self.anatomy.model), longest_prompt, longest
        )

    def batch(self, rows: Sequence[Spoken]) -> Batch:
        longest, most = max(map(len, rows)), max(len(row.response) for row in rows)
        tokens = torch.zeros((len(rows), longest), dtype=torch.long)
        places = torch.zeros((len(rows), most), dtype=torch.long)
        said = torch.zeros((len(rows), most), dtype=torch.bool)
        for number, row in enumerate(rows):
            tokens[number, : len(row)] = torch.tensor(row.prompt + row.response)
            places[number, : len(row.response)] = torch.arange(len(row.prompt), len(row))
            said[number, : len(row.response)] = True
        device = self._place.device
        return Batch(tokens.to(device), places.to(device), said.to(device))

    def likelihoods(self, rows: Sequence[Spoken]) -> tuple[Tensor, Tensor]:
        """(texts,): the log-probability of each response, and the number of its tokens."""
        batch = self.batch(rows)
        with self._arithmetic():
            states = self.anatomy.base(input_ids=batch.tokens, use_cache=False).last_hidden_state
            # What a token is predicted by stands one position before it.
            before = _at(states, (batch.places - 1).clamp_min(0))[batch.said]
            logits = self.anatomy.logits(before)
        wanted = batch.tokens.gather(1, batch.places)[batch.said]
        found = logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1)
        spread = torch.zeros(batch.said.shape, device=found.device).masked_scatter(batch.said, found)
        return spread.sum(1), batch.said.sum(1)

    def states(
        self, rows: Sequence[Spoken], blocks: Sequence[int], *, lead: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The outputs of blocks at the responses' tokens, (blocks, texts, response, width), and where there are any.

        With `lead` the position before the first token too.
        """
        batch = self.batch(rows)
        places, said = batch.places, batch.said
        if lead:
            places = torch.cat([places[:, :1] - 1, places], dim=1)
            said = torch.cat([said[:, :1], said], dim=1)
        seen: dict[int, Tensor] = {}

        def see(block: int, states: Tensor) -> None:
            seen[block] = _at(states, places).float()

        with self._arithmetic():
            run = partial(self.anatomy.base, input_ids=batch.tokens, use_cache=False)
            watch(self.anatomy.layers, blocks, see, run)
        return torch.stack([seen[block] for block in blocks]), said

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Dropout acts where something is learnt, and nowhere else."""
        self.anatomy.model.train(torch.is_grad_enabled())
        try:
            with torch.autocast(self._place.device.type, torch.bfloat16, enabled=self._place.half):
                yield
        finally:
            self.anatomy.model.eval()


def _at(states: Tensor, places: Tensor) -> Tensor:
    """(texts, response, width): the states at each text's places."""
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))
