"""Judges the facts about an installation: each check says what is so and, where needed, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from trimtab.doctor.facts import Facts, Gpu, GpuKind

Level = Literal["ok", "note", "problem"]

_FLAGS: dict[GpuKind, str] = {
    "cuda": "-DGGML_CUDA=on",
    "metal": "-DGGML_METAL=on",
    "vulkan": "-DGGML_VULKAN=on",
}
_LITTLE_MEMORY = 2 * 10**9
_LITTLE_DISK = 10**9
_NAMES = {"cuda": "CUDA", "metal": "Metal", "vulkan": "Vulkan"}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; a note could be better, a problem keeps something from working."""

    level: Level
    name: str
    what: str
    steps: tuple[str, ...] = ()
    """What to do, one thing each."""


def judge(facts: Facts) -> list[Finding]:
    """Every check's finding, in the order in which things rest on one another."""
    return [
        check_python(facts),
        check_packages(facts),
        check_llama(facts),
        check_gpu(facts),
        check_kernel(facts),
        check_torch(facts),
        check_cores(facts),
        check_memory(facts),
        *check_folders(facts),
        check_terminal(facts),
    ]


def check_python(facts: Facts) -> Finding:
    version = ".".join(map(str, facts.python))
    what = f"{version}, {facts.bits}-bit, {facts.system} ({facts.executable})"
    if facts.bits != 64:
        return _finding("problem", "python", what, "Install a 64-bit Python: models do not fit into 32 bits.")
    if not (3, 11) <= facts.python[:2] <= (3, 14):
        return _finding("problem", "python", what, "Install Python 3.11, 3.12, 3.13 or 3.14.")
    return _finding("ok", "python", what)


def check_packages(facts: Facts) -> Finding:
    if not facts.packages:
        return _finding(
            "problem",
            "packages",
            "Trimtab is not installed: its engines cannot start",
            "Install it: make setup",
        )
    missing = [package.name for package in facts.packages if package.found is None]
    wrong = [
        f"{package.name} {package.found} (wanted {package.wanted})"
        for package in facts.packages
        if package.found is not None and not satisfies(package.found, package.wanted)
    ]
    listed = ", ".join(f"{package.name} {package.found}" for package in facts.packages if package.found)
    if missing or wrong:
        said = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unfit: {', '.join(wrong)}"] * bool(
            wrong
        )
        return _finding("problem", "packages", "; ".join(said), _reinstall())
    return _finding("ok", "packages", f"trimtab {facts.trimtab}, {listed}")


def check_llama(facts: Facts) -> Finding:
    llama = facts.llama
    if llama.error:
        return _finding("problem", "llama.cpp", llama.error, _reinstall())
    if llama.version != llama.pinned:
        return _finding(
            "problem",
            "llama.cpp",
            f"llama-cpp-python {llama.version} is installed; {llama.pinned} is relied on",
            f"pip install llama-cpp-python=={llama.pinned}",
        )
    devices = ", ".join(f"{device.name} ({device.kind})" for device in llama.devices)
    return _finding(
        "ok",
        "llama.cpp",
        f"llama-cpp-python {llama.version}, built for {', '.join(llama.back_ends)}, runs on {devices}",
    )


def check_gpu(facts: Facts) -> Finding:
    """Whether a card stands unused, and the command that puts it to work."""
    used = [device for device in facts.llama.devices if device.kind in ("gpu", "igpu")]
    if used:
        return _finding("ok", "gpu", "llama.cpp computes on " + ", ".join(device.name for device in used))
    if not facts.gpus:
        return _finding("ok", "gpu", "none here; models run on the processor")
    if facts.llama.error:
        return _finding("note", "gpu", f"{facts.gpus[0].name} waits until llama.cpp can be loaded")
    card = facts.gpus[0]
    if facts.llama.can_offload:
        return _finding(
            "note",
            "gpu",
            f"{card.name} stands unused: llama.cpp was built for a GPU but finds none",
            f"Check its driver ({'nvidia-smi' if card.kind == 'cuda' else 'vulkaninfo --summary'}).",
            *_rebuild(card, facts),
        )
    return _finding(
        "note",
        "gpu",
        f"{card.name} stands unused: llama.cpp was built without {_NAMES[card.kind]}",
        *_rebuild(card, facts),
    )


def check_kernel(facts: Facts) -> Finding:
    if facts.llama.kernel:
        return _finding("ok", "kernel", "steering runs in compiled code")
    if not facts.llama.pinned:
        return _finding("note", "kernel", "unknown: the engine could not be asked")
    return _finding(
        "note",
        "kernel",
        "steering runs in Python, which costs about a tenth of the speed",
        "Install a C compiler, then Trimtab again: make setup, or pip install --force-reinstall --no-deps trimtab",
    )


def check_torch(facts: Facts) -> Finding:
    torch = facts.torch
    if torch is None:
        return _finding(
            "ok",
            "pytorch",
            "not installed; folders of safetensors and training need it (pip install 'trimtab[torch]')",
        )
    if torch.error:
        return _finding(
            "problem", "pytorch", torch.error, "Install it again: pip install --upgrade 'trimtab[torch]'"
        )
    what = f"torch {torch.version}, transformers {torch.transformers}, runs on {torch.device}"
    card = next((gpu for gpu in facts.gpus if gpu.kind == "cuda"), None)
    if card is not None and torch.device == "cpu":
        step = (
            "Check its driver: nvidia-smi"
            if torch.cuda_build
            else "Install PyTorch for CUDA: pip install --force-reinstall torch"
        )
        return _finding("note", "pytorch", f"{what}; {card.name} stands unused", step)
    return _finding("ok", "pytorch", what)


def check_cores(facts: Facts) -> Finding:
    physical = facts.llama.physical_cores
    what = f"{physical or 'an unknown number of'} physical, {facts.logical_cores} logical"
    if facts.openmp_threads:
        what += f"; OMP_NUM_THREADS={facts.openmp_threads}"
    return _finding("ok", "cores", what)


def check_memory(facts: Facts) -> Finding:
    free = facts.llama.free_memory
    if free is None:
        return _finding("ok", "memory", "how much is free cannot be told on this system")
    if free < _LITTLE_MEMORY:
        return _finding(
            "note",
            "memory",
            f"{_giga(free)} free",
            "Only small models will fit: close other programs, or choose a small quantisation.",
        )
    return _finding("ok", "memory", f"{_giga(free)} free")


def check_folders(facts: Facts) -> Iterator[Finding]:
    for folder in facts.folders:
        if folder.trouble:
            yield _finding(
                "problem",
                folder.purpose,
                f"{folder.path} cannot be written: {folder.trouble}",
                "Mend its permissions, or set TRIMTAB_HOME to a folder that can be written.",
            )
        elif folder.free is not None and folder.free < _LITTLE_DISK:
            yield _finding(
                "note", folder.purpose, f"{folder.path} has {_giga(folder.free)} left", "Make room."
            )
        else:
            yield _finding("ok", folder.purpose, folder.path)


def check_terminal(facts: Facts) -> Finding:
    terminal = facts.terminal
    colours = {"none": "no colours", "true": "16 million colours"}.get(
        terminal.colours, f"{terminal.colours} colours"
    )
    name = terminal.name or "unnamed"
    what = f"{name}, {colours}, {terminal.encoding}, {terminal.columns}×{terminal.lines}"
    if not terminal.interactive:
        return _finding("ok", "terminal", "none: the output goes elsewhere")
    steps = []
    if terminal.encoding.lower().replace("-", "") != "utf8":
        steps.append("Switch it to UTF-8, or meters and borders will look broken: export LANG=C.UTF-8")
    if terminal.colours == "none":
        steps.append("Set TERM to what it is, such as xterm-256color.")
    elif terminal.colours != "true":
        steps.append("If it can show 16 million colours, say so: export COLORTERM=truecolor")
    if terminal.columns < 80 or terminal.lines < 24:
        steps.append("Make it larger: 80×24 at least, 120×30 shows all.")
    return _finding("note" if steps else "ok", "terminal", what, *steps)


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies within bounds as pip writes them, such as `>=8.2,<9`."""
    for clause in wanted.split(","):
        match = re.fullmatch(r"\s*(>=|<=|==|!=|<|>)\s*([0-9.]+)\s*", clause)
        if match is None:
            continue
        have, bound = _release(version), _release(match[2])
        length = max(len(have), len(bound))
        have, bound = (each + (0,) * (length - len(each)) for each in (have, bound))
        holds = {
            ">=": have >= bound, "<=": have <= bound, "==": have == bound,
            "!=": have != bound, "<": have < bound, ">": have > bound,
        }  # fmt: skip
        if not holds[match[1]]:
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _rebuild(card: Gpu, facts: Facts) -> tuple[str, str]:
    install = "pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python"
    return (
        f"In the source folder: make setup BACKEND={card.kind}",
        f'Or: CMAKE_ARGS="{_FLAGS[card.kind]}" {install} llama-cpp-python=={facts.llama.pinned}',
    )


def _reinstall() -> str:
    return "Install Trimtab again: make setup, or pip install --force-reinstall trimtab"


def _giga(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"


def _finding(level: Level, name: str, what: str, *steps: str) -> Finding:
    return Finding(level=level, name=name, what=what, steps=steps)
