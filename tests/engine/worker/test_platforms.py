"""How a worker ended is told in words that fit."""

from __future__ import annotations

import pytest

from trimtab.engine.platforms import OUT_OF_MEMORY, describe_exit


@pytest.mark.parametrize(
    ("status", "wrapped", "memory", "what"),
    [
        (-11, False, False, "crashed (SIGSEGV)"),
        (139, True, False, "crashed (SIGSEGV)"),
        (139, False, False, "ended by itself (exit status 139)"),
        (-9, False, False, "was killed (SIGKILL)"),
        (-9, False, True, "ran out of memory"),
        (137, True, True, "ran out of memory"),
        (OUT_OF_MEMORY, False, False, "ran out of memory"),
        (255, True, False, "could not be reached (exit status 255)"),
        (127, True, False, "could not be started (exit status 127)"),
        (0, False, False, "ended by itself (exit status 0)"),
        (None, False, False, "lost its connection"),
        (-64, False, False, "crashed (SIGRTMAX)"),
    ],
)
def test_an_exit_is_described(status: int | None, wrapped: bool, memory: bool, what: str) -> None:
    found, hint = describe_exit(status, wrapped=wrapped, memory_kill=memory)
    assert found == what
    assert hint
