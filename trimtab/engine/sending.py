"""Sends a program with its request: what the worker holds already by hash, the rest once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence

from trimtab.engine import protocol
from trimtab.engine.connection import Call, Connection
from trimtab.engine.contract import Event
from trimtab.engine.program import AdapterFile, Array, Program
from trimtab.errors import EngineError, ProgramError

_TRIES = 3
_BATCH = 8 * 2**20
"""How many bytes of arrays go in one upload."""


async def offer(
    connection: Connection,
    program: Program,
    make: Callable[[int], protocol.ToWorker],
    *,
    on_event: Callable[[Event], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
    stoppable: bool = True,
) -> Call:
    """The request's call once the worker has taken it with its whole program, or has refused it."""
    for _ in range(_TRIES):
        await _supply(connection, program)
        call = connection.call(make, on_event=on_event, on_progress=on_progress, stoppable=stoppable)
        try:
            await call.begun.wait()
        except asyncio.CancelledError:
            connection.stop(call)
            raise
        missing = call.missing
        if missing is None:
            return call
        connection.held_arrays.difference_update(missing.arrays)
        connection.held_files.difference_update(missing.files)
    raise EngineError(
        "The steering program is larger than what the engine worker holds.", "Steer fewer values or layers."
    )


async def _supply(connection: Connection, program: Program) -> None:
    arrays = program.arrays()
    files = program.files()
    if connection.held_arrays.issuperset(arrays) and connection.held_files.issuperset(files):
        return
    # An upload once announced has to be finished, even if whoever wanted it has gone.
    task = asyncio.ensure_future(_upload(connection, arrays, files))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(task)


async def _upload(connection: Connection, arrays: dict[str, Array], files: dict[str, AdapterFile]) -> None:
    async with connection.uploading:
        absent = [array for digest, array in arrays.items() if digest not in connection.held_arrays]
        for batch in _batches(absent):
            await _upload_arrays(connection, batch)
            connection.held_arrays.update(array.digest for array in batch)
        for digest, file in files.items():
            if digest not in connection.held_files:
                await _upload_file(connection, file)
                connection.held_files.add(digest)


async def _upload_arrays(connection: Connection, arrays: Sequence[Array]) -> None:
    parts = tuple((array.digest, array.values.nbytes) for array in arrays)
    call = connection.call(lambda id: protocol.Upload(id, "array", parts), stoppable=False)
    content = b"".join(array.values.astype("<f4", copy=False).tobytes() for array in arrays)
    await connection.send_data(call, content)
    await connection.outcome(call)


async def _upload_file(connection: Connection, file: AdapterFile) -> None:
    try:
        if not file.path:
            raise FileNotFoundError("nobody knows where it lies")
        with await asyncio.to_thread(open, file.path, "rb") as source:
            left = size = os.fstat(source.fileno()).st_size
            call = connection.call(
                lambda id: protocol.Upload(id, "file", ((file.digest, size),)), stoppable=False
            )
            while left and not call.done:
                data = await asyncio.to_thread(source.read, min(left, protocol.MAX_PIECE))
                # A file that became shorter is filled up: its hash will tell.
                data = data or bytes(min(left, protocol.MAX_PIECE))
                await connection.send_data(call, data)
                left -= len(data)
    except OSError as error:
        raise ProgramError(
            f"The adapter's file {file.name} cannot be read: {error.strerror or error}.", "Choose it again."
        ) from error
    await connection.outcome(call)


def _batches(arrays: Sequence[Array]) -> Iterator[list[Array]]:
    batch: list[Array] = []
    size = 0
    for array in arrays:
        if batch and size + array.values.nbytes > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(array)
        size += array.values.nbytes
    if batch:
        yield batch
