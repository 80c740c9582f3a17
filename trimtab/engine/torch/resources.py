"""What a model is run on: the device, the threads, and the window that memory allows."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch

from trimtab.engine.contract import LoadRequest
from trimtab.engine.torch.decode import Decoder
from trimtab.engine.torch.families import Anatomy
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.store import Store
from trimtab.errors import EngineError, ModelError, Unsupported

_CONTEXT = 4096
"""The window where none is asked for and the model was trained on more."""
_SMALL = 50_000_000
"""Up to so many parameters one thread is the fastest."""


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


def check_memory(
    anatomy: Anatomy, additive: torch.dtype | None, context: int, device: torch.device
) -> None:
    """Refuses a window whose cache cannot fit, before the system starts to swap or to kill."""
    trial = Store(len(anatomy.layers), 1)
    Decoder(anatomy, trial, Masks(anatomy.windows, 1, device, additive), device).run([0], 0, None)
    needed = trial.bytes * context
    if device.type == "cuda":
        held = torch.cuda.mem_get_info(device)[0]
    else:
        try:
            held = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return
        held -= sum(each.nbytes for each in anatomy.model.parameters())
    if needed > held:
        raise EngineError(
            f"A window of {context} tokens needs {needed / 2**30:.1f} GiB of memory and {max(held, 0) / 2**30:.1f} "
            "GiB are there.",
            f"Load the model with a context of at most {max(held, 0) // trial.bytes}.",
        )


def choose_threads(parameters: int) -> int:
    """The physical cores less one, for they also have an interface to draw."""
    if parameters <= _SMALL:
        return 1
    try:
        physical = importlib.import_module("psutil").cpu_count(logical=False)
    except ImportError:
        physical = None
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(physical or allowed, allowed) - 1)
