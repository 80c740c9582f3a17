"""`trimtab anchors`: words chosen from preference data with either engine, kept, and steered with."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.engine.machines import ENGINES, load_machine
from tests.engine.worker.workers import environment
from tests.tiny import TinyAdapter, TinyModel, make
from trimtab.chat.lines import anchor_words
from trimtab.cli import application
from trimtab.engine.contract import ScoreRequest
from trimtab.engine.generation import MachineEngine
from trimtab.engine.program import Adapter, Program
from trimtab.errors import TrimtabError
from trimtab.vectors.anchor_file import AnchorPack, AnchorWord, find, read, save

# Of words that are one token each to the tiny models, and of which none begins one text and stands within another.
CHOSEN = ["the kind ship was steady and strong", "a good year with music and wind", "she made you well"] * 5
REJECTED = [
    "the small job was acting and never",
    "another week with both rudder and circus",
    "let you join",
] * 5


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    rows = [
        {"prompt": "How was it?", "chosen": above, "rejected": below}
        for above, below in zip(CHOSEN, REJECTED, strict=True)
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(application, ["anchors", *map(str, arguments)])


def mean_ratio(
    kind: str, model: TinyModel, adapter: Path, word: bytes, responses: Sequence[str]
) -> tuple[float, int]:
    """The mean log-ratio of a word's token in responses, read here and now with and without the adapter."""
    engine = MachineEngine(load_machine(kind, model))
    try:
        pairs = tuple(("How was it?", text) for text in responses)
        steered = Program(interventions=(Adapter.load(adapter),))
        above, below = [
            engine.score(ScoreRequest(pairs=pairs, program=program, form="chat"), lambda _: True)
            for program in (steered, Program())
        ]
        found = [
            float(better[at] - reference[at])
            for text, better, reference in zip(responses, above, below, strict=True)
            for at, piece in enumerate(engine.pieces(engine.tokenize(text)))
            if piece == word
        ]
    finally:
        engine.close()
    return float(np.mean(found)), len(found)


@pytest.mark.parametrize("kind", ENGINES)
def test_the_words_that_an_adapter_makes_likelier_are_chosen_with_either_engine(
    kind: str, tiny_llama: TinyModel, tiny_llama_lora: TinyAdapter
) -> None:
    model = tiny_llama.gguf if kind == "llama" else tiny_llama.safetensors
    adapter = tiny_llama_lora.gguf if kind == "llama" else tiny_llama_lora.peft
    answer = run("--pairs", "pairs.jsonl", "--model", model, "--adapter", adapter, "--threads", 1, "--exact",
                 "--name", "kind", "--json")  # fmt: skip
    assert answer.exit_code == 0, answer.output
    told: Any = json.loads(answer.stdout)
    assert told["form"] == "chat" and told["positive"] and told["negative"]
    for side, responses, sign in (("positive", CHOSEN, 1), ("negative", REJECTED, -1)):
        scores = [each["score"] * sign for each in told[side]]
        assert scores == sorted(scores, reverse=True) and scores[-1] > 0
        first = told[side][0]
        piece = next(p for p in (f" {first['word']}", first["word"]) if any(p in text for text in responses))
        mean, count = mean_ratio(kind, tiny_llama, adapter, piece.encode(), responses)
        assert first["count"] == count >= 5
        assert first["score"] == pytest.approx(mean, abs=2e-4)


def test_two_models_are_compared_and_the_words_steer(tiny_llama: TinyModel, tmp_path: Path) -> None:
    other = make("llama", tmp_path / "other", seed=99)
    answer = run(
        "--pairs", "pairs.jsonl", "--model", tiny_llama.gguf, "--reference", other.gguf, "--threads", 1
    )
    assert answer.exit_code == 0, answer.output
    assert "--anchors @pairs" in answer.stdout
    pack = find("pairs")
    assert pack.vocabulary_hash and pack.data == "pairs.jsonl"
    words = anchor_words("@pairs")
    assert [word.text for word in words.positive] == [each.word for each in pack.positive]
    assert not {word.text for word in words.positive} & {word.text for word in words.negative}
    said = CliRunner().invoke(
        application,
        ["ask", "some words", "--model", str(tiny_llama.gguf), "--threads", "1", "--max-tokens", "2",
         "--anchors", "@pairs", "--json"],
    )  # fmt: skip
    assert json.loads(said.stdout)["receipt"]["phi"]["anchors"]


def test_models_of_other_words_cannot_be_compared(tiny_llama: TinyModel, tiny_pieces: TinyModel) -> None:
    answer = run(
        "--pairs", "pairs.jsonl", "--model", tiny_llama.gguf, "--reference", tiny_pieces.gguf, "--threads", 1
    )
    assert answer.exit_code == 1 and "do not share a vocabulary" in answer.stderr


@pytest.mark.parametrize(
    "options", [(), ("--pairs", "pairs.jsonl"), ("--chosen", "a.txt", "--preface", "x"),
                ("--pairs", "pairs.jsonl", "--reference", "x", "--preface", "y")],
)  # fmt: skip
def test_data_and_a_comparison_are_needed(options: tuple[str, ...], tiny_llama: TinyModel) -> None:
    assert run("--model", tiny_llama.gguf, *options).exit_code == 2


def test_an_anchor_pack_is_read_as_it_was_written(tmp_path: Path) -> None:
    pack = AnchorPack(
        name='odd "name"', model="m", positive=(AnchorWord(word="gut\\", score=3.0, count=7),),
        negative=(AnchorWord(word="nicht schön", score=-1.25e-7, count=5),),
    )  # fmt: skip
    save(pack, tmp_path / "odd.toml")
    assert read(tmp_path / "odd.toml") == pack
    assert tomllib.loads((tmp_path / "odd.toml").read_text())["positive"][0]["count"] == 7


@pytest.mark.parametrize("text", ["name = 3", "name = 'x'", "[[positive]]", "name='x'\nmore=1", "\x00"])
def test_what_is_no_anchor_pack_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(TrimtabError, match=r"is no anchor pack|holds no words"):
        anchor_words(f"@{tmp_path / 'x.toml'}")


def test_a_pack_that_is_not_there_is_told() -> None:
    with pytest.raises(TrimtabError, match=r"no anchor pack called nothing\. Make one: trimtab anchors"):
        anchor_words("@nothing")
