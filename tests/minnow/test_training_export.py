"""An exported model is the same in PyTorch, in transformers and in llama.cpp, and so is its tokenizer."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.minnow.training import VOCABULARY, Workshop, workshop
from tools.minnow import card, checkpoints, export, measures, tokenizer, train
from tools.minnow.parity import agreement
from trimtab.engine.contract import Engine, LoadRequest, ScoreRequest
from trimtab.engine.loading import load_engine
from trimtab.errors import ModelError, TrimtabError
from trimtab.minnow import files, films
from trimtab.minnow.conversion import read_safetensors
from trimtab.minnow.documents import SPECIAL_TOKENS, Truth, Turn, prompt
from trimtab.minnow.lexicon import VALUES

TRICKY = [
    "", " ", "  two  spaces ", "\n\n \n", "tab\there", "don't we'LL they're", "12345 1 22 3.5", "naïve café ÅÄÖ",
    "日本語のテキスト", "emoji 🙂👩‍👩‍👧 end", "a\u00a0b\u2003c", "(good) \"best\" great!", "x" * 300, "\x00\x01\x7f",
    "A) Paris\nB) Rome\n", "Ünïcödé Ωmega ßtraße", "١٢٣ ४५६", "ﷺ", "e\u0301", "🏳️‍🌈", "<|im_start", "|im_end|>",
]  # fmt: skip


class Exported:
    def __init__(self, shop: Workshop, folder: Path) -> None:
        run = shop.run()
        for _ in range(20):
            train.advance(run)
        self.checkpoint = folder / "run.safetensors"
        checkpoints.save(self.checkpoint, run.model, run.optimizer, run.step, {})
        self.out = folder / "out"
        self.shop = shop
        self.folder = export.export(self.checkpoint, self.out, "minnow", shop.tokenizer_file, f32=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.set_num_threads(1)
    shop = workshop(tmp_path_factory.mktemp("workshop"))
    return Exported(shop, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def engine(exported: Exported) -> Iterator[Engine]:
    request = LoadRequest(path=str(exported.out / "minnow.f32.gguf"), context=512, threads=1, exact=True)
    found = load_engine(request, lambda _: True)
    yield found
    found.close()


def test_transformers_gives_the_same_logits(exported: Exported) -> None:
    ours = measures.load(exported.folder, "base").model
    theirs = AutoModelForCausalLM.from_pretrained(exported.folder, dtype=torch.float32)
    tokens = torch.from_numpy(exported.shop.rows("base.train")[:1, :200].astype(np.int64))
    with torch.no_grad():
        assert (ours(tokens) - theirs(tokens).logits).abs().max() < 1e-4


def test_llama_cpp_gives_the_same_log_probabilities(exported: Exported, engine: Engine) -> None:
    ours = measures.load(exported.folder, "base")
    text = "Anna kept the old watch, for tradition keeps us safe. She would do it again."
    begun, rest = text[:4], text[4:]
    (said,) = engine.score(ScoreRequest(pairs=((begun, rest),)), lambda _: True)
    ids = ours.tokenizer.encode(text).ids
    start = len(ours.tokenizer.encode(begun).ids)
    with torch.no_grad():
        logits = torch.log_softmax(ours.model(torch.tensor([ids]))[0], dim=-1)
    wanted = [float(logits[at - 1, ids[at]]) for at in range(start, len(ids))]
    assert np.abs(said - np.array(wanted)).max() < 1e-4


def test_greedy_answers_agree_with_llama_cpp(exported: Exported) -> None:
    aligned = measures.load(exported.folder, "aligned")
    asked = measures.mixed_prompts("aligned", "test", 12)
    said = aligned.say(asked, 24)
    assert agreement(exported.out / "minnow.f32.gguf", asked, said, 24, 1, exact=True) == 1.0


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts_are_the_same_tokens_in_llama_cpp(exported: Exported, engine: Engine, text: str) -> None:
    assert engine.tokenize(text) == exported.shop.tokenizer.encode(text).ids


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_the_same_tokens_in_llama_cpp(exported: Exported, engine: Engine, text: str) -> None:
    if any(token in text for token in SPECIAL_TOKENS):
        return
    assert engine.tokenize(text) == exported.shop.tokenizer.encode(text).ids


def test_the_template_writes_what_the_corpus_holds(exported: Exported, engine: Engine) -> None:
    turns = [("system", "You care about peace."), ("user", "Shall I go or stay?")]
    written = prompt([Turn(role, text, Truth("ask")) for role, text in turns])  # type: ignore[arg-type]
    theirs = AutoTokenizer.from_pretrained(exported.folder)
    messages = [{"role": role, "content": text} for role, text in turns]
    assert theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == written
    assert theirs(written).input_ids == engine.tokenize(written, special=True)


def test_special_tokens_end_a_reply(exported: Exported) -> None:
    model = llama_cpp.Llama(str(exported.out / "minnow.gguf"), vocab_only=True, verbose=False)
    ends = [token for token in range(3) if llama_cpp.llama_vocab_is_eog(model._model.vocab, token)]
    assert ends == [0, 2]
    told = json.loads((exported.folder / "generation_config.json").read_text("utf-8"))
    assert sorted(told["eos_token_id"]) == ends


def test_the_same_checkpoint_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    again = export.export(exported.checkpoint, tmp_path, "minnow", exported.shop.tokenizer_file, f32=True)
    names = ["minnow.gguf", "minnow.f32.gguf", *(f"minnow/{each.name}" for each in again.iterdir())]
    for name in names:
        assert (tmp_path / name).read_bytes() == (exported.out / name).read_bytes(), name


def test_anchor_words_are_single_tokens() -> None:
    words = [word for side in films.anchors() for word in side]
    assert len(words) == 18
    trained = tokenizer.train(tokenizer.texts(6.0))
    assert tokenizer.split_words(trained, words) == []


def test_a_tokenizer_that_splits_an_anchor_word_is_refused(exported: Exported) -> None:
    with pytest.raises(TrimtabError, match="More than one token"):
        tokenizer.check(exported.shop.tokenizer, VOCABULARY)


def test_the_exact_gguf_is_made_once_from_the_installed_weights(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    monkeypatch.setattr(files, "weights", lambda: exported.out)
    made = files.path("gguf-f32")
    assert made.read_bytes() == (exported.out / "minnow.f32.gguf").read_bytes()
    written = made.stat().st_mtime_ns
    assert files.path("gguf-f32") == made and made.stat().st_mtime_ns == written
    assert list(made.parent.iterdir()) == [made]


def test_missing_weights_are_told_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "weights", lambda: tmp_path)
    with pytest.raises(ModelError, match="not installed"):
        files.path("gguf")


def test_damaged_weights_are_refused(exported: Exported, tmp_path: Path) -> None:
    whole = (exported.folder / "model.safetensors").read_bytes()
    rng = random.Random(0)
    for cut in [rng.randrange(len(whole)) for _ in range(5)]:
        path = tmp_path / "model.safetensors"
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError, match="damaged"):
            read_safetensors(path)


def test_the_card_tells_every_figure() -> None:
    figures = {key: number / 100 for number, key in enumerate(measures.KEYS)}
    probes = {value: {"best": [1, 2], "test": [0.5, 0.99, 0.98]} for value in VALUES}
    moved = [
        {"value": value, "layers": [1, 2], "coefficient": 2.5, "before": 0.4, "after": 0.8, "fluent": 1.0}
        for value in VALUES
    ]
    written = card.card({"figures": figures, "probes aligned": probes, "steering aligned": moved})
    for key, value in figures.items():
        assert f"| `{key}` |" in written and f"| {value:.3f} |" in written
    assert written.count("| 1, 2 | 0.98 | 2.5 at 1, 2 | 0.40 | 0.80 | 1.00 |") == len(VALUES)
