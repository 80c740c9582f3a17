"""What a worker holds for its client: steering arrays in memory, adapter files on disk, by content hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trimtab.engine.program import Adapter, Array, Classifier, Program, decode, place
from trimtab.engine.protocol import Upload
from trimtab.errors import EngineError, ProgramError, ProtocolError, TrimtabError

MAX_ARRAY = 64 * 2**20
MAX_ARRAYS = 2**30
MAX_FILES = 8 * 2**30
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Lacking:
    """What must be uploaded before a program can be read."""

    arrays: tuple[str, ...]
    files: tuple[str, ...]


class Store:
    """Bounded: what was not used for longest goes first. Files lie in a folder of its own within `place`."""

    def __init__(
        self, place: Path | None = None, *, max_arrays: int = MAX_ARRAYS, max_files: int = MAX_FILES
    ) -> None:
        self._within = place
        self._folder: Path | None = None
        self._max_arrays = max_arrays
        self._max_files = max_files
        self._arrays: OrderedDict[str, Array] = OrderedDict()
        self._array_bytes = 0
        self._files: OrderedDict[str, int] = OrderedDict()
        self._placed: dict[str, frozenset[str]] = {}
        """By adapter, the files its folder is made of."""

    def program(self, data: bytes) -> Program | Lacking:
        """The program in these bytes, its adapters' files placed on this machine."""
        lacking: dict[str, None] = {}
        width = next(iter(self._arrays.values())).width if self._arrays else 1

        def resolve(digest: str) -> Array:
            if digest in self._arrays:
                self._arrays.move_to_end(digest)
                return self._arrays[digest]
            lacking[digest] = None
            return Array(np.ones(width))

        try:
            program = decode(data, resolve)
        except ProgramError:
            # With a stand-in for what is lacking a good program may look wrong; the next try will tell.
            if not lacking:
                raise
            return Lacking(tuple(lacking), ())
        absent = program.files().keys() - self._files.keys()
        if lacking or absent:
            return Lacking(tuple(lacking), tuple(sorted(absent)))
        return place(program, self._place) if program.files() else program

    def receive(self, upload: Upload) -> Incoming:
        """Takes the contents that the message announces."""
        return Incoming(upload, self._array_part if upload.kind == "array" else self._file_part)

    def add_array(self, array: Array) -> None:
        if array.digest not in self._arrays:
            self._arrays[array.digest] = array
            self._array_bytes += array.values.nbytes
        while self._array_bytes > self._max_arrays and len(self._arrays) > 1:
            _, old = self._arrays.popitem(last=False)
            self._array_bytes -= old.values.nbytes

    def close(self) -> None:
        """Removes the files it holds, and nothing else."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _array_part(self, digest: str, size: int) -> Part:
        if size > MAX_ARRAY or size % 4 or not size:
            raise ProgramError(f"A steering vector of {size} bytes cannot be.")
        return ArrayPart(self, digest)

    def _file_part(self, digest: str, size: int) -> Part:
        if size > self._max_files:
            raise ProgramError(f"An adapter's file of {size / 2**30:.1f} GB is more than the worker holds.")
        return FilePart(self, digest, self._own_folder() / f"incoming-{digest}")

    def keep_file(self, digest: str, path: Path) -> None:
        """Takes over a complete file."""
        size = path.stat().st_size
        path.replace(self._own_folder() / digest)
        self._files[digest] = size
        self._files.move_to_end(digest)
        while sum(self._files.values()) > self._max_files and len(self._files) > 1:
            self._drop(next(iter(self._files)))

    def _drop(self, digest: str) -> None:
        del self._files[digest]
        (self._own_folder() / digest).unlink(missing_ok=True)
        for adapter in [key for key, files in self._placed.items() if digest in files]:
            del self._placed[adapter]
            shutil.rmtree(self._own_folder() / "adapters" / adapter, ignore_errors=True)

    def _place(self, adapter: Adapter | Classifier) -> dict[str, str]:
        """Where its files lie together in one folder under their own names, as peft wants them, by hash."""
        folder = self._own_folder() / "adapters" / adapter.digest
        folder.mkdir(parents=True, exist_ok=True)
        placed = {}
        for file in adapter.files:
            self._files.move_to_end(file.digest)
            path = folder / file.name
            if not path.exists():
                _link(self._own_folder() / file.digest, path)
            placed[file.digest] = str(path)
        self._placed[adapter.digest] = frozenset(file.digest for file in adapter.files)
        return placed

    def _own_folder(self) -> Path:
        if self._folder is None:
            if self._within is not None:
                self._within.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="trimtab-", dir=self._within))
        return self._folder


class Part:
    """One content on its way in."""

    def __init__(self, store: Store, digest: str) -> None:
        self.store = store
        self.digest = digest

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Checks the content against its hash and keeps it."""
        raise NotImplementedError

    def abandon(self) -> None:
        pass


class ArrayPart(Part):
    def __init__(self, store: Store, digest: str) -> None:
        super().__init__(store, digest)
        self._content = bytearray()

    def write(self, data: bytes) -> None:
        self._content += data

    def finish(self) -> None:
        self.store.add_array(Array(np.frombuffer(self._content, dtype="<f4"), digest=self.digest))


class FilePart(Part):
    def __init__(self, store: Store, digest: str, path: Path) -> None:
        super().__init__(store, digest)
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    def finish(self) -> None:
        self._file.close()
        found = self._hash.hexdigest()
        if found != self.digest:
            raise ProgramError(
                f"An adapter's file announced as {self.digest[:12]} hashes to {found[:12]}.",
                "It was changed since it was chosen: choose it again.",
            )
        self.store.keep_file(self.digest, self._path)

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
            self._path.unlink(missing_ok=True)


class Incoming:
    """Sorts the data of one upload into its parts; after an error it lets the rest pass unread."""

    def __init__(self, upload: Upload, make: Callable[[str, int], Part]) -> None:
        for digest, size in upload.parts:
            if len(digest) != 64 or not _HEX.issuperset(digest) or size < 0:
                raise ProtocolError("An upload announces something that is no content.")
        self._make = make
        self._todo = list(reversed(upload.parts))
        self._left = sum(size for _, size in upload.parts)
        self._part: Part | None = None
        self._room = 0
        self.error: TrimtabError | None = None
        self._advance(b"")

    @property
    def complete(self) -> bool:
        return self._left == 0

    def write(self, data: bytes) -> None:
        if len(data) > self._left:
            raise ProtocolError("An upload is longer than it said.")
        self._left -= len(data)
        self._advance(data)

    def _advance(self, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            self._fill(memoryview(data))
        except TrimtabError as error:
            self._fail(error)
        except OSError as error:
            self._fail(
                EngineError(f"An adapter's file could not be stored: {error.strerror}.", "Make room there.")
            )
        except ValueError as error:
            self._fail(ProgramError(f"An upload cannot be read: {error}."))

    def _fill(self, data: memoryview) -> None:
        while True:
            if self._part is None:
                if not self._todo:
                    return
                digest, self._room = self._todo.pop()
                self._part = self._make(digest, self._room)
            piece, data = data[: self._room], data[self._room :]
            self._part.write(bytes(piece))
            self._room -= len(piece)
            if self._room:
                return
            self._part.finish()
            self._part = None

    def _fail(self, error: TrimtabError) -> None:
        self.error = error
        if self._part is not None:
            self._part.abandon()
            self._part = None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
