"""The pack's file: written the same each time, read only if it is whole and says what it does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.vectors.packs import imported_pack, probe_pack, rewritten
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_fields import Raw
from trimtab.vectors.pack_files import read_bounded, write_atomically
from trimtab.vectors.pack_gguf import is_as_written
from trimtab.vectors.pack_reading import from_bytes, read_pack
from trimtab.vectors.pack_writing import to_bytes

MINIMAL = {
    "meaning": "", "recipe_hash": "", "good": (), "level": None, "gate": None, "similarities": (), "top_tokens": (),
    "calibration": None, "recommended": None, "maximum": None, "warnings": (),
}  # fmt: skip


@pytest.mark.parametrize(
    "pack",
    [probe_pack(), imported_pack(), probe_pack(**MINIMAL), probe_pack(good=(0,))],
    ids=lambda pack: pack.value,
)
def test_what_is_written_is_read_again(pack: Pack) -> None:
    assert from_bytes(to_bytes(pack), "x.gguf") == pack


def test_the_same_pack_gives_the_same_bytes() -> None:
    assert to_bytes(probe_pack()) == to_bytes(probe_pack())
    assert to_bytes(from_bytes(to_bytes(probe_pack()), "x")) == to_bytes(probe_pack())


def test_the_reference_reader_finds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "security.gguf"
    path.write_bytes(to_bytes(probe_pack()))
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.architecture"].contents() == "controlvector"
    assert reader.fields["controlvector.model_hint"].contents() == "llama"
    assert reader.fields["controlvector.layer_count"].contents() == 2
    assert reader.fields["trimtab.anchors.negative"].contents() == ["risky", "größer"]
    assert reader.fields["trimtab.gate.threshold"].contents() == 0.4
    directions = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    assert {name: values.tolist() for name, values in directions.items()} == {
        f"direction.{number}": values.tolist() for number, values in probe_pack().directions().items()
    }


def test_keys_are_sorted() -> None:
    with_keys = [key for key in gguf_keys(to_bytes(probe_pack())) if not key.startswith("GGUF.")]
    assert with_keys == sorted(with_keys)


def gguf_keys(data: bytes) -> list[str]:
    from trimtab.engine.gguf_file import read_gguf

    return list(read_gguf(data, "x").metadata)


def test_the_seal_tells_whether_a_file_was_changed() -> None:
    data = to_bytes(probe_pack())
    assert is_as_written(data) is True
    assert is_as_written(data.replace(b"A. Writer", b"B. Writer")) is False
    assert is_as_written(rewritten(data)) is None


def test_a_file_without_a_seal_is_read() -> None:
    assert from_bytes(rewritten(to_bytes(probe_pack())), "x") == probe_pack()


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: metadata.update({key: value})


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: metadata.pop(key)


def with_nan(key: str, value: float = np.nan) -> Callable[[dict[str, Any]], None]:
    def change(metadata: dict[str, Any]) -> None:
        metadata[key] = metadata[key].copy()
        metadata[key][-1] = value
        if "directions" in key or "weight" in key:
            metadata[key] = metadata[key].astype(np.float32)

    return change


REFUSED: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (put("general.architecture", "llama"), "no control vector"),
    (drop("trimtab.spec_version"), "another program made"),
    (put("trimtab.spec_version", 0), "no version 0"),
    (put("trimtab.spec_version", "1"), "another program made"),
    (put("trimtab.spec_version", 2), "newer Trimtab: it is a pack of version 2, and 1 is the latest"),
    (put("trimtab.extra", 1), "says 'trimtab.extra', which version 1"),
    (put("trimtab.model.layers", 3), "fingerprint is not that"),
    (put("trimtab.model.fingerprint", "0" * 64), "fingerprint is not that"),
    (drop("trimtab.model.width"), "does not say trimtab.model.width"),
    (put("trimtab.model.width", 1.5), "not a whole number"),
    (put("trimtab.method", 3), "not a text"),
    (put("trimtab.warnings", "careful"), "not a list of texts"),
    (put("trimtab.good_layers", ("1", "2")), "not a list of numbers"),
    (put("trimtab.good_layers", np.array([1.0, 2.0])), "not a list of whole numbers"),
    (put("trimtab.probe.layers", np.array([0, 1, 2, 2], dtype=np.uint32)), "layer 2 twice"),
    (put("trimtab.probe.layers", np.array([0, 1, 2], dtype=np.uint32)), "32 numbers instead of 24"),
    (put("trimtab.top_tokens.counts", np.array([1, 1, 9], dtype=np.uint32)), "top tokens and counts others"),
    (put("trimtab.calibration.levels", np.array([0.0])), "3 numbers instead of 1"),
    (with_nan("trimtab.probe.directions"), "NaN"),
    (with_nan("trimtab.probe.directions", np.inf), "infinity"),
    (with_nan("trimtab.probe.directions", 5.0), "instead of 1"),
    (with_nan("trimtab.probe.biases"), "NaN"),
    (with_nan("trimtab.gate.weight"), "NaN"),
    (with_nan("trimtab.probe.accuracies", 1.5), "lies between 0 and 1"),
    (put("trimtab.gate.threshold", float("nan")), "threshold is nan"),
    (put("trimtab.value.id", "../up"), "lower case"),
]


@pytest.mark.parametrize(("change", "complaint"), REFUSED)
def test_a_file_that_says_what_cannot_be_is_refused_by_name(
    change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    with pytest.raises(PackError, match=complaint) as caught:
        from_bytes(rewritten(to_bytes(probe_pack()), change), "stranger.gguf")
    assert "stranger.gguf" in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda tensors: tensors.pop("direction.1"), "lacks direction.1"),
        (lambda tensors: tensors.update({"direction.3": tensors["direction.1"]}), "holds direction.3"),
        (lambda tensors: tensors.update({"direction.0": tensors["direction.1"]}), "does not belong"),
        (lambda tensors: tensors.update({"direction.01": tensors["direction.1"]}), "does not belong"),
        (lambda tensors: tensors.update({"output.weight": tensors["direction.1"]}), "does not belong"),
        (lambda tensors: tensors.update({"direction.1": tensors["direction.1"][:7]}), "of shape"),
        (lambda tensors: tensors.update({"direction.1": -tensors["direction.1"]}), "not the vector"),
    ],
)
def test_what_llama_cpp_would_add_must_be_what_the_pack_says(change: Any, complaint: str) -> None:
    with pytest.raises(PackError, match=complaint):
        from_bytes(rewritten(to_bytes(probe_pack()), None, change), "x")


def test_control_characters_of_a_file_never_reach_the_screen() -> None:
    data = rewritten(to_bytes(probe_pack()), put("general.author", "A\x1b]0;owned\x07\u202eB"))
    assert from_bytes(data, "x").provenance.author == "A]0;ownedB"
    with pytest.raises(PackError) as caught:
        from_bytes(rewritten(data, put("trimtab.\x1b[2J", 1)), "bad\x1b[2J.gguf")
    assert "\x1b" not in str(caught.value)


def test_a_pack_that_claims_other_parts_opens_no_other_file(tmp_path: Path) -> None:
    data = rewritten(to_bytes(probe_pack()), put("split.count", 2))
    for number in (1, 2):
        (tmp_path / f"x-0000{number}-of-00002.gguf").write_bytes(data)
    with pytest.raises(PackError, match="one of several parts"):
        read_pack(tmp_path / "x-00001-of-00002.gguf")


def rename(older: str, newer: str) -> Callable[[dict[str, Raw]], dict[str, Raw]]:
    return lambda raw: {newer if key == older else key: value for key, value in raw.items()}


def test_an_older_version_is_read_by_way_of_its_upgrades() -> None:
    def age(metadata: dict[str, Any]) -> None:
        metadata["trimtab.spec_version"] = 0
        metadata["trimtab.maker"] = metadata.pop("trimtab.made.with")

    old = rewritten(to_bytes(probe_pack()), age)
    upgrades = {0: rename("trimtab.maker", "trimtab.made.with")}
    assert from_bytes(old, "x", upgrades=upgrades) == probe_pack()
    with pytest.raises(PackError, match="no version 0"):
        from_bytes(old, "x")


def test_several_upgrades_follow_one_another() -> None:
    def age(metadata: dict[str, Any]) -> None:
        metadata["trimtab.a"] = metadata.pop("trimtab.made.with")

    old = rewritten(to_bytes(probe_pack()), age)
    upgrades = {1: rename("trimtab.a", "trimtab.b"), 2: rename("trimtab.b", "trimtab.made.with")}
    assert from_bytes(old, "x", current=3, upgrades=upgrades) == probe_pack()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(PackError, match="larger than 64 MiB"):
        read_pack(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(PackError, match="no regular file"):
        read_pack(tmp_path / "pipe.gguf")


@pytest.mark.parametrize(
    ("name", "complaint"), [("", "no regular file"), ("none.gguf", "no file"), ("\0", "cannot be")]
)
def test_what_is_no_file_is_named(tmp_path: Path, name: str, complaint: str) -> None:
    with pytest.raises(PackError, match=complaint):
        read_bounded(tmp_path / name, 100)


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_atomically(path, b"first")
    with pytest.raises(PackError, match="cannot be written"):
        write_atomically(path / "below", b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.gguf"]


def documented_keys() -> set[str]:
    """Keys in the first column of the tables; `.x` stands for the key before it with another end."""
    text = (Path(__file__).parents[2] / "docs" / "packs.md").read_text(encoding="utf-8")
    found: set[str] = set()
    for row in re.findall(r"^\| (`(?:general|controlvector|trimtab)[^|]*) \|", text, re.MULTILINE):
        stem = ""
        for name in re.findall(r"`([^`]+)`", row):
            stem = stem if name.startswith(".") else name.rpartition(".")[0]
            found.add(stem + name if name.startswith(".") else name)
    return found


def test_every_key_is_documented_and_no_other() -> None:
    written = {key for pack in (probe_pack(), imported_pack()) for key in gguf_keys(to_bytes(pack))}
    assert documented_keys() == written
