"""What the tests share: tiny random models, each made once in a test run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tiny import ARCHITECTURES, TinyModel, make


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
