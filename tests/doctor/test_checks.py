"""What the doctor makes of facts: every test changes one fact about a sound installation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trimtab.doctor.checks import Finding, judge, satisfies
from trimtab.doctor.facts import Facts, Folder, Gpu, Package, Terminal
from trimtab.engine.inspection import Device, LlamaState, TorchState

CPU = Device(name="Some processor", kind="cpu", memory=16 * 10**9)
CARD = Device(name="Some card", kind="gpu", memory=24 * 10**9)
LLAMA = LlamaState(
    pinned="0.3.36",
    version="0.3.36",
    back_ends=("CPU",),
    devices=(CPU,),
    kernel=True,
    physical_cores=4,
    free_memory=16 * 10**9,
)
TORCH = TorchState(version="2.13.0+cpu", transformers="5.23.0", device="cpu")
SOUND = Facts(
    trimtab="0.1.0",
    python=(3, 13, 1),
    executable="/usr/bin/python3",
    system="Linux x86_64",
    bits=64,
    packages=(Package("numpy", ">=2.0,<3", "2.4.6"), Package("textual", ">=8.2,<9", "8.2.8")),
    llama=LLAMA,
    torch=None,
    gpus=(),
    logical_cores=8,
    openmp_threads="",
    folders=(Folder("data", "/home/a/data", "", 10**11),),
    terminal=Terminal(True, "xterm", "true", "utf-8", 120, 30),
)
NVIDIA = Gpu("cuda", "NVIDIA H200")


def finding(name: str, **changes: Any) -> Finding:
    found = {each.name: each for each in judge(msgspec.structs.replace(SOUND, **changes))}
    return found[name]


def llama(**changes: Any) -> LlamaState:
    return msgspec.structs.replace(LLAMA, **changes)


def terminal(**changes: Any) -> Terminal:
    return msgspec.structs.replace(SOUND.terminal, **changes)


def test_a_sound_installation_is_called_sound() -> None:
    assert {each.level for each in judge(SOUND)} == {"ok"}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("python", {"python": (3, 10, 2)}),
        ("python", {"python": (3, 15, 0)}),
        ("python", {"bits": 32}),
        ("packages", {"packages": ()}),
        ("packages", {"packages": (Package("numpy", ">=2.0,<3", None),)}),
        ("packages", {"packages": (Package("numpy", ">=2.0,<3", "1.26.4"),)}),
        ("llama.cpp", {"llama": llama(version="0.3.35")}),
        ("llama.cpp", {"llama": llama(error="llama.cpp cannot be loaded: libgomp.so.1 is missing.")}),
        ("pytorch", {"torch": TorchState(error="libcudart.so.13 is missing")}),
        ("data", {"folders": (Folder("data", "/home/a/data", "Read-only file system", None),)}),
    ],
)
def test_what_is_broken_is_a_problem_with_something_to_do(name: str, changes: dict[str, Any]) -> None:
    found = finding(name, **changes)
    assert found.level == "problem"
    assert found.steps


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("kernel", {"llama": llama(kernel=False)}),
        ("memory", {"llama": llama(free_memory=10**9)}),
        ("data", {"folders": (Folder("data", "/home/a/data", "", 10**8),)}),
        ("terminal", {"terminal": terminal(colours="256")}),
        ("terminal", {"terminal": terminal(colours="none")}),
        ("terminal", {"terminal": terminal(encoding="latin-1")}),
        ("terminal", {"terminal": terminal(columns=60)}),
    ],
)
def test_what_could_be_better_is_a_note_with_something_to_do(name: str, changes: dict[str, Any]) -> None:
    found = finding(name, **changes)
    assert found.level == "note"
    assert found.steps


@pytest.mark.parametrize(
    ("card", "flag"),
    [
        (NVIDIA, "-DGGML_CUDA=on"),
        (Gpu("metal", "Apple GPU"), "-DGGML_METAL=on"),
        (Gpu("vulkan", "AMD Radeon"), "-DGGML_VULKAN=on"),
    ],
    ids=lambda value: value.kind if isinstance(value, Gpu) else "",
)
def test_a_card_that_stands_unused_comes_with_the_commands_that_use_it(card: Gpu, flag: str) -> None:
    found = finding("gpu", gpus=(card,))
    assert found.level == "note"
    assert card.name in found.what
    by_make, by_pip = found.steps
    assert f"make setup BACKEND={card.kind}" in by_make
    assert f'CMAKE_ARGS="{flag}"' in by_pip
    assert "llama-cpp-python==0.3.36" in by_pip


def test_a_card_in_use_is_no_note() -> None:
    found = finding("gpu", gpus=(NVIDIA,), llama=llama(devices=(CPU, CARD), can_offload=True))
    assert found.level == "ok"
    assert "Some card" in found.what


def test_a_build_for_a_gpu_that_finds_none_points_to_the_driver() -> None:
    found = finding("gpu", gpus=(NVIDIA,), llama=llama(can_offload=True))
    assert found.level == "note"
    assert "driver" in found.steps[0]


def test_a_processors_pytorch_beside_an_nvidia_card_is_noted() -> None:
    assert finding("pytorch", gpus=(NVIDIA,), torch=TORCH).level == "note"


def test_a_processors_pytorch_is_fine_where_there_is_no_card() -> None:
    assert finding("pytorch", torch=TORCH).level == "ok"


def test_output_into_a_pipe_is_not_blamed_on_the_terminal() -> None:
    assert finding("terminal", terminal=terminal(interactive=False, colours="none")).level == "ok"


@pytest.mark.parametrize(
    ("version", "wanted", "answer"),
    [
        ("8.2.8", ">=8.2,<9", True),
        ("8.1.9", ">=8.2,<9", False),
        ("9.0", ">=8.2,<9", False),
        ("8.10", ">=8.2", True),
        ("3", ">=3.0.0", True),
        ("0.3.36", "==0.3.36", True),
        ("0.3.36.post1", "==0.3.36", True),
        ("0.3.35", "==0.3.36", False),
        ("2.13.0+cpu", ">=2.6", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_held_against_bounds(version: str, wanted: str, answer: bool) -> None:
    assert satisfies(version, wanted) is answer
