"""Opens llama.cpp's library, checks that it is the one relied on, and finds functions in it."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any

from trimtab.engine.llama.layout import PINNED, differences
from trimtab.engine.llama.log import NativeLog
from trimtab.errors import EngineError

_INSTALL = f"Install it with: pip install llama-cpp-python=={PINNED}"


@functools.cache
def open_library() -> Library:
    """The library, loaded and checked once in a process."""
    return Library()


class Library:
    """llama.cpp as llama-cpp-python's low-level binding gives it."""

    def __init__(self) -> None:
        try:
            import llama_cpp
            from llama_cpp import llama_cpp as binding
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            raise EngineError(f"llama.cpp cannot be loaded: {_one_line(error)}.", _INSTALL) from error
        if llama_cpp.__version__ != PINNED:
            raise EngineError(
                f"llama-cpp-python {llama_cpp.__version__} is not the version relied on.", _INSTALL
            )
        self.api: Any = binding
        self._handle: Any = binding._lib
        wrong = differences(binding, self._find)
        if wrong:
            raise EngineError(f"llama.cpp's library does not fit its binding: {wrong[0]}.", _INSTALL)
        self.log = NativeLog()
        # The library calls this for as long as the process lives, so it must live as long.
        self._receive = binding.llama_log_callback(lambda level, text, _: self.log.receive(level, text))
        self.listen()
        binding.llama_backend_init()

    def listen(self) -> None:
        """From now on llama.cpp's log comes here, whoever had it before, and `log.reason` speaks of what comes."""
        self.api.llama_log_set(self._receive, None)
        self.log.forget()

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        """A function of llama.cpp or ggml under types of our own, whatever the binding has set."""
        return ctypes.CFUNCTYPE(result, *arguments)(self.address(name))

    def address(self, name: str) -> int:
        found = self._find(name)
        if found is None:
            raise EngineError(f"llama.cpp's library has no {name}.", _INSTALL)
        return ctypes.cast(found, ctypes.c_void_p).value or 0

    def _find(self, name: str) -> Any:
        for handle in (self._handle, *self._companions()):
            try:
                return handle[name]
            except AttributeError:
                continue
        return None

    def _companions(self) -> list[Any]:
        """On Windows alone a handle does not reach into what its library depends on.

        Opening these by their path there gives the same copies; elsewhere it could map a second one.
        """
        if sys.platform == "win32":
            folder = Path(self._handle._name).parent
            return [ctypes.CDLL(str(path)) for path in sorted(folder.glob("*ggml*.dll"))]
        return []


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
