"""What lies in a model folder, checked before anything is loaded: safetensors, whole, of a known kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trimtab.errors import ModelError, Unsupported

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX = "model.safetensors.index.json"


def check_folder(path: Path) -> dict[str, Any]:
    """The model's config.json, once its weights are seen to be there and whole."""
    if not path.exists():
        raise ModelError(f"There is no model at {path}.", "Check the path.")
    if not path.is_dir():
        raise ModelError(
            f"{path} is a file; PyTorch models are folders.", "Give the folder with config.json, or a GGUF file."
        )
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} holds no config.json: it is no model.", "Give the folder of a transformers model.")
    config = read_json(path / "config.json")
    if config.get("quantization_config"):
        raise Unsupported(
            f"The model in {path} is quantised for another library.", "Get it unquantised, or as a GGUF file."
        )
    for shard in _shards(path):
        _check_whole(shard)
    return config


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {first_line(error)}", "Get the file again.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} does not hold what it should.", "Get the file again.")
    return found


def _shards(path: Path) -> list[Path]:
    if (path / "model.safetensors").is_file():
        return [path / "model.safetensors"]
    if (path / _INDEX).is_file():
        places = read_json(path / _INDEX).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ModelError(f"{path / _INDEX} names no weights.", "Get the file again.")
        names = sorted({str(name) for name in places.values()})
        for name in names:
            if name != Path(name).name or not name.endswith(".safetensors"):
                raise ModelError(f"{path / _INDEX} points to {name!r}, which is not allowed.", "Get it again.")
            if not (path / name).is_file():
                raise ModelError(f"{path} lacks {name}.", "Get the missing file.")
        return [path / name for name in names]
    pickled = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLED)
    if pickled:
        raise ModelError(
            f"{path} holds its weights as {pickled[0]}, a pickle, which can run any code when it is opened.",
            "Get the model in safetensors, or as a GGUF file.",
        )
    raise ModelError(f"{path} holds no model.safetensors.", "Get the whole folder of the model.")


def _check_whole(shard: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(shard), framework="numpy") as opened:
            empty = not list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{shard} is damaged or cut short: {first_line(error)}", "Get the file again.") from error
    if empty:
        raise ModelError(f"{shard} holds no weights.", "Get the file again.")


def first_line(error: BaseException) -> str:
    """What an error of a library says, short enough for one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
