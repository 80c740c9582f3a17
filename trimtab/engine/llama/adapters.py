"""LoRA adapters in GGUF format: loaded once, put on and taken off as plans ask."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.engine.gguf_file import open_gguf
from trimtab.engine.llama.native import Native
from trimtab.engine.program import Adapter
from trimtab.errors import ModelError, ProgramError

_CONVERT = "Convert it with llama.cpp's convert_lora_to_gguf.py."


class Adapters:
    """The adapters of one model, kept by the hash of their file until the model goes."""

    def __init__(self, native: Native, architecture: str) -> None:
        self._native = native
        self._architecture = architecture
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        function = native.library.function
        self._init: Any = function("llama_adapter_lora_init", pointer, pointer, ctypes.c_char_p)
        self._free: Any = function("llama_adapter_lora_free", None, pointer)
        self._set: Any = function("llama_set_adapters_lora", ctypes.c_int32, pointer, pointer, size, pointer)
        self._loaded: dict[str, int] = {}
        self._on: dict[str, float] = {}

    def use(self, adapters: Sequence[Adapter]) -> None:
        """Puts on exactly these; none takes all off."""
        wanted: dict[str, float] = {}
        for adapter in adapters:
            digest = adapter.files[0].digest
            self._load(adapter)
            wanted[digest] = wanted.get(digest, 0.0) + adapter.scale
        if wanted != self._on:
            self._put_on(wanted)

    def close(self) -> None:
        """To be called before the model is freed."""
        for handle in self._loaded.values():
            self._free(handle)
        self._loaded.clear()
        self._on = {}

    def _put_on(self, wanted: dict[str, float]) -> None:
        handles = (ctypes.c_void_p * len(wanted))(*(self._loaded[digest] for digest in wanted))
        scales = (ctypes.c_float * len(wanted))(*wanted.values())
        code = self._set(self._native.context, handles, len(wanted), scales)
        if code != 0:
            raise ProgramError("The adapters could not be put on.", "Use them one at a time.")
        self._on = wanted

    def _load(self, adapter: Adapter) -> None:
        file = adapter.files[0]
        if file.digest in self._loaded:
            return
        path = Path(file.path)
        if not file.path or not path.is_file():
            raise ProgramError(f"The file of {adapter.title} is gone: {file.name}.", "Import it again.")
        with path.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != file.digest:
                raise ProgramError(f"{path} has changed since it was added.", "Add it to the steering again.")
        self._check(path)
        self._native.library.listen()
        handle: int | None = self._init(self._native.model, str(path).encode())
        if not handle:
            reason = self._native.library.log.reason() or "no reason was given"
            raise ProgramError(
                f"{path} cannot be used on this model: {reason}.", "It was made for another model."
            )
        self._loaded[file.digest] = handle

    def _check(self, path: Path) -> None:
        try:
            with open_gguf(path) as file:
                if file.text("general.type") != "adapter" or file.text("adapter.type") != "lora":
                    raise ProgramError(f"{path} is no LoRA adapter.", _CONVERT)
                if file.architecture != self._architecture:
                    raise ProgramError(
                        f"{path} is an adapter for {file.architecture or 'an unnamed'} models, "
                        f"and this one is {self._architecture}.",
                        "Choose an adapter made for this model.",
                    )
        except ModelError as error:
            raise ProgramError(error.what, error.hint) from error


def unsupported(adapters: Sequence[Adapter]) -> str | None:
    """Which of them this engine cannot use, by name."""
    for adapter in adapters:
        if len(adapter.files) != 1 or not adapter.files[0].name.endswith(".gguf"):
            return f"{adapter.title} is a peft folder; llama.cpp takes GGUF adapters. {_CONVERT}"
    return None
