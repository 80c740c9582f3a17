"""The models of this machine are found wherever programs keep them, and called by their names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.tiny import TinyModel
from trimtab.cli import application
from trimtab.engine.identity import identify
from trimtab.engine.model_facts import facts, free_memory
from trimtab.errors import ModelError
from trimtab.models.finding import models, resolve
from trimtab.models.places import own_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that only what a test puts there is found."""
    for name in (
        "HF_HOME",
        "HF_HUB_CACHE",
        "LLAMA_CACHE",
        "OLLAMA_MODELS",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "trimtab"))
    return tmp_path


def put(model: TinyModel, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(model.gguf, place)
    return place


def found() -> dict[str, str]:
    """Who keeps what, but for the built-in ones."""
    return {each.name: each.keeper for each in models() if each.keeper != "built in"}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(application, ["model", *map(str, arguments)])


def test_models_are_found_where_other_programs_keep_them(tiny_llama: TinyModel, home: Path) -> None:
    put(tiny_llama, own_folder() / "someone" / "tiny" / "ours.gguf")
    put(tiny_llama, home / ".lmstudio" / "models" / "someone" / "tiny" / "studio.gguf")
    put(tiny_llama, home / ".cache" / "llama.cpp" / "cpp.gguf")
    snapshot = home / ".cache" / "huggingface" / "hub" / "models--someone--hubbed" / "snapshots" / "abc"
    shutil.copytree(tiny_llama.safetensors, snapshot)
    blob = put(tiny_llama, home / ".ollama" / "models" / "blobs" / "sha256-abc")
    manifest = home / ".ollama" / "models" / "manifests" / "registry" / "library" / "small" / "1b"
    manifest.parent.mkdir(parents=True)
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc"}]
    manifest.write_text(json.dumps({"layers": layers}))
    assert found() == {
        "ours": "trimtab",
        "studio": "LM Studio",
        "cpp": "llama.cpp",
        "hubbed": "huggingface",
        "small:1b": "ollama",
    }
    assert resolve("small:1b") == blob
    assert resolve("HUBBED") == snapshot


def test_a_file_that_is_linked_to_is_listed_once(tiny_llama: TinyModel, home: Path) -> None:
    real = put(tiny_llama, home / ".cache" / "llama.cpp" / "real.gguf")
    link = own_folder() / "a" / "link.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    assert found() == {"link": "trimtab"}


def test_later_parts_and_broken_files_spoil_no_list(tiny_llama: TinyModel) -> None:
    put(tiny_llama, own_folder() / "good.gguf")
    (own_folder() / "cut.gguf").write_bytes(tiny_llama.gguf.read_bytes()[:5000])
    (own_folder() / "m-00002-of-00002.gguf").write_bytes(b"GGUF")
    (own_folder() / "vision").mkdir()
    told = {each.name: each.fault for each in models() if each.keeper == "trimtab"}
    assert told.keys() == {"good", "cut"}
    assert told["good"] == "" and told["cut"]
    answer = run("list")
    assert answer.exit_code == 0 and "cut: " in answer.stdout


def test_the_list_tells_size_and_format(tiny_llama: TinyModel) -> None:
    path = put(tiny_llama, own_folder() / "tiny.gguf")
    (row,) = [row for row in json.loads(run("list", "--json").stdout) if row["name"] == "tiny"]
    assert (row["architecture"], row["quantisation"], row["path"]) == ("llama", "F32", str(path))
    assert row["parameters"] == 213_568 and row["size"] == 4 * 213_568
    line = next(line for line in run("list").stdout.splitlines() if line.startswith("tiny"))
    assert line.split() == ["tiny", "854.3", "kB", "213.6k", "llama", "F32", "trimtab"]


def test_another_folder_can_be_looked_through(tiny_llama: TinyModel, home: Path) -> None:
    put(tiny_llama, home / "elsewhere" / "odd.gguf")
    assert "odd" not in run("list").stdout
    assert "odd" in run("list", "--folder", home / "elsewhere").stdout


def test_a_name_that_is_none_is_told_with_the_nearest(tiny_llama: TinyModel) -> None:
    put(tiny_llama, own_folder() / "steady.gguf")
    with pytest.raises(ModelError, match=r"no model called stedy.*Did you mean steady\?"):
        resolve("stedy")
    assert resolve("./nowhere.gguf") == Path("nowhere.gguf")


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_inspecting_tells_what_packs_and_people_need_to_know(tiny_llama: TinyModel, form: str) -> None:
    path = tiny_llama.gguf if form == "gguf" else tiny_llama.safetensors
    told = json.loads(run("inspect", path, "--json").stdout)
    assert told["fingerprint"] == identify(path).fingerprint
    assert told["identity"]["layers"] == tiny_llama.shape.layers and told["context"] == 1024
    assert "<|im_start|>" in told["template"]
    # Keys and values of each layer, and the weights: no estimate may lie below what certainly is needed.
    per_token = 2 * 4 * tiny_llama.shape.kv_heads * tiny_llama.shape.head_dim
    assert told["cache_values"] == per_token
    assert told["memory"]["1024"] > told["size"] + 1024 * 2 * per_token
    shown = run("inspect", path).stdout
    assert told["fingerprint"] in shown and "213.6k parameters" in shown and "1,024 tokens" in shown


def test_more_context_takes_more_memory(tiny_llama: TinyModel) -> None:
    model = facts(tiny_llama.gguf)
    step = model.memory(2000) - model.memory(1000)
    assert step == 1000 * 2 * model.cache_values
    assert free_memory() is None or free_memory()


def test_no_control_code_of_a_file_reaches_the_terminal(tiny_llama: TinyModel) -> None:
    data = tiny_llama.gguf.read_bytes().replace(b"Tiny random model", b"Tiny\x1b[31m\x07 model!!")
    path = own_folder() / "odd.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    for answer in (run("inspect", path), run("inspect", path, "--json"), run("list")):
        assert "\x1b" not in answer.stdout and "\x07" not in answer.stdout


def test_what_is_no_model_says_what_it_is(home: Path) -> None:
    (home / "x.gguf").write_bytes(b"nothing")
    answer = run("inspect", home / "x.gguf")
    assert answer.exit_code == 1 and "does not begin like a GGUF file" in answer.stderr


@pytest.mark.parametrize("name", ["", "list", "inspect", "pull"])
def test_help_ends_with_two_examples(name: str) -> None:
    answer = run(*filter(None, [name]), "--help")
    lines = answer.stdout.split("Examples:\n")[1].strip().splitlines()
    assert len(lines) == 2 and all(line.strip().startswith("trimtab model") for line in lines)
