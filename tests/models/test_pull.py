"""Models are fetched from a hub on this machine: with resume, checked by their hash, and nothing that is no model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants

from tests.models.hub_server import Hub
from tests.tiny import TinyModel
from trimtab.cli import application
from trimtab.errors import ModelError
from trimtab.models.hub import Remote, Wanted, choose, look_up
from trimtab.models.places import own_folder
from trimtab.models.pulling import pull

REPO = "someone/tiny-GGUF"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.close()


@pytest.fixture
def model(hub: Hub, tiny_llama: TinyModel) -> bytes:
    """In the hub, in two quantisations by name."""
    data = tiny_llama.gguf.read_bytes()
    hub.repos[REPO] = {"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data, "README.md": b"# Tiny"}
    return data


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, ["model", "pull", *arguments])


def failure(*arguments: str) -> str:
    answer = run(*arguments)
    assert answer.exit_code == 1 and answer.stdout == "", answer.output
    return answer.stderr.splitlines()[-1]


def test_the_usual_quantisation_is_fetched_whole(model: bytes) -> None:
    answer = run(REPO)
    path = own_folder() / REPO / "tiny-Q4_K_M.gguf"
    assert answer.exit_code == 0, answer.output
    assert path.read_bytes() == model
    assert answer.stdout.startswith(str(path)) and "trimtab ask --model" in answer.stdout
    assert [each.name for each in path.parent.iterdir()] == ["tiny-Q4_K_M.gguf"]


def test_another_is_fetched_by_its_name(model: bytes) -> None:
    told = json.loads(run(f"{REPO}:q8_0", "--json").stdout)
    assert Path(told["path"]).name == "tiny-Q8_0.gguf" and told["size"] == len(model)
    assert run(f"{REPO}/tiny-Q8_0.gguf").exit_code == 0


def test_what_is_here_is_not_fetched_again(hub: Hub, model: bytes) -> None:
    run(REPO)
    hub.asked.clear()
    assert run(REPO).exit_code == 0
    assert hub.asked == []


def test_what_was_stopped_goes_on_where_it_was(
    hub: Hub, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def stop(fraction: float, what: str) -> None:
        if fraction > 0.4:
            raise Stopped

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    with pytest.raises(Stopped):
        pull(look_up(Wanted.parse(REPO)), stop)
    (part,) = (own_folder() / REPO).iterdir()
    here = part.stat().st_size
    assert part.name.endswith(".part") and 0.4 * len(model) < here < 0.6 * len(model)
    hub.asked.clear()
    fractions: list[float] = []
    path = pull(look_up(Wanted.parse(REPO)), lambda fraction, what: fractions.append(fraction))
    assert hub.asked == [("tiny-Q4_K_M.gguf", f"bytes={here}-")]
    assert path.read_bytes() == model
    assert fractions == sorted(fractions) and fractions[0] == pytest.approx(here / len(model))
    assert fractions[-1] == 1.0


def test_what_arrives_damaged_is_thrown_away(hub: Hub, model: bytes) -> None:
    hub.spoilt.add("tiny-Q4_K_M.gguf")
    assert "arrived damaged" in failure(REPO)
    assert list((own_folder() / REPO).iterdir()) == []
    hub.spoilt.clear()
    assert run(REPO).exit_code == 0


def test_a_file_damaged_on_this_disk_is_fetched_again(hub: Hub, model: bytes) -> None:
    run(REPO)
    path = own_folder() / REPO / "tiny-Q4_K_M.gguf"
    path.write_bytes(b"x" * len(model))
    assert run(REPO).exit_code == 0
    assert path.read_bytes() == model


def test_a_folder_of_safetensors_comes_without_pickles_and_code(hub: Hub, tiny_llama: TinyModel) -> None:
    files = {path.name: path.read_bytes() for path in tiny_llama.safetensors.iterdir()}
    hub.repos["someone/tiny"] = files | {"pytorch_model.bin": b"pickle", "modeling.py": b"import os"}
    assert run("someone/tiny").exit_code == 0
    folder = own_folder() / "someone" / "tiny"
    assert {path.name for path in folder.iterdir()} == files.keys()
    assert (folder / "config.json").read_bytes() == files["config.json"]


@pytest.mark.parametrize(
    ("repo", "what"),
    [
        ("someone/nothing", "There is no repository someone/nothing"),
        ("someone/gated", "wants its terms accepted"),
        ("someone/pickles", "only pickles"),
        (f"{REPO}:Q2_K", "holds none for Q2_K. There are: tiny-Q4_K_M.gguf"),
        ("nonsense", "Write it so: owner/name"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_one_line(hub: Hub, model: bytes, repo: str, what: str) -> None:
    hub.gated.add("someone/gated")
    hub.repos["someone/pickles"] = {"pytorch_model.bin": b"", "config.json": b"{}"}
    assert what in failure(repo)


def test_a_hub_that_is_not_there_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert "cannot be reached" in failure(REPO)


def test_downloads_that_are_switched_off_are_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "Unset HF_HUB_OFFLINE" in failure(REPO)


def remote(name: str, size: int = 1) -> Remote:
    return Remote(name, size, "", "")


def test_all_parts_of_a_split_model_are_taken_and_what_lies_beside_is_not() -> None:
    names = ["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf", "mmproj-m.gguf", "m.imatrix.gguf"]
    chosen = choose([remote(name) for name in reversed(names)], Wanted("a/b"))
    assert [file.name for file in chosen] == names[:2]


def test_a_quantisation_is_a_word_of_its_own() -> None:
    files = [remote("m-IQ4_XS.gguf"), remote("m-Q4_K.gguf"), remote("m-Q4_K_M.gguf")]
    assert [file.name for file in choose(files, Wanted("a/b", "q4_k"))] == ["m-Q4_K.gguf"]


@pytest.mark.parametrize("name", ["../../etc/m.gguf", "/m.gguf", "a\\..\\m.gguf", "m\x1b.gguf"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="unsafe name"):
        choose([remote(name)], Wanted("a/b"))
