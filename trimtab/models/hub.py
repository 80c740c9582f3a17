"""What a repository of models offers: which files make a model, how large they are, and their hashes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from trimtab.engine.text import clean_line
from trimtab.errors import MissingExtra, ModelError

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_USUAL = ("Q4_K_M", "Q8_0", "Q4_0")
"""Taken when nobody says which, in this order."""
_BESIDE = (".json", ".jinja", ".txt", ".model")
"""What belongs to a folder of safetensors; pickles and code are never fetched."""
_MOST_BESIDE = 256 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """What the user asked for: `owner/name`, with a quantisation or a file after a colon, at a revision."""

    repo: str
    which: str = ""
    revision: str = "main"

    @classmethod
    def parse(cls, text: str, revision: str = "") -> Wanted:
        repo, _, which = text.strip().partition(":")
        parts = repo.split("/")
        if len(parts) > 2 and not which:  # owner/name/file.gguf
            repo, which = "/".join(parts[:2]), "/".join(parts[2:])
        if not _REPO.fullmatch(repo):
            raise ModelError(
                f"{clean_line(text)!r} names no repository.",
                "Write it so: owner/name, owner/name:Q4_K_M, or owner/name:file.gguf",
            )
        return cls(repo, which, revision or "main")


@dataclass(frozen=True)
class Remote:
    """One file to fetch."""

    name: str
    size: int
    sha256: str
    """Of large files; empty where only `blob` is told."""
    blob: str
    """git's hash of small ones."""


@dataclass(frozen=True)
class Offer:
    """The files that make one model, all of one revision."""

    repo: str
    commit: str
    files: tuple[Remote, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def look_up(wanted: Wanted) -> Offer:
    """Asks the hub what there is and chooses what makes a model."""
    with told(wanted.repo):
        from huggingface_hub import HfApi

        found = HfApi(endpoint=endpoint()).model_info(
            wanted.repo, revision=wanted.revision, files_metadata=True
        )
        files = [
            Remote(
                name=each.rfilename,
                size=each.size or 0,
                sha256=_hash(each.lfs.sha256 if each.lfs else ""),
                blob=each.blob_id or "",
            )
            for each in found.siblings or []
        ]
    return Offer(wanted.repo, found.sha or wanted.revision, tuple(choose(files, wanted)))


def endpoint() -> str | None:
    """The hub that HF_ENDPOINT names, or None for the usual one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def choose(files: Sequence[Remote], wanted: Wanted) -> list[Remote]:
    """The GGUF file asked for, or the usual one with all its parts; without any, the folder of safetensors."""
    for file in files:
        path = PurePosixPath(file.name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in file.name
            or file.name != clean_line(file.name)
        ):
            raise ModelError(f"{wanted.repo} holds a file with an unsafe name.", "Choose another repository.")
    models = _models(files)
    if models:
        return _chosen(models, wanted)
    if wanted.which:
        raise ModelError(
            f"{wanted.repo} holds no GGUF files to choose from.", "Leave out what follows the colon."
        )
    weights = [file for file in files if file.name.endswith(".safetensors") and "/" not in file.name]
    if not weights:
        pickled = any(file.name.endswith((".bin", ".pt", ".pth")) for file in files)
        raise ModelError(
            f"{wanted.repo} holds no model in GGUF or safetensors"
            f"{', only pickles, which may run code and are refused' if pickled else ''}.",
            "Choose another repository of the model.",
        )
    beside = [
        file
        for file in files
        if file.name.endswith(_BESIDE) and "/" not in file.name and file.size <= _MOST_BESIDE
    ]
    return sorted(beside, key=lambda file: file.name) + sorted(weights, key=lambda file: file.name)


@contextmanager
def told(repo: str) -> Iterator[None]:
    """Says in our words what can go wrong between here and the hub."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise MissingExtra(
            "Models are fetched through huggingface_hub, which is not installed.",
            "Install it with: pip install huggingface_hub",
        ) from error
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repo} wants its terms accepted.", "Accept them on its page, then log in: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"There is no repository {repo}, or it is private.", "Check the name, or log in: hf auth login"
        ) from error
    except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise ModelError(f"{repo} does not hold that revision or file.", "Check the name.") from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelError("Downloads are switched off.", "Unset HF_HUB_OFFLINE.") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        raise ModelError(
            f"The hub refused to send {repo} (status {status}).", "Try again later; what has come is kept."
        ) from error
    except Exception as error:
        # The library that it sends requests with has changed before: its errors are known by their module.
        if type(error).__module__.partition(".")[0] not in (
            "httpx",
            "httpx2",
            "httpcore",
            "httpcore2",
            "requests",
        ):
            raise
        raise ModelError(
            f"The hub cannot be reached: {clean_line(str(error)) or type(error).__name__}.",
            "Check the connection; what has come is kept.",
        ) from error


def _models(files: Sequence[Remote]) -> dict[str, list[Remote]]:
    """GGUF models by the name of their first part, each with all its parts; what lies beside models is left out."""
    found: dict[str, list[Remote]] = {}
    for file in sorted(files, key=lambda file: file.name):
        base = PurePosixPath(file.name).name.lower()
        if base.endswith(".gguf") and not base.startswith(("mmproj", "imatrix")) and "imatrix" not in base:
            found.setdefault(_PART.sub(".gguf", file.name), []).append(file)
    return found


def _chosen(models: dict[str, list[Remote]], wanted: Wanted) -> list[Remote]:
    if not wanted.which and len(models) == 1:
        return next(iter(models.values()))
    for which in (wanted.which,) if wanted.which else _USUAL:
        exact = [name for name in models if name.casefold() == which.casefold()]
        fitting = exact or [name for name in models if _fits(name, which)]
        if len(fitting) == 1:
            return models[fitting[0]]
        if fitting and wanted.which:
            raise ModelError(
                f"{wanted.repo} holds several: {', '.join(fitting)}.", "Name one of these files."
            )
    sizes = ", ".join(
        f"{name} ({sum(part.size for part in parts) / 1e9:.1f} GB)" for name, parts in models.items()
    )
    asked = f"none for {clean_line(wanted.which)}" if wanted.which else "several models"
    raise ModelError(f"{wanted.repo} holds {asked}. There are: {sizes}.", f"Choose one: {wanted.repo}:FILE")


def _fits(name: str, which: str) -> bool:
    """Whether a file's name says this quantisation, as a word of its own."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(which)}(?![A-Za-z0-9_])", name, re.IGNORECASE) is not None


def _hash(text: str | None) -> str:
    return text if text and _SHA256.fullmatch(text) else ""
