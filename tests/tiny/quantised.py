"""Quantised copies of a GGUF model, by llama.cpp's own quantiser."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal

Kind = Literal["f16", "Q8_0", "Q4_K"]


def quantise(path: Path, kind: Kind) -> Path:
    """Beside the original, made once. Q4_K needs rows of 256 or a multiple: `make(..., width=256)`."""
    import llama_cpp

    from tests.tiny.bare import silence

    target = path.with_name(f"{path.stem}-{kind}.gguf")
    if target.exists():
        return target
    file_types = {
        "f16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
        "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
        "Q4_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    }
    silence()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_types[kind]
    parameters.nthread = 1
    unfinished = target.with_suffix(".part")
    status = llama_cpp.llama_model_quantize(
        str(path).encode(), str(unfinished).encode(), ctypes.byref(parameters)
    )
    if status != 0:
        raise ValueError(f"llama.cpp cannot quantise {path} to {kind}.")
    unfinished.rename(target)
    return target
