"""Starting a worker process, telling how it ended, and making sure that it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from trimtab.engine import logs, platforms
from trimtab.errors import WorkerDied

POLITE = 2.0
"""Seconds a worker gets to end by itself, longer than it takes to give up on a request."""
TERMINATE = 1.0
"""Seconds it then gets to end when told to."""
_PIPE = 2**20


class WorkerProcess:
    """A worker on this machine, or whatever command line speaks for one."""

    def __init__(
        self, process: asyncio.subprocess.Process, *, wrapped: bool, log: Path | None, files: Path | None
    ) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.pid = process.pid
        self.wrapped = wrapped
        self.log = log
        self._process = process
        self._captured = bytearray()
        self._memory_kills = platforms.out_of_memory_kills()
        self._files = files
        self._ended_here = False
        self._drain = asyncio.create_task(self._capture(process.stderr)) if process.stderr else None
        self._at_exit = weakref.finalize(self, _abandon, process.pid, files)

    @classmethod
    async def start(
        cls, command: Sequence[str] | None, *, log_dir: str | Path | None = None, engine: str | None = None
    ) -> Self:
        """The worker of this installation, with a log of its own; or the given command line."""
        if command is not None:
            process = await _spawn(command, asyncio.subprocess.PIPE)
            return cls(process, wrapped=True, log=None, files=None)
        log = logs.new_log(log_dir)
        files = Path(tempfile.mkdtemp(prefix="trimtab-"))
        own = [sys.executable, "-P", "-m", "trimtab.engine.worker", "--log", str(log), "--files", str(files)]
        if engine is not None:
            own += ["--engine", engine]
        stderr = logs.open_log(log)
        try:
            process = await _spawn(own, stderr)
        except WorkerDied:
            shutil.rmtree(files, ignore_errors=True)
            raise
        finally:
            os.close(stderr)
        return cls(process, wrapped=False, log=log, files=files)

    @property
    def clean(self) -> bool:
        """It ended without an error of its own."""
        return self._ended_here or self._process.returncode == 0

    @property
    def tail(self) -> str:
        """The last lines that the worker wrote outside the protocol."""
        return logs.tail(self.log) if self.log is not None else logs.last_lines(bytes(self._captured))

    async def ended(self, timeout: float) -> bool:
        """Waits for the process to be gone."""
        try:
            await asyncio.wait_for(self._process.wait(), timeout)
        except TimeoutError:
            return False
        await self._settle()
        return True

    def died(self) -> WorkerDied:
        """What became of it, once it has ended."""
        status = None if self._ended_here else self._process.returncode
        memory = platforms.out_of_memory_kills() > self._memory_kills
        what, hint = platforms.describe_exit(status, wrapped=self.wrapped, memory_kill=memory)
        return WorkerDied(f"The engine worker {what}.", hint, self.tail)

    async def end(self, *, polite: bool) -> None:
        """Sees to it that no process is left; politely, it may first finish what it does."""
        with contextlib.suppress(OSError, RuntimeError):
            self.stdin.close()
        if polite and await self.ended(POLITE):
            return
        for force in (False, True):
            if force or polite:
                self.kill(force=force)
                if await self.ended(TERMINATE if not force else 5.0):
                    return

    def kill(self, *, force: bool = True) -> None:
        if self._process.returncode is None:
            self._ended_here = True
            platforms.end_group(self.pid, force=force)

    async def _settle(self) -> None:
        """Takes in its last words and removes what it may have left behind."""
        if self._drain is not None:
            await asyncio.wait({self._drain}, timeout=1.0)
            self._drain.cancel()
        self._at_exit.detach()
        if self._files is not None:
            shutil.rmtree(self._files, ignore_errors=True)
        with contextlib.suppress(OSError, RuntimeError):
            self.stdin.close()

    async def _capture(self, stderr: asyncio.StreamReader) -> None:
        while data := await stderr.read(65536):
            self._captured += data
            del self._captured[: -logs.TAIL_BYTES]


async def _spawn(command: Sequence[str], stderr: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=_PIPE,
            **platforms.spawn_options(),
        )
    except (OSError, ValueError) as error:
        raise WorkerDied(
            f"The engine worker could not be started: {error}.", "Check the command that starts it."
        ) from error


def _abandon(pid: int, files: Path | None) -> None:
    """For a worker whose client went away without ending it."""
    platforms.end_group(pid, force=True)
    if files is not None:
        shutil.rmtree(files, ignore_errors=True)
