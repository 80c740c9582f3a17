"""The tokenizers of the tiny models, for transformers and for llama.cpp: one vocabulary size for all."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tests.tiny.families import Family
from tests.tiny.pieces import pieces_tokenizer, write_pieces

VOCABULARY = 512
PAD, BOS, START, END = "<|endoftext|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = (PAD, BOS, START, END)
"""The control tokens; their ids are their places here."""

QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What llama.cpp takes `qwen2` to mean; transformers takes it for every model of that type."""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def chat_template(add_bos: bool) -> str:
    return "{{ bos_token }}" + CHATML if add_bos else CHATML


def id_of(control: str) -> int:
    return CONTROL.index(control)


def write_folder(folder: Path, family: Family) -> None:
    """The tokenizer files of a transformers folder."""
    tokenizer = _tokenizer(family)
    if family.add_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, id_of(BOS))]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
        "chat_template": chat_template(family.add_bos),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def write_gguf(writer: gguf.GGUFWriter, family: Family) -> None:
    """The same tokenizer as GGUF metadata."""
    if family.splits == "pieces":
        write_pieces(writer, CONTROL, VOCABULARY)
    else:
        _write_bytes(writer, family)
    writer.add_bos_token_id(id_of(BOS))
    writer.add_eos_token_id(id_of(END))
    writer.add_pad_token_id(id_of(PAD))
    writer.add_add_bos_token(family.add_bos)
    writer.add_chat_template(chat_template(family.add_bos))


def _tokenizer(family: Family) -> Tokenizer:
    if family.splits == "pieces":
        return pieces_tokenizer(CONTROL, VOCABULARY)
    tokenizer = Tokenizer.from_str(_trained())
    tokenizer.pre_tokenizer = _splitter(family)
    return tokenizer


def _write_bytes(writer: gguf.GGUFWriter, family: Family) -> None:
    model = json.loads(_trained())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    control = len(CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(family.splits)
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL] * control + [gguf.TokenType.NORMAL] * (len(tokens) - control)
    )
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])


def _splitter(family: Family) -> pre_tokenizers.PreTokenizer:
    if family.splits == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    words = pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated")
    return pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


@functools.cache
def _trained() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in CONTROL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    text = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8")
    tokenizer.train_from_iterator([text], trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(f"The corpus yields {tokenizer.get_vocab_size()} tokens, not {VOCABULARY}.")
    return tokenizer.to_str()
