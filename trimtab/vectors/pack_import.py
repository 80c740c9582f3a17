"""What `import` takes: packs, archives of packs, and what other programs wrote, told apart by their content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trimtab.engine.gguf_file import read_gguf
from trimtab.engine.identity import ModelIdentity
from trimtab.engine.text import clean_line
from trimtab.errors import ModelError
from trimtab.vectors.importers.bringing import import_bytes
from trimtab.vectors.importers.pickles import refuse_pickle
from trimtab.vectors.importers.request import Format, ImportRequest
from trimtab.vectors.pack import BaseModel, Pack
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_fields import LIMITS
from trimtab.vectors.pack_files import read_bounded
from trimtab.vectors.pack_fit import check_fit
from trimtab.vectors.pack_gguf import is_as_written
from trimtab.vectors.pack_reading import from_bytes, is_pack
from trimtab.vectors.pack_writing import MAX_BYTES
from trimtab.vectors.trimpack import SUFFIX, read_trimpack


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the user says about the file."""

    model: ModelIdentity | None = None
    date: str = ""
    tool: str = ""
    format: Format | None = None
    value: str = ""
    author: str = ""
    licence: str = ""
    debias: Path | None = None
    layers: tuple[int, ...] | None = None
    anyway: bool = False


@dataclass(frozen=True)
class Brought:
    """A pack that was imported, under which name, and what is to be said about it."""

    name: str
    pack: Pack
    remarks: tuple[str, ...] = ()


def bring(path: Path, options: ImportOptions) -> Iterator[Brought]:
    """Every pack in the file, or the one made of its vectors."""
    start = _start(path)
    if start == b"PK\3\4" and path.suffix == SUFFIX:
        yield from _archive(path, options)
        return
    data = read_bounded(path, MAX_BYTES)
    if not _is_own(data, path.name):
        yield _foreign(data, path, options)
        return
    name = clean_line(path.name)
    pack = from_bytes(data, name)
    remarks = (f"{name} was changed after it was written.",) if is_as_written(data) is False else ()
    yield _fitted(options.value or pack.value, pack, options, remarks)


def _start(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(4)
    except (OSError, ValueError):
        return b""  # whoever reads it next says what is wrong


def _archive(path: Path, options: ImportOptions) -> Iterator[Brought]:
    with path.open("rb") as file:
        refuse_pickle(path, file.read(256))
    if options.value:
        raise PackError("An archive's packs have names of their own.", "Leave --as out.")
    for name, pack in read_trimpack(path):
        yield _fitted(name, pack, options, ())


def _foreign(data: bytes, path: Path, options: ImportOptions) -> Brought:
    refuse_pickle(path, data)
    if options.model is None:
        raise PackError(
            f"{clean_line(path.name)} does not say which model it was made for.",
            "Say which with --model FILE: its size is then checked, and the pack is kept with that model's.",
        )
    request = ImportRequest(
        path=path,
        model=options.model,
        date=options.date,
        tool=options.tool,
        format=options.format,
        value=options.value,
        author=options.author,
        licence=options.licence,
        debias=options.debias,
        layers=options.layers,
        anyway=options.anyway,
    )
    pack = import_bytes(data, request)
    return Brought(pack.value, pack, pack.warnings)


def _is_own(data: bytes, name: str) -> bool:
    if data[:4] != b"GGUF":
        return False
    try:
        with read_gguf(data, clean_line(name), LIMITS) as file:
            return is_pack(file)
    except ModelError as error:
        raise PackError(error.what, "Get the file again.") from error


def _fitted(name: str, pack: Pack, options: ImportOptions, remarks: tuple[str, ...]) -> Brought:
    """The pack for the model asked for: its own, or another one's at the user's word."""
    foreign = (options.format, options.debias, options.layers)
    if any(option is not None for option in foreign):
        raise PackError(
            f"{name} is a pack of Trimtab's already.", "Leave out --format, --debias and --layers."
        )
    if options.model is None:
        return Brought(name, pack, remarks)
    remarks += check_fit(pack, options.model, anyway=options.anyway)
    if pack.model.fingerprint != options.model.fingerprint:
        model = BaseModel.of(options.model, engine=pack.model.engine)
        pack = msgspec.structs.replace(pack, model=model, warnings=(*pack.warnings, *remarks)[-50:])
    return Brought(name, pack, remarks)
