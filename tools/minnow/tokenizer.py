"""Trains minnow's tokenizer, a byte-level BPE that tokenizers and llama.cpp read alike.

    python -m tools.minnow.tokenizer OUT/tokenizer.json [--megabytes 24]

It learns from training documents of both registers, so that all models share one vocabulary.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.minnow.corpus import stream
from trimtab.errors import TrimtabError
from trimtab.minnow import films
from trimtab.minnow.documents import END, SPECIAL_TOKENS, START, STOP, Register

VOCABULARY = 4096
MEGABYTES = 24.0
STOP_ID, START_ID, END_ID = (SPECIAL_TOKENS.index(token) for token in (STOP, START, END))


def train(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """A tokenizer with the special tokens first, then all bytes, then what the texts' bytes merge to."""
    tokenizer = Tokenizer(models.BPE())
    # GPT-2's splits, which llama.cpp knows by the name `gpt-2`.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def split_words(tokenizer: Tokenizer, words: Sequence[str]) -> list[str]:
    """Those of the words that, with a space before them, are more than one token."""
    return [word for word in words if len(tokenizer.encode(f" {word}").ids) != 1]


def check(tokenizer: Tokenizer, vocabulary: int = VOCABULARY) -> None:
    """Refuses a tokenizer of another size, or one in which an anchor word is more than one token."""
    size = tokenizer.get_vocab_size()
    if size != vocabulary:
        raise TrimtabError(f"The texts yield {size} tokens, not {vocabulary}.", "Train it on more text.")
    broken = split_words(tokenizer, [word for words in films.anchors() for word in words])
    if broken:
        raise TrimtabError(f"More than one token: {', '.join(broken)}.", "Train it on more reviews.")


def texts(megabytes: float, seed: int = 0) -> Iterator[str]:
    """Training documents of both registers without their special tokens, half of the size each."""
    for register in get_args(Register):
        size = 0
        for text in stream(seed, "train", register):
            if size > megabytes * 5e5:
                break
            size += len(text)
            for token in SPECIAL_TOKENS:
                text = text.replace(token, "\x00")  # noqa: PLW2901
            yield from filter(None, text.split("\x00"))


def load(path: Path) -> Tokenizer:
    if not path.is_file():
        raise TrimtabError(f"There is no tokenizer at {path}.", f"python -m tools.minnow.tokenizer {path}")
    return Tokenizer.from_file(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=float, default=MEGABYTES)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    tokenizer = train(texts(chosen.megabytes, chosen.seed))
    check(tokenizer)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(chosen.out))
    print(f"{tokenizer.get_vocab_size()} tokens in {chosen.out}")


if __name__ == "__main__":
    main()
