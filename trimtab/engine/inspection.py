"""What the native libraries are and can do here, told as JSON by a process of their own.

Run as `python -P -m trimtab.engine.inspection llama|torch`, so that one which crashes, hangs or prints takes
nothing else down.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

import msgspec

from trimtab.errors import TrimtabError


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device to compute on, with its memory in bytes."""

    name: str
    kind: str
    memory: int


class LlamaState(msgspec.Struct, frozen=True, kw_only=True, tag="llama"):
    """llama.cpp as it is installed here, and what of this machine it may use."""

    pinned: str
    version: str = ""
    back_ends: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    can_offload: bool = False
    kernel: bool = False
    """Whether the compiled steering kernel is in use."""
    physical_cores: int = 0
    free_memory: int | None = None
    error: str = ""


class TorchState(msgspec.Struct, frozen=True, kw_only=True, tag="torch"):
    """PyTorch as it is installed here."""

    version: str = ""
    transformers: str = ""
    cuda_build: str = ""
    """The version of CUDA it was built for, if any."""
    device: str = ""
    error: str = ""


State = LlamaState | TorchState


def inspect_llama() -> LlamaState:
    from trimtab.engine.kernel import library
    from trimtab.engine.llama.check import system_info
    from trimtab.engine.llama.cores import physical_cores
    from trimtab.engine.llama.layout import PINNED
    from trimtab.engine.llama.memory import available

    state = LlamaState(
        pinned=PINNED, kernel=library() is not None, physical_cores=physical_cores(), free_memory=available()
    )
    try:
        found = system_info()
    except TrimtabError as error:
        return msgspec.structs.replace(state, error=str(error))
    return msgspec.structs.replace(
        state,
        version=found.version,
        back_ends=found.back_ends,
        devices=tuple(
            Device(name=device.description or device.name, kind=device.kind, memory=device.total)
            for device in found.devices
        ),
        can_offload=found.can_offload,
    )


def inspect_torch() -> TorchState:
    try:
        from trimtab.engine.torch.check import system_info

        found = system_info()
    except (ImportError, OSError, RuntimeError) as error:
        return TorchState(error=" ".join(str(error).split()))
    return TorchState(
        version=found.version,
        transformers=found.transformers,
        cuda_build=found.cuda,
        device=found.device,
    )


def main(which: Literal["llama", "torch"]) -> None:
    """Prints the state as the only thing on stdout."""
    out = os.dup(1)
    os.dup2(2, 1)
    state: State = inspect_llama() if which == "llama" else inspect_torch()
    os.write(out, msgspec.json.encode(state))


if __name__ == "__main__":
    main("torch" if sys.argv[1:] == ["torch"] else "llama")
