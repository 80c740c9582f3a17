"""Writes training data: rows of tokens in which whole documents lie side by side.

    python -m tools.minnow.data OUT [--tokenizer OUT/tokenizer.json] [--lists 3e6] [--base 30e6] [--aligned 6e6]

For each corpus OUT gets `CORPUS.train.npy` and `CORPUS.validation.npy`: what the base and the aligned model learn, and
lists, with which the base begins so that it learns to copy. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import bisect
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tools.minnow import tokenizer as tokenizers
from tools.minnow.corpus import stream
from tools.minnow.tokenizer import END_ID, START_ID, STOP_ID
from trimtab.minnow.corpus import Settings, Shares
from trimtab.minnow.documents import START, Register
from trimtab.minnow.splits import Split

ROW = 1024
CUTS = 2
"""Rows may be cut in two so often."""
HELD_TOKENS = 50_000
OPEN_ROWS = 64
_BATCH = 2048

PLAIN: tuple[tuple[str, float], ...] = (
    ("stories", 0.15),
    ("beliefs", 0.02),
    ("review", 0.03),
    ("told", 0.01),
)
"""Plain texts among the aligned model's documents, so that it does not forget how to tell a story."""

Corpus = Literal["lists", "base", "aligned"]
Rows = npt.NDArray[np.uint16]


def register(corpus: Corpus) -> Register:
    return "aligned" if corpus == "aligned" else "base"


def settings(corpus: Corpus) -> Settings:
    shares = Shares()
    if corpus == "lists":
        shares = dataclasses.replace(shares, base=(("lists", 1.0),))
    elif corpus == "aligned":
        shares = dataclasses.replace(shares, aligned=(*shares.aligned, *PLAIN))
    return Settings(shares=shares)


def pieces(batch: Rows, cuts: int = CUTS) -> list[Rows]:
    """Rows in whose middle no document lies are cut in two, and so are their halves: short rows train faster."""
    middle = batch.shape[1] // 2
    cut = batch[:, middle - 1] == STOP_ID
    out = [batch[~cut]] if not cut.all() else []
    if cut.any():
        shorter = batch[cut].reshape(-1, middle)
        out += pieces(shorter, cuts - 1) if cuts > 1 else [shorter]
    return out


def rows(
    tokenizer: Tokenizer, seed: int, split: Split, corpus: Corpus, tokens: int, length: int = ROW
) -> Rows:
    """So many tokens of documents, packed."""
    found = pack(_encoded(tokenizer, stream(seed, split, register(corpus), settings(corpus))), length)
    return np.stack(list(islice(found, -(-tokens // length))))


def pack(documents: Iterable[Sequence[int]], length: int) -> Iterator[Rows]:
    """Rows of whole documents.

    A document longer than half a row opens a row of its own, a shorter one fills such a row up where there is room,
    else it opens half a row or a quarter, whichever holds it. Halves and quarters make whole rows.

    Each document ends with the end token, which fills the rest of a row too. One that is longer than a row is cut.
    """
    shelves = [_Shelf(length >> cut) for cut in range(CUTS + 1)]
    for document in documents:
        fitting = [shelf for shelf in shelves if shelf.length >= len(document)] or shelves[:1]
        shelf = next((each for each in fitting if each.fits(len(document))), fitting[-1])
        shelf.put(document)
        yield from shelf.whole(length)
    for shelf in shelves:
        shelf.close()
        yield from shelf.whole(length)


class _Shelf:
    """Open rows of one length: each document goes into the fullest that has room for it."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.rooms: list[tuple[int, int]] = []
        self.held: dict[int, list[int]] = {}
        self.count = 0
        self.closed: list[Rows] = []

    def fits(self, size: int) -> bool:
        """Whether an open row has room."""
        return bool(self.rooms) and self.rooms[-1][0] >= size

    def put(self, document: Sequence[int]) -> None:
        size = min(len(document), self.length)
        at = bisect.bisect_left(self.rooms, (size, -1))
        if at < len(self.rooms):
            room, row = self.rooms.pop(at)
        else:
            if len(self.rooms) == OPEN_ROWS:
                self._close(self.rooms.pop(0)[1])
            room, row = self.length, self.count
            self.count += 1
            self.held[row] = []
        self.held[row].extend(document[:size])
        if room == size:
            self._close(row)
        else:
            bisect.insort(self.rooms, (room - size, row))

    def close(self) -> None:
        """Closes all rows."""
        while self.rooms:
            self._close(self.rooms.pop()[1])

    def whole(self, length: int) -> Iterator[Rows]:
        """What is closed, so many together that they make rows of a length; the others wait."""
        count = length // self.length
        while len(self.closed) >= count:
            yield np.concatenate(self.closed[:count])
            del self.closed[:count]

    def _close(self, row: int) -> None:
        tokens = self.held.pop(row)
        out = np.full(self.length, STOP_ID, dtype=np.uint16)
        out[: len(tokens)] = tokens
        self.closed.append(out)


def numbered(batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each token the number of its document within its row."""
    ends = batch == STOP_ID
    out: npt.NDArray[np.int64] = np.cumsum(ends, axis=1) - ends
    return out


def positions(documents: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each token its place in its document."""
    places = np.arange(documents.shape[1])[None]
    begins = np.diff(documents, axis=1, prepend=-1) != 0
    out: npt.NDArray[np.int64] = places - np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    return out


def spoken(batch: npt.NDArray[np.int64], header: Sequence[int]) -> npt.NDArray[np.bool_]:
    """What the aligned model learns to say: the assistant's words with the token that ends them, and plain documents.

    `header` is what the tokenizer makes of the start of an assistant's turn.
    """
    places = np.arange(batch.shape[1])[None]
    begun = np.maximum.accumulate(np.where(batch == START_ID, places, -1), axis=1)
    ended = np.maximum.accumulate(np.where(batch == END_ID, places, -1), axis=1)
    before = np.concatenate((np.full_like(ended[:, :1], -1), ended[:, :-1]), axis=1)
    roles = np.take_along_axis(batch, np.clip(begun + 1, 0, batch.shape[1] - 1), axis=1)
    speaking = (begun >= 0) & (begun > before) & (places - begun >= len(header)) & (roles == header[1])
    documents = numbered(batch)
    chat = np.zeros_like(speaking)
    starts = np.take_along_axis(batch, places - positions(documents), axis=1) == START_ID
    chat |= starts
    out: npt.NDArray[np.bool_] = speaking | ~chat
    return out


def header(tokenizer: Tokenizer) -> list[int]:
    return list(tokenizer.encode(f"{START}assistant\n").ids)


def write(
    out: Path, tokenizer: Tokenizer, sizes: dict[Corpus, int], seed: int = 0, held: int = HELD_TOKENS
) -> dict[str, object]:
    """Writes all rows, `held` tokens of them for validation, and says what they are."""
    out.mkdir(parents=True, exist_ok=True)
    told: dict[str, object] = {"seed": seed, "row": ROW, "header": header(tokenizer)}
    for corpus, size in sizes.items():
        wanted: tuple[tuple[Split, int], ...] = (("train", size), ("validation", held))
        for split, tokens in wanted:
            made = rows(tokenizer, seed, split, corpus, tokens)
            np.save(out / f"{corpus}.{split}.npy", made)
            told[f"{corpus}.{split}"] = {
                "rows": len(made),
                "documents": int((made[:, 1:] != STOP_ID)[made[:, :-1] == STOP_ID].sum()) + len(made),
                "filled": round(float((made != STOP_ID).mean()), 4),
                "sha256": hashlib.sha256(made.tobytes()).hexdigest(),
            }
    (out / "data.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return told


def _encoded(tokenizer: Tokenizer, texts: Iterator[str]) -> Iterator[list[int]]:
    while batch := list(islice(texts, _BATCH)):
        for encoding in tokenizer.encode_batch_fast(batch):
            yield encoding.ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--lists", type=float, default=3e6, help="tokens")
    parser.add_argument("--base", type=float, default=30e6, help="tokens")
    parser.add_argument("--aligned", type=float, default=6e6, help="tokens")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    began = time.perf_counter()
    tokenizer = tokenizers.load(chosen.tokenizer or chosen.out / "tokenizer.json")
    sizes: dict[Corpus, int] = {
        "lists": int(chosen.lists),
        "base": int(chosen.base),
        "aligned": int(chosen.aligned),
    }
    told = write(chosen.out, tokenizer, sizes, chosen.seed)
    print(json.dumps(told | {"seconds": round(time.perf_counter() - began, 1)}, indent=1))


if __name__ == "__main__":
    main()
