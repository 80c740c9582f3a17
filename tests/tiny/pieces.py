"""A tokenizer in the manner of sentencepiece: whole words in pieces, and single bytes for what has none."""

from __future__ import annotations

import functools
from pathlib import Path

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPACE = "\u2581"
"""How a piece writes a space."""
LETTERS = 70
"""How many characters have a piece; the rarer ones, accents and emoji fall to bytes."""


def pieces_tokenizer(control: tuple[str, ...], vocabulary: int) -> Tokenizer:
    vocabulary_list = _tokens(control, vocabulary)
    places = {token: place for place, token in enumerate(vocabulary_list)}
    # Sentencepiece joins whatever two pieces make the best one; this is that rule as a list of merges.
    merges = [
        (piece[:cut], piece[cut:])
        for piece in vocabulary_list[len(control) + 256 :]
        for cut in range(1, len(piece))
        if piece[:cut] in places and piece[cut:] in places
    ]
    tokenizer = Tokenizer(models.BPE(places, merges, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer


def write_pieces(writer: gguf.GGUFWriter, control: tuple[str, ...], vocabulary: int) -> None:
    tokens = _tokens(control, vocabulary)
    plain = vocabulary - len(control) - 256
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * (len(control) + 256) + [-float(place) for place in range(plain)])
    writer.add_token_types([kinds.CONTROL] * len(control) + [kinds.BYTE] * 256 + [kinds.NORMAL] * plain)
    writer.add_add_space_prefix(False)


@functools.cache
def _tokens(control: tuple[str, ...], vocabulary: int) -> list[str]:
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace("\n", " ")
    trained.pre_tokenizer = pre_tokenizers.Metaspace(SPACE)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(control) - 256, limit_alphabet=LETTERS, show_progress=False
    )
    text = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8")
    trained.train_from_iterator([text], trainer)
    pieces = trained.get_vocab()
    tokens = [*control, *byte_tokens, *sorted(pieces, key=pieces.__getitem__)]
    if len(tokens) != vocabulary:
        raise ValueError(f"The corpus yields {len(tokens)} tokens, not {vocabulary}.")
    return tokens
