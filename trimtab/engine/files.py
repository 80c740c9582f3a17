"""Files that a program needs, known by the hash of their content: adapters, and classifiers that gates ask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from trimtab.engine.parts import Part, clean_name
from trimtab.errors import ProgramError

_CLASSIFIER = (".json", ".safetensors", ".txt", ".model")


class AdapterFile(Part, frozen=True, kw_only=True):
    """One file of an adapter, known by the hash of its content."""

    name: str
    digest: str
    path: str = ""
    """Where it lies on this machine; no part of its identity, and empty on the wire."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            not self.name
            or "\0" in self.name
            or self.name != Path(self.name).name
            or self.name in (".", "..")
        ):
            raise ProgramError(f"An adapter's file has an unsafe name: {self.name!r}.")
        if len(self.digest) != 64 or set(self.digest) - set("0123456789abcdef"):
            raise ProgramError(f"An adapter's file has a digest that is no SHA-256: {self.digest!r}.")

    def anonymous(self) -> AdapterFile:
        return msgspec.structs.replace(self, path="") if self.path else self


class Classifier(Part, frozen=True, kw_only=True):
    """A text classifier in a folder of safetensors, and which of its labels says that a message is related.

    Empty or unknown to it, a label means its only positive one; `security` means all that begin with it.
    """

    files: tuple[AdapterFile, ...]
    label: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        clean_name(self, "label")
        if not self.files or len({file.name for file in self.files}) != len(self.files):
            raise ProgramError("A classifier needs files, each name once.")

    @property
    def digest(self) -> str:
        """The identity of its content, whatever the label."""
        return digest_of(self.files)

    def anonymous(self) -> Self:
        return msgspec.structs.replace(self, files=tuple(file.anonymous() for file in self.files))

    @classmethod
    def load(cls, path: str | Path, label: str = "") -> Classifier:
        """The classifier in a folder, hashed."""
        return cls(files=classifier_files(Path(path)), label=label)


def adapter_files(path: Path) -> tuple[AdapterFile, ...]:
    """The files of an adapter at `path`, a GGUF file or a peft folder, with their hashes."""
    if path.is_dir():
        names = ["adapter_config.json", "adapter_model.safetensors"]
        for name in names:
            if not (path / name).is_file():
                raise ProgramError(
                    f"{path} holds no {name}.", "A peft adapter is a folder with both; pickles are refused."
                )
        paths = [path / name for name in names]
    elif path.is_file():
        if path.suffix != ".gguf":
            raise ProgramError(f"{path} is no adapter.", "Give a .gguf file or a peft folder.")
        paths = [path]
    else:
        raise ProgramError(f"There is no adapter at {path}.", "Check the path.")
    return tuple(
        AdapterFile(name=file.name, digest=_digest(file), path=str(file.resolve())) for file in paths
    )


def classifier_files(folder: Path) -> tuple[AdapterFile, ...]:
    """What a classifier is made of: settings, words and safetensors; pickles and code are left where they are."""
    if not folder.is_dir():
        raise ProgramError(f"There is no folder {folder}.", "Give the folder of a sequence classifier.")
    paths = sorted(path for path in folder.iterdir() if path.suffix in _CLASSIFIER and path.is_file())
    names = {path.name for path in paths}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise ProgramError(
            f"{folder} holds no classifier: config.json or a .safetensors file is missing.",
            "Pickles are refused: get a version in safetensors.",
        )
    return tuple(
        AdapterFile(name=file.name, digest=_digest(file), path=str(file.resolve())) for file in paths
    )


def digest_of(files: Sequence[AdapterFile]) -> str:
    return hashlib.sha256(b"".join(file.digest.encode() for file in files)).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
