"""What the base install brings: each package with its size and licence, as a table for docs/decisions.md.

python -m tools.base_install
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Package:
    """An installed package, why it is there, and what it weighs."""

    name: str
    version: str
    size: int
    licence: str
    wanted_by: str


def main() -> None:
    packages = sorted(base_install(), key=lambda package: -package.size)
    for package in packages:
        columns = (
            f"{package.name} {package.version}", f"{package.size / 1e6:.1f} MB", package.licence, package.wanted_by
        )  # fmt: skip
        print("| " + " | ".join(columns) + " |")
    beside = sum(package.size for package in packages if package.name != "llama-cpp-python")
    print(f"\nBeside llama.cpp: {beside / 1e6:.0f} MB.")


def base_install(root: str = "trimtab") -> Iterator[Package]:
    """Every package that `root` needs on this platform, without extras; `root` itself is left out."""
    seen = {root}
    waiting = [(root, requirement) for requirement in _requirements(root)]
    while waiting:
        wanted_by, name = waiting.pop(0)
        if name not in seen:
            seen.add(name)
            found = metadata.distribution(name)
            yield Package(name, found.version, _size(found), _licence(found), wanted_by)
            waiting += [(name, requirement) for requirement in _requirements(name)]


def _requirements(name: str) -> Iterator[str]:
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _size(found: metadata.Distribution) -> int:
    """Of all files that its installation laid down, bytecode among them."""
    paths = (Path(str(found.locate_file(file))) for file in found.files or [])
    return sum(path.stat().st_size for path in paths if path.is_file())


def _licence(found: metadata.Distribution) -> str:
    """What the package says of itself: an expression, a classifier, or a line of text."""
    told = found.metadata
    expression = told.get("License-Expression")
    if expression:
        return expression
    classifiers = [line for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    if classifiers:
        return "; ".join(line.rsplit(" :: ", 1)[-1] for line in classifiers)
    return ((told.get("License") or "").strip().splitlines() or ["unknown"])[0]


if __name__ == "__main__":
    main()
