"""Chooses the engine for a model, after the cheap checks that tell a user what is wrong with a path."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from trimtab.engine.contract import Engine, LoadRequest, Progress
from trimtab.engine.gguf_file import open_gguf
from trimtab.engine.text import clean_line
from trimtab.errors import EngineError, MissingExtra, ModelError

if TYPE_CHECKING:
    from trimtab.engine.gating import Classifies
    from trimtab.engine.machine import Machine

_WANTED = "Give a .gguf file, or a folder with config.json and .safetensors files."


def load_engine(request: LoadRequest, progress: Progress) -> Engine:
    """The model that the request names, ready to run; llama.cpp for a GGUF file, PyTorch for a folder."""
    kind = choose(request)
    request = msgspec.structs.replace(request, path=str(Path(request.path).expanduser()))
    if kind == "llama":
        try:
            from trimtab.engine.llama.load import load as load_llama
        except ImportError as error:
            raise EngineError(
                f"llama.cpp could not be loaded: {error}.", "Install Trimtab again: make setup"
            ) from error
        return _engine(load_llama(request, progress), request)
    try:
        from trimtab.engine.torch.load import load as load_torch
    except ImportError as error:
        if (error.name or "").startswith("trimtab"):
            raise
        raise _lacks_torch(Path(request.path)) from error
    return _engine(load_torch(request, progress), request)


def load_classifier(folder: Path) -> Classifies:
    """The sequence classifier in a folder, for a gate; PyTorch runs it, whatever runs the model."""
    try:
        from trimtab.engine.torch.classifier import load
    except ImportError as error:
        if (error.name or "").startswith("trimtab"):
            raise
        raise MissingExtra.torch("A classifier for a gate") from error
    return load(folder)


def _engine(machine: Machine, request: LoadRequest) -> Engine:
    from trimtab.engine.generation import MachineEngine

    try:
        return MachineEngine(machine, piece=request.batch)
    except BaseException:
        machine.close()
        raise


def check(request: LoadRequest) -> None:
    """Refuses what cannot be loaded, as far as a look at its files tells, before anything is let go for it."""
    path = Path(request.path).expanduser()
    if choose(request) == "torch":
        from trimtab.engine.torch.folder import check_folder

        check_folder(path)
        if find_spec("torch") is None:
            raise _lacks_torch(path)
        return
    from trimtab.engine.llama.model_file import check_model

    with open_gguf(path) as file:
        check_model(file)


def choose(request: LoadRequest) -> Literal["llama", "torch"]:
    """Which engine runs what lies at the request's path."""
    path = Path(request.path).expanduser()
    try:
        kind = _kind(path)
    except PermissionError as error:
        raise ModelError(f"{path} may not be read.", "Check its permissions.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", "Check the path and the disk.") from error
    if request.engine not in ("auto", kind):
        names = {"llama": "llama.cpp", "torch": "PyTorch"}
        raise ModelError(
            f"{path} is {'a GGUF file' if kind == 'llama' else 'a folder'}, which {names[request.engine]} "
            "does not run.",
            f"Choose the engine {kind} or auto.",
        )
    return kind


def _lacks_torch(path: Path) -> MissingExtra:
    return MissingExtra.torch(f"{clean_line(path.name)}, a folder of safetensors,")


def _kind(path: Path) -> Literal["llama", "torch"]:
    if not path.name or not path.exists():
        raise ModelError(f"There is no model at {path}.", "Check the path. " + _WANTED)
    if path.is_dir():
        _check_folder(path)
        return "torch"
    if not path.is_file():
        raise ModelError(f"{path} is neither a file nor a folder.", _WANTED)
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"GGUF":
        return "llama"
    if path.suffix == ".safetensors" or path.name == "config.json":
        raise ModelError(f"{path} is one file of a model.", f"Give the folder: {path.parent}")
    if path.suffix == ".gguf":
        what = "is empty" if not start else "does not begin like a GGUF file"
        raise ModelError(f"{path} {what}: it is damaged or no model.", "Download or copy it again.")
    raise ModelError(f"{path} is no model.", _WANTED)


def _check_folder(path: Path) -> None:
    names = sorted(entry.name for entry in path.iterdir())
    weights = [name for name in names if name.endswith(".safetensors")]
    if "config.json" in names and weights:
        return
    if "adapter_config.json" in names:
        raise ModelError(f"{path} holds an adapter, no model.", "Load its base model instead.")
    gguf = [name for name in names if name.endswith(".gguf")]
    if gguf:
        raise ModelError(f"{path} is a folder.", f"Give the file itself: {path / gguf[0]}")
    if any(name.endswith((".bin", ".pth", ".pt")) for name in names) and not weights:
        raise ModelError(
            f"{path} holds its weights as pickles, which may run code and are refused.",
            "Get or make a .safetensors version.",
        )
    lacking = "config.json" if "config.json" not in names else "a .safetensors file"
    raise ModelError(f"{path} holds no model: {lacking} is missing.", _WANTED)
