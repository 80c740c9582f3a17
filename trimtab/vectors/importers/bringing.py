"""Makes a pack of a file that another program wrote."""

from __future__ import annotations

import hashlib
import re

from trimtab.engine.program import Array
from trimtab.engine.text import clean_line
from trimtab.vectors.importers.control_vector import read_control_vector
from trimtab.vectors.importers.foreign import Foreign, check_model
from trimtab.vectors.importers.pickles import refuse_pickle
from trimtab.vectors.importers.request import ImportRequest
from trimtab.vectors.importers.svec import read_svec
from trimtab.vectors.pack import BaseModel, Layer, Pack, Provenance
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_files import read_bounded
from trimtab.vectors.pack_writing import MAX_BYTES


def import_vectors(request: ImportRequest) -> Pack:
    """A pack of the file's vectors, as the program that made them would add them at strength 1."""
    data = read_bounded(request.path, MAX_BYTES)
    return import_bytes(data, request)


def import_bytes(data: bytes, request: ImportRequest) -> Pack:
    """The same of a file's content; `request.path` names it."""
    shown = request.shown
    found = _read(data, request)
    warnings = (*found.warnings, *check_model(shown, found, request))
    numbers = sorted(found.vectors.keys() | found.offsets.keys())
    good = tuple(numbers) if request.layers is None else _chosen(request.layers, numbers, shown)
    return Pack(
        value=request.value or _id(request.path.stem),
        name=request.value or clean_line(request.path.stem)[:200],
        method="imported",
        model=BaseModel.of(request.model),
        derived_at=found.derived_at,
        applied_at=found.applied_at,
        layers=tuple(
            Layer(
                number=number,
                added=Array(found.vectors[number]) if number in found.vectors else None,
                offset=Array(found.offsets[number]) if number in found.offsets else None,
            )
            for number in numbers
        ),
        good=good,
        warnings=tuple(warning[:1000] for warning in warnings),
        provenance=Provenance(
            tool=request.tool,
            date=request.date,
            author=request.author,
            licence=request.licence,
            source_format=found.format,
            source_file=shown[:200],
            source_hash=hashlib.sha256(data).hexdigest(),
        ),
    )


def _read(data: bytes, request: ImportRequest) -> Foreign:
    refuse_pickle(request.path, data)
    name = request.shown
    is_gguf = data[:4] == b"GGUF"
    if request.format is not None and is_gguf == (request.format == "cast"):
        raise PackError(
            f"{name} is no file of {request.format}.", "Leave --format out, or name the right one."
        )
    if is_gguf:
        return read_control_vector(data, request)
    if data.lstrip()[:1] == b"{":
        return read_svec(data, request)
    raise PackError(
        f"{name} is of no kind that can be imported.",
        "Give a pack, a .trimpack, a control vector in GGUF, or CAST's .svec.",
    )


def _chosen(wanted: tuple[int, ...], known: list[int], name: str) -> tuple[int, ...]:
    lacking = sorted(set(wanted) - set(known))
    if lacking or not wanted:
        what = f"layer {lacking[0]}" if lacking else "no layer at all"
        raise PackError(
            f"{what.capitalize()} was asked for; {name} holds vectors for {known[0]} to {known[-1]}.",
            "Choose among those.",
        )
    return tuple(sorted(set(wanted)))


def _id(stem: str) -> str:
    """`llama-3:8b-language__ornate` becomes `llama-3-8b-language-ornate`."""
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:64].strip("-") or "imported"
