"""What the tests share: tiny random models, each made once in a test run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import ARCHITECTURES, TinyAdapter, TinyModel, make, tiny_lora


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyModel]:
    """By architecture, so that a test can ask for the ones it needs."""
    made: dict[str, TinyModel] = {}

    def model(architecture: str) -> TinyModel:
        if architecture not in made:
            made[architecture] = make(architecture, tmp_path_factory.mktemp(architecture))
        return made[architecture]

    return model


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny(request: pytest.FixtureRequest, tiny_model: Callable[[str], TinyModel]) -> TinyModel:
    """Every architecture in turn."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def tiny_llama(tiny_model: Callable[[str], TinyModel]) -> TinyModel:
    return tiny_model("llama")


@pytest.fixture(scope="session")
def tiny_llama_lora(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> TinyAdapter:
    return tiny_lora(tiny_llama, tmp_path_factory.mktemp("lora"))


@pytest.fixture(scope="session")
def wide_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF whose rows are long enough for every quantisation."""
    return make("llama", tmp_path_factory.mktemp("wide"), layers=2, width=256, head_dim=64, ff=256).gguf


@pytest.fixture(scope="session")
def tiny_pieces(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A Llama whose tokenizer is sentencepiece's kind, with single bytes for what has no piece."""
    return make("llama", tmp_path_factory.mktemp("pieces"), splits="pieces")
