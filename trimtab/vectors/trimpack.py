"""Several packs in one file: a zip archive with a manifest that tells the hash and size of each member."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from trimtab.engine.text import clean_line
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_reading import from_bytes
from trimtab.vectors.pack_writing import MAX_BYTES, to_bytes
from trimtab.vectors.trimpack_zip import Archive, Bounds

SUFFIX = ".trimpack"
VERSION = 1
MANIFEST = "manifest.json"
_BOUNDS = Bounds(members=257, member=MAX_BYTES, total=1 << 30, ratio=16)
_MAX_MANIFEST = 1 << 17
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Of every member, so that equal packs give equal archives."""


class _Version(msgspec.Struct):
    trimpack: int


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: int
    sha256: str


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    trimpack: int
    members: list[_Listed]


def write_trimpack(packs: Mapping[str, Pack]) -> bytes:
    """The archive's content, by the names that the packs shall have; equal packs give equal bytes."""
    if not packs:
        raise PackError("There is no pack to put into an archive.", "Name one.")
    contents = {f"{name}.gguf": to_bytes(packs[name]) for name in sorted(packs)}
    listed = [
        _Listed(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    ]
    manifest = msgspec.json.format(msgspec.json.encode(_Manifest(trimpack=VERSION, members=listed)), indent=1)
    out = io.BytesIO()
    # Stored: vectors hardly shrink, and what a compressor makes of them depends on its version.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {MANIFEST: manifest, **contents}.items():
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return out.getvalue()


def read_trimpack(path: Path) -> Iterator[tuple[str, Pack]]:
    """Each pack with its name, one after the other, every byte of it as the manifest says."""
    with _opened(path) as file:
        yield from packs_in(file, path.name)


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The packs' files instead."""
    with _opened(path) as file:
        yield from _members(file, clean_line(path.name))


def packs_in(file: BinaryIO, name: str) -> Iterator[tuple[str, Pack]]:
    """The packs of an archive that is open."""
    shown = clean_line(name)
    for member, content in _members(file, shown):
        yield member, from_bytes(content, f"{member}.gguf in {shown}")


def _members(file: BinaryIO, shown: str) -> Iterator[tuple[str, bytes]]:
    archive = Archive(file, shown, _BOUNDS)
    for listed in _manifest(archive, shown):
        content = archive.read(listed.name)
        if len(content) != listed.size or hashlib.sha256(content).hexdigest() != listed.sha256:
            raise PackError(
                f"{listed.name} in {shown} is not what the manifest says.", "Get the archive again."
            )
        yield listed.name.removesuffix(".gguf"), content


def _manifest(archive: Archive, shown: str) -> list[_Listed]:
    found = archive.members.get(MANIFEST)
    if found is None or found.size > _MAX_MANIFEST:
        raise PackError(f"{shown} is no archive of packs: its manifest is missing.", "Choose another file.")
    data = archive.read(MANIFEST)
    try:
        version = msgspec.json.decode(data, type=_Version).trimpack
        if version > VERSION:
            raise PackError(
                f"{shown} was written by a newer Trimtab: it is an archive of version {version}, and {VERSION} is the "
                "latest known here.",
                "Update Trimtab.",
            )
        manifest = msgspec.json.decode(data, type=_Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise PackError(
            f"{shown} is damaged: its manifest cannot be read.", "Get the archive again."
        ) from error
    if version < 1:
        raise PackError(f"{shown}: there is no version {version} of archives.", "Get the archive again.")
    names = [listed.name for listed in manifest.members]
    if sorted(names) != sorted(archive.members.keys() - {MANIFEST}):
        raise PackError(f"{shown} does not hold what its manifest lists.", "Get the archive again.")
    if not names:
        raise PackError(f"{shown} holds no pack.", "Choose another file.")
    strange = next((name for name in names if not name.endswith(".gguf")), None)
    if strange is not None:
        raise PackError(f"{shown} holds {strange}, which is no pack.", "Get the archive again.")
    return manifest.members


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    shown = clean_line(str(path))
    try:
        if path.exists() and not path.is_file():
            raise PackError(f"{shown} is no regular file.", "Give a file.")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise PackError(f"There is no file {shown}.", "Check the path.") from None
    except OSError as error:
        why = clean_line(error.strerror or str(error))
        raise PackError(f"{shown} cannot be read: {why}.", "Check its permissions.") from error
