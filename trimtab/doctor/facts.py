"""What can be found out about this installation and this machine."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from trimtab import __version__, locations
from trimtab.engine.inspection import LlamaState, State, TorchState

GpuKind = Literal["cuda", "metal", "vulkan"]
"""What llama.cpp would have to be built with to use it; also the BACKEND of `make setup`."""
_PATIENCE = 120
"""Seconds for a native library to load: importing PyTorch from a slow disk takes long."""


class Gpu(msgspec.Struct, frozen=True):
    kind: GpuKind
    name: str


class Package(msgspec.Struct, frozen=True):
    """A package of the base install, the versions it may have, and the one that is there."""

    name: str
    wanted: str
    found: str | None


class Folder(msgspec.Struct, frozen=True):
    purpose: str
    path: str
    trouble: str
    """Why nothing can be written there, or empty."""
    free: int | None


class Terminal(msgspec.Struct, frozen=True):
    interactive: bool
    name: str
    colours: Literal["none", "16", "256", "true"]
    encoding: str
    columns: int
    lines: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    trimtab: str
    python: tuple[int, int, int]
    executable: str
    system: str
    bits: int
    packages: tuple[Package, ...]
    llama: LlamaState
    torch: TorchState | None
    """None where PyTorch or transformers is not installed."""
    gpus: tuple[Gpu, ...]
    logical_cores: int
    openmp_threads: str
    """OMP_NUM_THREADS, or empty."""
    folders: tuple[Folder, ...]
    terminal: Terminal


def gather() -> Facts:
    """Takes a second or two: the native libraries are loaded in processes of their own."""
    with ThreadPoolExecutor() as pool:
        llama = pool.submit(_ask, "llama", lambda error: LlamaState(pinned="", error=error))
        wanted = find_spec("torch") is not None and find_spec("transformers") is not None
        torch = pool.submit(_ask, "torch", lambda error: TorchState(error=error)) if wanted else None
        gpus = pool.submit(find_gpus)
        told = llama.result()
        assert isinstance(told, LlamaState)
        torch_told = torch.result() if torch is not None else None
        assert torch_told is None or isinstance(torch_told, TorchState)
        return Facts(
            trimtab=__version__,
            python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
            executable=sys.executable,
            system=f"{platform.system()} {platform.machine()}",
            bits=64 if sys.maxsize > 2**32 else 32,
            packages=find_packages(),
            llama=told,
            torch=torch_told,
            gpus=gpus.result(),
            logical_cores=os.cpu_count() or 1,
            openmp_threads=os.environ.get("OMP_NUM_THREADS", ""),
            folders=tuple(
                look_at_folder(purpose, path)
                for purpose, path in (
                    ("data", locations.data()),
                    ("cache", locations.cache()),
                    ("config", locations.config()),
                    ("logs", locations.logs()),
                )
            ),
            terminal=look_at_terminal(),
        )


def _ask(which: Literal["llama", "torch"], failed: Callable[[str], State]) -> State:
    command = [sys.executable, "-P", "-m", "trimtab.engine.inspection", which]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return failed(f"it could not be asked: {error}")
    if answer.returncode != 0:
        lines = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        return failed(
            f"loading it ended with status {answer.returncode}: {lines[-1] if lines else 'no word'}"
        )
    try:
        return msgspec.json.decode(answer.stdout, type=LlamaState | TorchState)
    except msgspec.MsgspecError as error:
        return failed(f"its answer cannot be read: {error}")


def find_packages() -> tuple[Package, ...]:
    """The packages that the base install asks for; none are known where Trimtab itself is not installed."""
    try:
        requirements = importlib.metadata.requires("trimtab") or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    found = []
    for requirement in requirements:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(.*)", requirement)
        if match is None or ";" in requirement:
            continue
        try:
            version = importlib.metadata.version(match[1])
        except importlib.metadata.PackageNotFoundError:
            version = None
        found.append(Package(match[1], match[2].strip(), version))
    return tuple(sorted(found, key=lambda package: package.name))


def find_gpus() -> tuple[Gpu, ...]:
    """The graphics cards of this machine, whatever may be installed to use them."""
    if sys.platform == "darwin":
        return (Gpu("metal", "Apple GPU"),) if platform.machine() == "arm64" else ()
    nvidia = nvidia_cards(_run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"))
    if not nvidia:
        nvidia = nvidia_drivers(Path("/proc/driver/nvidia/gpus"))
    return nvidia or vulkan_cards(_run("vulkaninfo", "--summary"))


def nvidia_cards(output: str) -> tuple[Gpu, ...]:
    return tuple(Gpu("cuda", line.strip()) for line in output.splitlines() if line.strip())


def nvidia_drivers(folder: Path) -> tuple[Gpu, ...]:
    """The cards that the kernel's driver knows, where nvidia-smi is not installed."""
    found = []
    for card in sorted(folder.glob("*/information")):
        match = re.search(
            r"^Model:\s*(.+)$", card.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
        found.append(Gpu("cuda", match[1].strip() if match else "NVIDIA card"))
    return tuple(found)


def vulkan_cards(output: str) -> tuple[Gpu, ...]:
    """Real cards in what vulkaninfo says; it lists renderers on the CPU too."""
    kinds = re.findall(r"deviceType\s*=\s*(\S+)", output)
    names = re.findall(r"deviceName\s*=\s*(.+)", output)
    real = ("PHYSICAL_DEVICE_TYPE_DISCRETE_GPU", "PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU")
    return tuple(
        Gpu("vulkan", name.strip()) for kind, name in zip(kinds, names, strict=False) if kind in real
    )


def _run(*command: str) -> str:
    """What a program says, or nothing if it is missing or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        answer = subprocess.run(command, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.decode("utf-8", "replace")


def look_at_folder(purpose: str, path: Path) -> Folder:
    """Tries to write where the folder is, or where it would be made; leaves nothing behind."""
    try:
        place = path
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            return Folder(purpose, str(path), f"{place} is no folder", None)
        with tempfile.TemporaryFile(dir=place):
            pass
        return Folder(purpose, str(path), "", shutil.disk_usage(place).free)
    except OSError as error:
        return Folder(purpose, str(path), error.strerror or str(error), None)


def look_at_terminal() -> Terminal:
    size = shutil.get_terminal_size()
    interactive = sys.stdout.isatty()
    return Terminal(
        interactive=interactive,
        name=os.environ.get("TERM_PROGRAM") or os.environ.get("TERM", ""),
        colours=count_colours(os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")),
        encoding=sys.stdout.encoding if interactive else locale.getencoding(),
        columns=size.columns,
        lines=size.lines,
    )


def count_colours(term: str, colour_term: str) -> Literal["none", "16", "256", "true"]:
    if colour_term.lower() in ("truecolor", "24bit") or term.endswith("-direct") or os.name == "nt":
        return "true"
    if "256" in term:
        return "256"
    return "none" if term in ("", "dumb", "unknown") else "16"
