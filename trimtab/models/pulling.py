"""Fetches the files of a model: goes on where it was stopped, and keeps nothing whose hash is wrong."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from trimtab.engine.text import clean_line
from trimtab.errors import ModelError
from trimtab.models.hub import Offer, Remote, endpoint, told
from trimtab.models.places import own_folder
from trimtab.models.report import size

_PIECE = 1 << 20
_UNFINISHED = ".part"
OnProgress = Callable[[float, str], object]


def pull(offer: Offer, on_progress: OnProgress, root: Path | None = None) -> Path:
    """Where the model lies once all its files are here: the first GGUF file, or the folder."""
    folder = (root or own_folder()) / offer.repo
    tally = _Tally(offer, on_progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(offer, folder)
        for file in offer.files:
            _fetch(offer, file, folder / file.name, tally)
    except OSError as error:
        raise ModelError(
            f"{clean_line(str(folder))} cannot be written: {error.strerror or error}.",
            "Make room, or set TRIMTAB_HOME to another folder; what has come is kept.",
        ) from error
    models = [file.name for file in offer.files if file.name.endswith(".gguf")]
    return folder / models[0] if models else folder


class _Tally:
    """How far all files together are."""

    def __init__(self, offer: Offer, on_progress: OnProgress) -> None:
        self._whole = max(1, offer.size)
        self._tell = on_progress
        self._done = 0

    def add(self, count: int, what: str) -> None:
        self._done += count
        self._tell(min(1.0, max(0.0, self._done / self._whole)), what)


def _fetch(offer: Offer, file: Remote, path: Path, tally: _Tally) -> None:
    shown = clean_line(path.name)
    if path.is_file():
        if _is_right(path, file):
            tally.add(file.size, shown)
            return
        path.unlink()  # of another revision, or damaged
    path.parent.mkdir(parents=True, exist_ok=True)
    # The hash is in the name: what was begun of another revision is not gone on with.
    part = path.with_name(f".{path.name}.{(file.sha256 or file.blob)[:12]}{_UNFINISHED}")
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    _download(offer, file, part, tally)
    tally.add(0, f"checking {shown}")
    if not _is_right(part, file):
        part.unlink()
        raise ModelError(
            f"{shown} arrived damaged: its hash is not the one that {offer.repo} tells.",
            "It was thrown away: pull again.",
        )
    part.replace(path)


def _download(offer: Offer, file: Remote, part: Path, tally: _Tally) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # we have our own
    with told(offer.repo), part.open("ab") as out:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils._headers import build_hf_headers

        begun = out.tell()
        counted = _Counted(out, lambda count: tally.add(count, clean_line(file.name)))
        tally.add(begun, clean_line(file.name))
        if file.size == 0 or begun < file.size:
            http_get(
                hf_hub_url(offer.repo, file.name, revision=offer.commit, endpoint=endpoint()),
                cast(Any, counted),
                resume_size=begun,
                headers=build_hf_headers(),
                expected_size=file.size or None,
            )
        out.flush()
        os.fsync(out.fileno())


class _Counted:
    """A file that tells how much is written to it; rewound, it tells that less is there."""

    def __init__(self, file: IO[bytes], wrote: Callable[[int], object]) -> None:
        self._file = file
        self._wrote = wrote

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._wrote(written)
        return written

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def truncate(self, size: int | None = None) -> int:
        before = os.fstat(self._file.fileno()).st_size
        self._file.flush()
        left = self._file.truncate(size)
        self._wrote(left - max(before, left))
        return left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _is_right(path: Path, file: Remote) -> bool:
    """Whether this is the file: by its SHA-256, or by git's hash where the hub tells no other."""
    if file.size and path.stat().st_size != file.size:
        return False
    if file.sha256:
        return _digest(path, "sha256") == file.sha256
    if file.blob:
        return _digest(path, "sha1", b"blob %d\0" % path.stat().st_size) == file.blob
    raise ModelError(
        f"The hub tells no hash of {clean_line(path.name)}, so it cannot be checked.",
        "Pull from another repository.",
    )


def _digest(path: Path, kind: str, start: bytes = b"") -> str:
    # git's own hash is SHA-1; it guards against damage here, as the large files' SHA-256 does against malice.
    found = hashlib.new(kind, start, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def _check_room(offer: Offer, folder: Path) -> None:
    here = sum(
        path.stat().st_size
        for file in offer.files
        for path in (folder / file.name).parent.glob(f"*{Path(file.name).name}*")
        if path.is_file()
    )
    free = shutil.disk_usage(folder).free
    lacking = offer.size - here - free
    if lacking > 0:
        raise ModelError(
            f"{offer.repo} needs {size(offer.size - here)} more, and {size(free)} is free in "
            f"{clean_line(str(folder))}.",
            "Make room, choose a smaller quantisation, or set TRIMTAB_HOME to another disk.",
        )
