"""The corpus on disk: whole documents, the same bytes for the same seed, fast."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tools.minnow.corpus import write
from trimtab.minnow.documents import STOP


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "one", 0.3, seed=7)
    write(tmp_path / "two", 0.3, seed=7)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 7
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names
    )


def test_every_document_ends_with_the_end_token(tmp_path: Path) -> None:
    counts = write(tmp_path, 0.3)
    text = (tmp_path / "base.train.txt").read_text("utf-8")
    assert text.count(STOP) == counts["base.train.txt"] and text.endswith(STOP + "\n")


def test_the_manifest_lies_beside_the_text(tmp_path: Path) -> None:
    write(tmp_path, 0.1)
    assert len(json.loads((tmp_path / "manifest.json").read_text("utf-8"))["sha256"]) == 64


def test_many_megabytes_are_written_in_a_minute(tmp_path: Path) -> None:
    began = time.perf_counter()
    write(tmp_path, 3.0)
    assert 8e6 / (time.perf_counter() - began) * 60 > 20e6
