"""What this build of llama.cpp can do on this machine."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from trimtab.engine.llama.library import Library, open_library
from trimtab.engine.text import clean

_GPU_TYPES = {1: "gpu", 2: "igpu"}
_TYPES = {0: "cpu", **_GPU_TYPES, 3: "accel", 4: "meta"}


@dataclass(frozen=True)
class Device:
    """A device that llama.cpp can compute on."""

    name: str
    description: str
    kind: str
    free: int
    total: int


@dataclass(frozen=True)
class SystemInfo:
    """For `doctor`: the version, the back ends built in, and what they found."""

    version: str
    library: str
    back_ends: tuple[str, ...]
    devices: tuple[Device, ...]
    can_offload: bool


def system_info() -> SystemInfo:
    """Raises an EngineError where llama.cpp is missing or not the one relied on."""
    library = open_library()
    import llama_cpp

    count = library.function("ggml_backend_reg_count", ctypes.c_size_t)()
    registry = library.function("ggml_backend_reg_get", ctypes.c_void_p, ctypes.c_size_t)
    name = library.function("ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)
    return SystemInfo(
        version=llama_cpp.__version__,
        library=library.function("llama_version", ctypes.c_char_p)().decode("ascii", errors="replace"),
        back_ends=tuple(_text(name(registry(at))) for at in range(count)),
        devices=tuple(devices(library)),
        can_offload=bool(library.api.llama_supports_gpu_offload()),
    )


def gpus(library: Library) -> list[Device]:
    return [device for device in devices(library) if device.kind in _GPU_TYPES.values()]


def devices(library: Library) -> list[Device]:
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    count = library.function("ggml_backend_dev_count", size)()
    get = library.function("ggml_backend_dev_get", pointer, size)
    name = library.function("ggml_backend_dev_name", ctypes.c_char_p, pointer)
    description = library.function("ggml_backend_dev_description", ctypes.c_char_p, pointer)
    kind = library.function("ggml_backend_dev_type", ctypes.c_int, pointer)
    memory = library.function("ggml_backend_dev_memory", None, pointer, pointer, pointer)
    found = []
    for at in range(count):
        device = get(at)
        free, total = size(), size()
        memory(device, ctypes.addressof(free), ctypes.addressof(total))
        found.append(
            Device(
                name=_text(name(device)),
                description=_text(description(device)).strip(),
                kind=_TYPES.get(kind(device), "unknown"),
                free=free.value,
                total=total.value,
            )
        )
    return found


def _text(raw: bytes | None) -> str:
    return clean((raw or b"").decode("utf-8", errors="replace"))
