"""A path that is no model says in one line what is wrong and what to do, before anything heavy is imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest
from trimtab.engine.loading import choose
from trimtab.errors import ModelError


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text("")
    return path


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        choose(LoadRequest(path=str(path)))
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_gguf_file_runs_on_llama_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"GGUF....")
    assert choose(LoadRequest(path=str(tmp_path / "model"))) == "llama"


def test_a_folder_of_safetensors_runs_on_torch(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", "config.json", "model.safetensors")
    assert choose(LoadRequest(path=str(path))) == "torch"


def test_a_path_under_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model.gguf").write_bytes(b"GGUF....")
    assert choose(LoadRequest(path="~/model.gguf")) == "llama"


@pytest.mark.parametrize("path", ["", "no/such/file.gguf", "nul\0byte"])
def test_what_is_not_there_is_missing(path: str) -> None:
    assert "no model" in refusal(path) or "cannot be read" in refusal(path)


def test_a_text_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "is no model" in refusal(tmp_path / "notes.txt")


@pytest.mark.parametrize(("content", "what"), [(b"", "is empty"), (b"<html>", "does not begin like")])
def test_a_damaged_gguf_is_told_from_its_start(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    assert what in refusal(tmp_path / "model.gguf")


def test_an_empty_folder_lacks_its_configuration(tmp_path: Path) -> None:
    assert "config.json is missing" in refusal(folder(tmp_path / "empty"))


def test_a_folder_with_a_gguf_names_the_file(tmp_path: Path) -> None:
    assert "model.gguf" in refusal(folder(tmp_path / "models", "model.gguf"))


async def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    place = folder(tmp_path / "models")
    (place / os.fsdecode(b"odd\xff.gguf")).write_bytes(b"")
    async with EngineClient.start(log_dir=tmp_path / "logs") as engine:
        with pytest.raises(ModelError, match=r"odd\?\.gguf"):
            await engine.load(LoadRequest(path=str(place)))
        await engine.ping()


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    assert "pickles" in refusal(folder(tmp_path / "old", "config.json", "pytorch_model.bin"))


def test_an_adapter_is_not_a_model(tmp_path: Path) -> None:
    path = folder(tmp_path / "lora", "adapter_config.json", "adapter_model.safetensors")
    assert "adapter" in refusal(path)


def test_one_file_of_a_model_names_its_folder(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", "config.json", "model.safetensors") / "model.safetensors"
    assert str(path.parent) in refusal(path)


def test_an_engine_that_does_not_run_this_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF....")
    with pytest.raises(ModelError, match="PyTorch does not run"):
        choose(LoadRequest(path=str(tmp_path / "model.gguf"), engine="torch"))
