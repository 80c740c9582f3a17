"""Writes minnow's corpus: a train, a validation and a test file for each register, and the manifest of the splits.

    python -m tools.minnow.corpus OUT [--megabytes 200] [--seed 0] [--scene-bias 0.8]

The same arguments give the same bytes. Each document ends with the end token and a line break.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from trimtab.minnow import splits
from trimtab.minnow.corpus import DEFAULT, Settings, documents
from trimtab.minnow.documents import STOP, Register
from trimtab.minnow.splits import SPLITS, Split

HELD_SHARE = 0.02
"""Validation and test are each so much of the size of train, and half a megabyte at least."""


def write(out: Path, megabytes: float, seed: int = 0, settings: Settings = DEFAULT) -> dict[str, int]:
    """Writes all files and returns how many documents each holds."""
    out.mkdir(parents=True, exist_ok=True)
    families = splits.manifest()
    digest = splits.prove(families)
    (out / "manifest.json").write_text(json.dumps({"sha256": digest, **families}, indent=1), "utf-8")
    counts = {}
    for register in get_args(Register):
        for split in SPLITS:
            size = megabytes if split == "train" else max(0.5, megabytes * HELD_SHARE)
            name = f"{register}.{split}.txt"
            counts[name] = _fill(out / name, stream(seed, split, register, settings), int(size * 1e6))
    return counts


def stream(seed: int, split: Split, register: Register, settings: Settings = DEFAULT) -> Iterator[str]:
    """The documents of a corpus as text, each with its end token, without end: to train without any file."""
    for document in documents(seed, split, register, settings):
        yield document.text() + STOP


def _fill(path: Path, texts: Iterator[str], size: int) -> int:
    """Writes texts until the file has its size."""
    count = written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text in texts:
            file.write(text + "\n")
            count += 1
            written += len(text) + 1
            if written >= size:
                break
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=float, default=200.0, help="of training text for each register")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scene-bias", type=float, default=0.0, help="make values and scenes correlate, 0 to 1"
    )
    chosen = parser.parse_args()
    began = time.perf_counter()
    counts = write(chosen.out, chosen.megabytes, chosen.seed, Settings(scene_bias=chosen.scene_bias))
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), **counts}))


if __name__ == "__main__":
    main()
