"""The peers' own loading, training and steering behind one face; it runs where a peer is and Trimtab is not."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Pairs = Sequence[tuple[str, str]]
METHODS = {"repeng": ("pca_diff", "pca_center"), "dialz": ("pca", "pca_center", "mean_diff")}
"""Of each peer, as it calls them; the first is what it does unasked. The first takes the mean of the pairs'
differences away before it looks for their component, `pca_center` does not."""
BATCH = 32
"""Texts that are read at once: what both do unasked."""


@dataclass(frozen=True)
class Peer:
    """A peer with its model loaded."""

    model: Any
    """What transformers loaded; the peer has wrapped its layers."""
    wrapper: Any
    tokenizer: Any
    train: Callable[[Pairs, str], Any]

    def tokens(self, text: str) -> list[int]:
        return [int(token) for token in self.tokenizer(text)["input_ids"]]

    def reply(self, prompt: str, count: int, vector: Any = None, strength: float = 0.0) -> list[int]:
        """What the peer says under a vector: the likeliest tokens, one after the other."""
        torch = importlib.import_module("torch")
        if vector is None:
            self.wrapper.reset()
        else:
            self.wrapper.set_control(vector, strength)
        tokens = self.tokens(prompt)
        begin = len(tokens)
        # In float32, whatever it was trained in, and all anew at each token, so that nothing hangs on a cache.
        with torch.inference_mode():
            for _ in range(count):
                logits = self.wrapper(input_ids=torch.tensor([tokens]), use_cache=False).logits
                tokens.append(int(logits[0, -1].argmax()))
        self.wrapper.reset()
        return tokens[begin:]


def load(peer: str, model: Path) -> Peer:
    return {"repeng": _repeng, "dialz": _dialz}[peer](model)


def _repeng(folder: Path) -> Peer:
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    repeng = importlib.import_module("repeng")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    wrapper = repeng.ControlModel(model, list(range(1, model.config.num_hidden_layers)))

    def train(pairs: Pairs, method: str) -> Any:
        entries = [repeng.DatasetEntry(positive=positive, negative=negative) for positive, negative in pairs]
        return repeng.ControlVector.train(wrapper, tokenizer, entries, method=method, batch_size=BATCH)

    return Peer(model, wrapper, tokenizer, train)


def _dialz(folder: Path) -> Peer:
    torch = importlib.import_module("torch")
    transformers, dialz = importlib.import_module("transformers"), importlib.import_module("dialz")
    layers = transformers.AutoConfig.from_pretrained(folder).num_hidden_layers
    wrapper = dialz.SteeringModel(str(folder), list(range(1, layers)))
    # It loads in half precision and knows no other way: the weights as they are written are put in their place.
    exact = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    for parameter, whole in zip(wrapper.model.parameters(), exact.parameters(), strict=True):
        parameter.data = whole.data

    def train(pairs: Pairs, method: str) -> Any:
        dataset = dialz.Dataset()
        for positive, negative in pairs:
            dataset.add_entry(positive, negative)
        return dialz.SteeringVector.train(wrapper, dataset, method=method, batch_size=BATCH)

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return Peer(wrapper.model, wrapper, tokenizer, train)
