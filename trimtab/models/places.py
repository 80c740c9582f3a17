"""The folders in which programs that run models keep them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trimtab import locations
from trimtab.engine.text import clean_line

_DEPTH = 5
"""How far below a folder models are looked for."""
_MANIFEST = 1 << 20
_OLLAMA_MODEL = "application/vnd.ollama.image.model"


@dataclass(frozen=True)
class Place:
    """What may be a model: a GGUF file or a folder of safetensors, and who keeps it."""

    path: Path
    keeper: str
    name: str = ""
    """What its keeper calls it, where the file's own name says nothing."""


def own_folder() -> Path:
    """Where `trimtab model pull` puts models."""
    return locations.data() / "models"


def places(*more: Path) -> Iterator[Place]:
    """Every file or folder that looks like a model, in our folder, in those of other programs, and in `more`."""
    yield from _within(own_folder(), "trimtab")
    for folder in more:
        yield from _within(folder.expanduser(), "")
    for keeper, folder in _folders():
        yield from _within(folder, keeper)
    yield from _ollama()


def hub_cache() -> Path:
    """The cache of huggingface_hub, which many programs share."""
    home = Path(os.environ.get("HF_HOME") or _user_cache() / "huggingface").expanduser()
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def _folders() -> Iterator[tuple[str, Path]]:
    home = Path.home()
    yield "huggingface", hub_cache()
    yield "llama.cpp", Path(os.environ.get("LLAMA_CACHE") or _native_cache() / "llama.cpp").expanduser()
    yield "LM Studio", home / ".lmstudio" / "models"
    yield "LM Studio", home / ".cache" / "lm-studio" / "models"
    yield "Jan", _app_data() / "Jan" / "data" / "llamacpp" / "models"
    yield "GPT4All", _app_data() / "nomic.ai" / "GPT4All"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _native_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("LOCALAPPDATA", "")) if sys.platform == "win32" else _user_cache()


def _app_data() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home())
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _within(folder: Path, keeper: str) -> Iterator[Place]:
    """Models below a folder; of one in several parts the first, and whatever lies beside a model is passed over."""
    for at, folders, files in _walk(folder):
        depth = len(at.relative_to(folder).parts)
        folders[:] = sorted(each for each in folders if depth < _DEPTH and not each.startswith("."))
        if "config.json" in files and any(name.endswith(".safetensors") for name in files):
            yield Place(at, keeper, _hub_name(at))
        for name in sorted(files):
            if name.endswith(".gguf") and not _is_later_part(name):
                yield Place(at / name, keeper)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    # Links are followed to files alone: a folder could be linked into itself.
    for at, folders, files in os.walk(folder, onerror=None, followlinks=False):
        yield Path(at), folders, files


def _is_later_part(name: str) -> bool:
    """`model-00002-of-00003.gguf` belongs to a first part."""
    stem, _, count = name.removesuffix(".gguf").rpartition("-of-")
    return bool(stem) and len(count) == 5 and count.isdigit() and not stem.endswith("-00001")


def _hub_name(folder: Path) -> str:
    """`models--org--name/snapshots/HASH` is called `name`."""
    for part in folder.parts:
        if part.startswith("models--"):
            return part.rpartition("--")[2]
    return ""


def _ollama() -> Iterator[Place]:
    """Its files are called by their hash; what they are called stands in manifests."""
    chosen = os.environ.get("OLLAMA_MODELS")
    homes = [Path(chosen).expanduser()] if chosen else [Path.home() / ".ollama" / "models"]
    if sys.platform == "linux" and not chosen:
        homes.append(Path("/usr/share/ollama/.ollama/models"))
    for home in homes:
        manifests = home / "manifests"
        for at, _, files in _walk(manifests):
            for name in sorted(files):
                blob = _blob(home, at / name)
                if blob is not None:
                    yield Place(blob, "ollama", clean_line(f"{at.name}:{name}"))


def _blob(home: Path, manifest: Path) -> Path | None:
    try:
        if manifest.stat().st_size > _MANIFEST:
            return None
        layers = json.loads(manifest.read_bytes())["layers"]
        digest = next(layer["digest"] for layer in layers if layer["mediaType"] == _OLLAMA_MODEL)
        name = str(digest).replace(":", "-")
    except (OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None  # another program's file in a form that we do not know
    path = home / "blobs" / name
    return path if name == Path(name).name and path.is_file() else None
