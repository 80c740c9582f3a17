"""`trimtab pack`, as its users run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from tests.tiny import TinyModel, quantise
from tests.vectors import peers
from tests.vectors.packs import TINY, draw, imported_pack, probe_pack, rewritten
from trimtab.cli import application
from trimtab.commands import pack as module
from trimtab.engine.identity import ModelIdentity, identify
from trimtab.vectors.library import Library
from trimtab.vectors.pack import BaseModel, Pack
from trimtab.vectors.pack_plot import bars, legible
from trimtab.vectors.pack_report import inspect_text
from trimtab.vectors.pack_writing import to_bytes
from trimtab.vectors.recipe import load
from trimtab.vectors.trimpack import write_trimpack


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def model(tiny_llama: TinyModel) -> ModelIdentity:
    return identify(tiny_llama.gguf)


def run(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(application, ["pack", *map(str, arguments)], input=text)


def told(*arguments: object) -> Any:
    answer = run(*arguments, "--json")
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return json.loads(answer.stdout)


def failure(*arguments: object) -> str:
    answer = run(*arguments)
    assert answer.exit_code == 1
    assert len(answer.stderr.splitlines()) == 1
    return answer.stderr


def put(data: bytes, name: str) -> str:
    Path(name).write_bytes(data)
    return name


SUBCOMMANDS = ("list", "inspect", "import", "export", "verify", "remove")


@pytest.mark.parametrize("name", ["", *SUBCOMMANDS])
def test_help_ends_with_two_examples(name: str) -> None:
    answer = run(*filter(None, [name]), "--help")
    _, examples = answer.stdout.split("Examples:\n")
    lines = examples.strip().splitlines()
    assert len(lines) == 2
    assert all(line.strip().startswith("trimtab pack") for line in lines)


def test_the_commands_are_those_of_the_plan() -> None:
    assert isinstance(module.command, click.Group)
    assert sorted(module.command.commands) == sorted(SUBCOMMANDS)


def test_an_empty_library_tells_how_to_fill_it() -> None:
    assert "trimtab build" in run("list").stdout
    assert told("list") == []


def test_the_list_names_each_model_once_and_its_packs_below() -> None:
    library = Library()
    library.add(probe_pack())
    library.add(imported_pack())
    library.add(probe_pack(msgspec.structs.replace(TINY, name="Other", vocabulary_hash="a" * 64)))
    lines = run("list").stdout.splitlines()
    assert sorted(line.partition(" (")[0] for line in lines if not line.startswith(" ")) == [
        "Other", "Tiny random model",
    ]  # fmt: skip
    assert len(lines) == 5
    assert "  security  Security · layers 1–2 · recommended level 1.5 · 1 warning" in lines
    assert "  ornate    ornate · layers 1–2 · from jukofyork" in lines


def test_a_damaged_pack_is_listed_as_one() -> None:
    path = Library().add(probe_pack()).path
    path.write_bytes(path.read_bytes()[:100])
    assert "cannot be used" in run("list").stdout
    [entry] = told("list")
    assert entry["name"] == "security" and "damaged" in entry["fault"]


SHOWN = """\
Security (security)
  Safety, and things that stay as they are.
  model       Tiny random model (llama, 4 layers, 8 wide, FINGER)
  built on    llama F32
  method      probes at the last token, on plain text
  learned     from the output of block N
  added       to the output of block N
  layers      1–2 of 0–3
  made        2026-03-01 with trimtab 0.1 by A. Writer
  licence     CC-BY-4.0
  recipe      777777777777…
  gate        layer 1, opens at 0.40, right 97% of the time
  anchors     + safe + secure − risky − größer
  similar     tradition +0.60, stimulation −0.40
  recommended level 1.5
  maximum     level 3

Accuracy on pairs held out, by layer (● steered)
 1.00 │      ▃▃
      │▃▃▆▆████
      │████████
 0.50 │████████
      └· ● ● ·
       0

Calibration (40 questions, 95% intervals)
   level strength   value                fluency
    0.00     1.00   0.30 [0.20, 0.35]    0.99 [0.97, 1.00]
    1.50     1.00   0.80 [0.70, 0.85]    0.97 [0.95, 0.98]    recommended
    3.00     1.00   0.90 [0.80, 0.95]    0.70 [0.68, 0.71]    maximum

What its direction says, by layer
    1  safe, lock

⚠ Trained on few pairs.
"""


def test_inspect_shows_all_that_a_pack_tells() -> None:
    Library().add(probe_pack())
    expected = SHOWN.replace("FINGER", TINY.fingerprint[:8]).splitlines()
    assert run("inspect", "security").stdout.splitlines() == expected
    assert run("inspect", put(to_bytes(probe_pack()), "x.gguf")).stdout.splitlines() == expected


def test_inspect_shows_the_source_and_the_lengths_of_imported_vectors() -> None:
    text = inspect_text(imported_pack())
    assert "ornate.gguf (jukofyork, 888888888888…)" in text
    assert "from what is added by block N−1" in text
    assert "Length of what is added at strength 1" in text


def test_inspect_as_json_holds_everything_but_the_vectors() -> None:
    found = told("inspect", put(to_bytes(probe_pack()), "x.gguf"))
    assert found["model"]["fingerprint"] == TINY.fingerprint
    assert found["layers"][2]["probe"]["bias"] == -0.5
    assert found["layers"][2]["probe"]["unit"] == {
        "width": 8, "digest": probe_pack().layers[2].probe.unit.digest,  # type: ignore[union-attr]
    }  # fmt: skip
    assert found["calibration"]["points"][1]["value"]["score"] == 0.8


def test_inspect_shows_every_pack_of_an_archive() -> None:
    file = put(write_trimpack({"security": probe_pack(), "ornate": imported_pack()}), "two.trimpack")
    assert [each["value"] for each in told("inspect", file)] == ["ornate", "security"]


def test_a_plot_has_a_bar_for_each_layer_and_none_for_what_is_not_known() -> None:
    assert bars([0.5, None, 0.75, 1.0], 0.5, 1.0, {7}, first=4) == [
        " 1.00 │      ██",
        "      │      ██",
        "      │    ████",
        " 0.50 │▁▁  ████",
        "      └· · · ●",
        "       4",
    ]


def test_a_terminal_without_blocks_gets_plain_signs() -> None:
    assert legible("▁▄█ ● 1–4 größer", "ascii") == ".-# o 1-4 gr??er"
    assert legible("▁▄█ größer", "latin-1") == ".-# größer"
    assert legible("▁▄█ größer", "utf-8") == "▁▄█ größer"
    assert legible("▁", "no such thing") == "."


def test_a_pack_goes_out_and_comes_back_as_it_was() -> None:
    Library().add(probe_pack())
    assert run("export", "security", "--to", "s.gguf").exit_code == 0
    assert Path("s.gguf").read_bytes() == to_bytes(probe_pack())
    assert run("remove", "security", "--yes").exit_code == 0
    assert told("list") == []
    assert "Imported security for Tiny random model from s.gguf." in run("import", "s.gguf").stdout
    assert Library().read("security") == probe_pack()


def test_several_packs_go_out_in_one_archive_and_come_back() -> None:
    for pack in (probe_pack(), imported_pack()):
        Library().add(pack)
    assert run("export", "security", "ornate", "--to", "two.trimpack").exit_code == 0
    run("remove", "security", "ornate", "--yes")
    assert run("import", "two.trimpack").exit_code == 0
    assert [entry["name"] for entry in told("list")] == ["ornate", "security"]


def test_export_writes_over_no_file_and_puts_two_packs_into_no_gguf() -> None:
    Library().add(probe_pack())
    Library().add(imported_pack())
    put(b"mine", "s.gguf")
    assert "there already" in failure("export", "security", "--to", "s.gguf")
    assert Path("s.gguf").read_bytes() == b"mine"
    assert run("export", "security", "--to", "s.gguf", "--force").exit_code == 0
    assert "cannot hold 2 packs" in failure("export", "security", "ornate", "--to", "two.gguf")


def test_removing_asks_first() -> None:
    Library().add(probe_pack())
    assert run("remove", "security", text="n\n").exit_code == 1
    assert run("remove", "security", text="y\n").stdout.endswith("Removed security.\n")
    assert "no pack called security" in failure("remove", "security", "--yes")


def test_vectors_of_other_programs_need_a_model_and_get_its_fingerprint(
    tiny_llama: TinyModel, model: ModelIdentity
) -> None:
    vectors = {number: draw(model.width, number) for number in range(model.layers - 1, 0, -1)}
    file = put(peers.repeng(vectors), "happy.gguf")
    assert "--model" in failure("import", file)
    answer = run("import", file, "--model", tiny_llama.gguf, "--layers", "2-3", "--as", "happiness")
    assert answer.exit_code == 0
    entry = Library().find("happiness", model.fingerprint)
    assert entry.pack is not None
    assert entry.pack.good == (2, 3)
    assert entry.pack.provenance.date and entry.pack.provenance.tool.startswith("trimtab ")


def test_a_pickle_is_refused_with_the_safe_way() -> None:
    assert "From a pickle" in failure("import", put(b"\x80\x04K\x01.", "v.pth"))
    assert "From a pickle" in failure(
        "import", put(b"PK\3\4" + bytes(22) + b"\x0f\0\0\0a/data.pkl.....", "v.trimpack")
    )


def pack_of(model: ModelIdentity, **changes: Any) -> Pack:
    return probe_pack(model, **changes)


def test_another_models_pack_is_refused_and_may_be_taken_knowingly(
    tiny_llama: TinyModel, model: ModelIdentity
) -> None:
    other = msgspec.structs.replace(model, name="Other", vocabulary_hash="a" * 64)
    file = put(to_bytes(pack_of(other)), "s.gguf")
    assert "vocabulary is another" in failure("import", file, "--model", tiny_llama.gguf)
    answer = run("import", file, "--model", tiny_llama.gguf, "--anyway")
    assert "never measured" in answer.stdout
    pack = Library().read("security", model.fingerprint)
    assert pack.model == BaseModel.of(model, engine="llama")
    assert any("never measured" in warning for warning in pack.warnings)


def test_a_changed_pack_is_imported_with_a_remark() -> None:
    data = to_bytes(probe_pack()).replace(b"A. Writer", b"B. Writer")
    assert "changed after it was written" in run("import", put(data, "s.gguf")).stdout


def test_one_bad_member_keeps_out_the_whole_archive() -> None:
    data = write_trimpack({"a": imported_pack(), "z": probe_pack()})
    assert "not what the manifest says" in failure("import", put(damaged(data), "two.trimpack"))
    assert told("list") == []


def damaged(data: bytes) -> bytes:
    """One letter of the last member's author, with its checksum mended as an attacker would."""
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"A. Writer", b"B. Writer"))
    return out.getvalue()


@pytest.mark.parametrize("layers", ["x", "5-2", "-1", "1-", "1,,2", "0-9999"])
def test_layers_that_are_none_are_asked_for_again(layers: str) -> None:
    answer = run("import", put(peers.repeng(), "v.gguf"), f"--layers={layers}")
    assert answer.exit_code == (2 if layers != "1-" else 1)


def outcomes(*arguments: object) -> dict[str, str]:
    [checks] = told("verify", *arguments)["packs"].values()
    return {check["what"]: check["outcome"] for check in checks}


def test_verify_says_what_is_right_and_what_cannot_be_known() -> None:
    file = put(to_bytes(probe_pack()), "s.gguf")
    assert run("verify", file).exit_code == 0
    assert outcomes(file) == {
        "file": "right", "vectors": "right", "llama.cpp": "right", "seal": "right",
        "model": "unknown", "recipe": "unknown", "author": "unknown", "figures": "unknown",
    }  # fmt: skip


def test_verify_checks_against_the_model(tiny_llama: TinyModel, model: ModelIdentity) -> None:
    file = put(to_bytes(pack_of(model)), "s.gguf")
    assert outcomes(file, "--model", tiny_llama.gguf)["weights"] == "right"
    assert outcomes(file, "--model", quantise(tiny_llama.gguf, "f16"))["weights"] == "unknown"
    assert outcomes(put(to_bytes(probe_pack()), "t.gguf"), "--model", tiny_llama.gguf)["model"] == "wrong"
    assert run("verify", "t.gguf", "--model", tiny_llama.gguf).exit_code == 1


RECIPE = """
id = "calm"
name = "Calm"
meaning = "Being calm."
[[pairs]]
positive = "I breathe slowly and wait."
negative = "I breathe quickly and run."
"""


def test_verify_checks_against_the_recipe() -> None:
    Path("calm.toml").write_text(RECIPE, encoding="utf-8")
    own = put(to_bytes(probe_pack(recipe_hash=load(Path("calm.toml")).digest)), "own.gguf")
    assert outcomes(own, "--recipe", "calm.toml")["recipe"] == "right"
    assert outcomes(put(to_bytes(probe_pack()), "x.gguf"), "--recipe", "calm.toml")["recipe"] == "wrong"


def test_verify_finds_a_changed_file_and_a_damaged_one() -> None:
    data = to_bytes(probe_pack())
    assert outcomes(put(data.replace(b"A. Writer", b"B. Writer"), "a.gguf"))["seal"] == "wrong"
    assert outcomes(put(rewritten(data), "b.gguf"))["seal"] == "unknown"
    answer = run("verify", put(data[:-300], "c.gguf"))
    assert answer.exit_code == 1
    assert "WRONG" in answer.stdout


def test_verify_checks_every_pack_of_an_archive() -> None:
    file = put(write_trimpack({"security": probe_pack(), "ornate": imported_pack()}), "two.trimpack")
    found = told("verify", file)
    assert found["ok"] is True
    assert sorted(found["packs"]) == ["ornate", "security"]
