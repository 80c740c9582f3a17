"""What this build of PyTorch can do on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import torch


@dataclass(frozen=True)
class SystemInfo:
    """For `doctor`: the versions, and what models would run on."""

    version: str
    transformers: str
    cuda: str
    """The version of CUDA that it was built for, or empty."""
    device: str


def system_info() -> SystemInfo:
    found = torch.cuda.is_available()
    return SystemInfo(
        version=str(torch.__version__),
        transformers=version("transformers"),
        cuda=torch.version.cuda or "",
        device=torch.cuda.get_device_name(0) if found else "cpu",
    )
