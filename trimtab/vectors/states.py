"""Reads a model's states of many texts into a file, piece by piece, and goes on where a stopped reading left off."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from trimtab import locations
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import ActivationRequest, Passage
from trimtab.vectors.errors import BuildError

FloatArray = npt.NDArray[np.float32]
Positions = Literal["last", "mean"]
Form = Literal["plain", "chat"]

_PIECE_BYTES = 8 << 20
_PIECE_TEXTS = 32
_STALE = 7 * 24 * 3600.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which states are read: of which texts, at which layers, at which positions, in which form."""

    passages: tuple[Passage, ...]
    layers: tuple[int, ...]
    positions: Positions = "last"
    form: Form = "plain"

    def key(self, model: str) -> str:
        """The name of the file for a model: the same texts read under the same circumstances."""
        return hashlib.sha256(model.encode() + b"\n" + msgspec.json.encode(self)).hexdigest()[:32]


class States:
    """States on disk, layer after layer, so that one layer's are read at a time."""

    def __init__(self, path: Path, layers: Sequence[int], count: int, width: int) -> None:
        self.path = path
        self.layers = tuple(layers)
        self._map: np.memmap[tuple[int, int, int], np.dtype[np.float32]] = np.memmap(
            path, dtype=np.float32, mode="r+", shape=(len(self.layers), count, width)
        )

    def at(self, layer: int) -> FloatArray:
        """Shape (texts, width)."""
        return np.array(self._map[self.layers.index(layer)])

    def put(self, begin: int, found: FloatArray) -> None:
        self._map[:, begin : begin + len(found)] = found.swapaxes(0, 1)

    def flush(self) -> None:
        self._map.flush()

    def remove(self) -> None:
        """Lets go of the file; what is not removed is found by the next reading of the same."""
        del self._map
        self.path.unlink(missing_ok=True)
        _note(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._map


async def read(
    engine: EngineClient,
    model: str,
    wanted: Wanted,
    on_piece: Callable[[int], None] = lambda _: None,
    folder: Path | None = None,
) -> States:
    """The states of all passages. `model` names the very weights; `on_piece` is told how many texts were added.

    Stopped at any moment, the next call with the same arguments begins at the last whole piece.
    """
    assert engine.info is not None
    width, count = engine.info.width, len(wanted.passages)
    place = (folder or spool()) / f"{wanted.key(model)}.states"
    states, done = _open(place, wanted.layers, count, width)
    on_piece(done)
    step = max(1, min(_PIECE_TEXTS, _PIECE_BYTES // (4 * width * len(wanted.layers))))
    while done < count:
        passages = wanted.passages[done : done + step]
        request = ActivationRequest(
            passages=passages, layers=wanted.layers, positions=wanted.positions, form=wanted.form
        )
        found = await engine.activations(request)
        if not np.isfinite(found).all():
            raise BuildError(
                "The model's states hold values that are no numbers.",
                "Load it in another quantisation, or with --exact.",
            )
        states.put(done, found)
        states.flush()
        done += len(passages)
        _write_note(place, done)
        on_piece(len(passages))
    return states


def spool() -> Path:
    """Where states wait while a pack is built; what nobody came back for in a week is removed."""
    folder = locations.cache() / "states"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        try:
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink()
        except OSError:  # another build removed it, or uses it
            continue
    return folder


def _open(place: Path, layers: Sequence[int], count: int, width: int) -> tuple[States, int]:
    size = 4 * len(layers) * count * width
    done = _read_note(place)
    if done is None or not place.is_file() or place.stat().st_size != size:
        _note(place).unlink(missing_ok=True)
        done = 0
        try:
            with place.open("wb") as file:
                # Written out now, lest a full disk is met as a crash in the middle of the mapped file.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
        except OSError as error:
            place.unlink(missing_ok=True)
            raise BuildError(
                f"{place} cannot be written: {error.strerror}.",
                f"{size / 1e6:.0f} MB are needed while a pack is built; TRIMTAB_HOME names another place.",
            ) from error
    return States(place, layers, count, width), min(done, count)


def _note(place: Path) -> Path:
    return place.with_suffix(".json")


def _read_note(place: Path) -> int | None:
    try:
        done = json.loads(_note(place).read_text("utf-8"))["done"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return done if isinstance(done, int) and done >= 0 else None


def _write_note(place: Path, done: int) -> None:
    fresh = place.with_suffix(".new")
    fresh.write_text(json.dumps({"done": done}), "utf-8")
    fresh.replace(_note(place))
