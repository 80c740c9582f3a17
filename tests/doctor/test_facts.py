"""What the doctor finds out, from programs' outputs, folders and the environment."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from trimtab.doctor import facts
from trimtab.doctor.facts import Gpu

VULKANINFO = """
Devices:
========
GPU0:
        apiVersion         = 1.3.255
        deviceType         = PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
        deviceName         = AMD Radeon Graphics (RADV REMBRANDT)
        driverName         = radv
GPU1:
        apiVersion         = 1.3.255
        deviceType         = PHYSICAL_DEVICE_TYPE_CPU
        deviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
"""


def test_every_card_that_nvidia_smi_lists_is_found() -> None:
    found = facts.nvidia_cards("NVIDIA H200\nNVIDIA GeForce RTX 4090\n")
    assert found == (Gpu("cuda", "NVIDIA H200"), Gpu("cuda", "NVIDIA GeForce RTX 4090"))


def test_a_card_is_found_through_the_driver_where_nvidia_smi_is_missing(tmp_path: Path) -> None:
    card = tmp_path / "0000:01:00.0"
    card.mkdir()
    (card / "information").write_text("Model: \t\t NVIDIA RTX A2000\nIRQ:   \t\t 120\n")
    assert facts.nvidia_drivers(tmp_path) == (Gpu("cuda", "NVIDIA RTX A2000"),)


def test_a_renderer_on_the_processor_is_no_card() -> None:
    assert facts.vulkan_cards(VULKANINFO) == (Gpu("vulkan", "AMD Radeon Graphics (RADV REMBRANDT)"),)


def test_a_folder_that_can_be_made_is_writable_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet"
    assert facts.look_at_folder("data", path).trouble == ""
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "no folder" in facts.look_at_folder("data", tmp_path / "file" / "data").trouble


@pytest.mark.parametrize(
    ("term", "colour_term", "colours"),
    [
        ("xterm-256color", "truecolor", "true"),
        ("xterm-direct", "", "true"),
        ("xterm-256color", "", "256"),
        ("xterm", "", "16"),
        ("dumb", "", "none"),
        ("", "", "none"),
    ],
)
def test_colours_are_told_from_the_environment(term: str, colour_term: str, colours: str) -> None:
    assert facts.count_colours(term, colour_term) == colours


def test_the_base_installs_packages_are_found_with_their_versions() -> None:
    found = {package.name: package.found for package in facts.find_packages()}
    assert found["textual"] == importlib.metadata.version("textual")
    assert "torch" not in found
