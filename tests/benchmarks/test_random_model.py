"""The models for measuring speed: both libraries can load them, and an unfinished one is never found."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from benchmarks.random_model import Type, random_llama, random_llama_folder
from tests.tiny.bare import BareLlama, BareTorch

TEXT = "hello there é🙂"


@pytest.mark.parametrize("type", get_args(Type))
def test_llama_cpp_reads_it_and_its_logits_are_spread(tmp_path: Path, type: Type) -> None:
    path = random_llama(tmp_path, layers=2, width=64, heads=4, ff=96, vocabulary=400, type=type)
    with BareLlama(path) as llama:
        tokens = llama.tokenize(TEXT)
        assert llama.detokenize(tokens) == TEXT.encode()
        assert 1.0 < llama.logits(tokens).std() < 5.0


def test_transformers_reads_the_folder_and_its_logits_are_spread(tmp_path: Path) -> None:
    model = BareTorch(random_llama_folder(tmp_path, layers=2, width=64, heads=4, ff=96, vocabulary=400))
    tokens = model.tokenize(TEXT)
    assert model.tokenizer.decode(tokens) == TEXT
    assert 1.0 < model.logits(tokens).std() < 5.0


def test_greedy_text_has_no_end(tmp_path: Path) -> None:
    path = random_llama(tmp_path, layers=2, width=64, heads=4, ff=96, vocabulary=400)
    with BareLlama(path) as llama:
        assert np.min(llama.greedy(llama.tokenize(TEXT), 100)) >= 3


def test_a_model_is_made_once(tmp_path: Path) -> None:
    first = random_llama(tmp_path, layers=1, width=64, heads=4, ff=96, vocabulary=400)
    made = first.stat().st_mtime_ns
    assert random_llama(tmp_path, layers=1, width=64, heads=4, ff=96, vocabulary=400) == first
    assert first.stat().st_mtime_ns == made
    assert list(tmp_path.iterdir()) == [first]


def test_a_model_that_could_not_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        random_llama(tmp_path, layers=1, width=60, heads=4, ff=96, vocabulary=400)
    assert list(tmp_path.iterdir()) == []
