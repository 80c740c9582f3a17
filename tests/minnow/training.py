"""A really small model and its data, for the tests of training and export."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tools.minnow import data, tokenizer, train
from tools.minnow.model import Shape
from tools.minnow.train import Recipe, Run

VOCABULARY = 1024
SHAPE = Shape(layers=2, width=64, heads=2, kv_heads=1, ff=96, vocabulary=VOCABULARY, context=512)
RECIPE = Recipe("tiny", "base", tokens=40_000, rate=1e-2, other_rate=5e-3, rows=1)


@dataclass(frozen=True)
class Workshop:
    """A folder with a tokenizer and rows of both registers."""

    folder: Path
    tokenizer: Tokenizer

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"

    def rows(self, name: str) -> train.Rows:
        return train._rows(self.folder / f"{name}.npy")

    def run(self, **changes: object) -> Run:
        recipe = dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]
        rows = self.rows(f"{recipe.corpus}.train")
        return train.begin(recipe, rows, data.header(self.tokenizer), "cpu", SHAPE)


def workshop(folder: Path) -> Workshop:
    made = tokenizer.train(tokenizer.texts(1.5), VOCABULARY)
    made.save(str(folder / "tokenizer.json"))
    data.write(folder, made, {"base": 60_000, "aligned": 20_000}, held=4_000)
    return Workshop(folder, made)
