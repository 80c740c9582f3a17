"""What a model is run on: the device, the threads, and the window that memory allows."""

from __future__ import annotations

from typing import Any

import torch

from trimtab.engine.contract import LoadRequest
from trimtab.engine.memory import giga
from trimtab.engine.torch.decode import Decoder
from trimtab.engine.torch.families import Anatomy
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.store import KeyValueStore
from trimtab.errors import ModelError, Unsupported

_CONTEXT = 4096
"""The window where none is asked for and the model was trained on more."""


def choose_device(request: LoadRequest) -> torch.device:
    """CUDA where there is a card, unless the request says otherwise."""
    wanted = request.device or ("cuda" if torch.cuda.is_available() and request.gpu_layers != 0 else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"There is no device named {wanted!r}.", "Use cpu, cuda or cuda:1.") from error
    if device.type not in ("cpu", "cuda"):
        raise Unsupported(f"The PyTorch engine does not run on {wanted}.", "Use cpu or cuda.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unsupported("This PyTorch finds no CUDA card.", "Use cpu, or install PyTorch for CUDA.")
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        if device.index >= torch.cuda.device_count():
            raise Unsupported(f"There is no CUDA card {device.index}.", "Use cuda:0, or cpu.")
    return device


def device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


def choose_context(request: LoadRequest, config: Any) -> tuple[int, int, tuple[str, ...]]:
    """The window, what the model was trained on, and what the user should know about that."""
    trained = int(getattr(config, "max_position_embeddings", 0) or _CONTEXT)
    context = request.context or min(trained, _CONTEXT)
    if context <= trained:
        return context, trained, ()
    if not getattr(config, "rope_parameters", None):
        return trained, trained, (f"The model knows only {trained} positions; the window is that long.",)
    return context, trained, (f"The model was trained on {trained} positions; beyond them it may ramble.",)


def room_for_window(before: int | None, anatomy: Anatomy, device: torch.device) -> int | None:
    """What is free for a cache, if `before` bytes were free before the weights came; None where nobody knows.

    The weights are counted and not asked for: as long as they only lie in a file's cached pages the system
    calls them free.
    """
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return None if before is None else before - sum(each.nbytes for each in anatomy.model.parameters())


def check_window(
    anatomy: Anatomy, additive: torch.dtype | None, context: int, device: torch.device, room: int | None
) -> None:
    """Refuses a window whose cache cannot fit into `room` bytes, before the system starts to swap or to kill."""
    if room is None:
        return
    trial = KeyValueStore(len(anatomy.layers), 1)
    Decoder(anatomy, trial, Masks(anatomy.windows, 1, device, additive), device).run([0], 0, None)
    needed = trial.bytes * context
    if needed > room:
        fitting = max(room, 0) // trial.bytes
        raise ModelError(
            f"A context of {context:,} tokens needs {giga(needed)} beside the model's weights, "
            f"and {giga(max(room, 0))} is free.",
            f"Ask for a context of {fitting:,} or less."
            if fitting
            else "Close other programs, or choose a smaller model.",
        )
