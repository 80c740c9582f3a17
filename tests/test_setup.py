"""The set-up: what it brings, and what it says when something is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from tools.base_install import Package, base_install
from trimtab.engine.llama.layout import PINNED

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOOLS = ("awk", "cat", "dirname", "env", "grep", "sed", "tail", "tee", "uname")
"""What any system has that can run the set-up at all."""


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    return list(base_install())


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder of programs without any compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def empty_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip and nothing else; set-ups that stop early leave it as it is."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    return folder


def set_up(what: str, **environment: object) -> subprocess.CompletedProcess[str]:
    bash = shutil.which("bash")
    assert bash is not None
    return subprocess.run(
        [bash, str(ROOT / "tools" / "setup.sh"), what],
        capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {name: str(value) for name, value in environment.items()},
    )  # fmt: skip


def test_the_base_install_is_small_beside_llama(packages: list[Package]) -> None:
    assert sum(package.size for package in packages if package.name != "llama-cpp-python") < 150e6


def test_the_base_install_brings_no_other_engine(packages: list[Package]) -> None:
    names = {package.name for package in packages}
    assert not names & {"torch", "transformers", "peft", "accelerate", "safetensors", "scipy", "pandas"}


def test_every_dependency_has_a_licence_and_none_is_gpl(packages: list[Package]) -> None:
    free = re.compile(r"MIT|BSD|Apache|MPL|Mozilla|PSF|ISC|0BSD|Zlib|CC0")
    assert [package for package in packages if not free.search(package.licence)] == []
    assert [package for package in packages if re.search(r"GPL|GNU", package.licence)] == []


def test_the_pinned_llama_is_the_one_that_the_engine_relies_on() -> None:
    assert f"llama-cpp-python=={PINNED}" in PROJECT["dependencies"]


def test_without_a_card_no_cuda_package_was_installed() -> None:
    if Path("/proc/driver/nvidia/version").exists():
        return
    names = {found.name.lower() for found in metadata.distributions()}
    assert [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))] == []


@pytest.mark.parametrize("backend", ["cudaa", "rocm", "CUDA"])
def test_a_back_end_that_is_not_there_is_named(backend: str, tmp_path: Path) -> None:
    answer = set_up("backend", BACKEND=backend, VENV=tmp_path / "venv")
    assert answer.returncode == 1
    assert f"no back end named '{backend}'" in answer.stderr
    assert not (tmp_path / "venv").exists()


def test_an_unfit_python_is_named(tmp_path: Path) -> None:
    answer = set_up("base", PYTHON=shutil.which("false"), VENV=tmp_path / "venv")
    assert answer.returncode == 1
    assert "is not Python 3.11 to 3.14" in answer.stderr


def test_a_missing_venv_module_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    # As on Debian, where ensurepip is a package of its own.
    (tmp_path / "ensurepip.py").write_text("raise ImportError('No module named ensurepip')")
    answer = set_up("base", PYTHON=sys.executable, VENV=tmp_path / "venv", PYTHONPATH=tmp_path)
    assert answer.returncode == 1
    assert "has no venv module" in answer.stderr
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in answer.stderr


def test_a_missing_compiler_is_named_before_the_compile(
    bare_path: Path, empty_venv: Path, tmp_path: Path
) -> None:
    answer = set_up("base", VENV=empty_venv, PATH=bare_path, PIP_CACHE_DIR=tmp_path / "cache", CC="", CXX="")
    assert answer.returncode == 1
    assert "a C and C++ compiler is missing" in answer.stderr
    assert "sudo apt install build-essential" in answer.stderr
    assert "compiling" not in answer.stderr


@pytest.mark.parametrize(("backend", "program"), [("cuda", "nvcc"), ("vulkan", "glslc")])
def test_a_missing_toolkit_is_named_before_the_compile(
    backend: str, program: str, bare_path: Path, empty_venv: Path
) -> None:
    (bare_path / "cc").symlink_to(sys.executable)
    (bare_path / "c++").symlink_to(sys.executable)
    answer = set_up(
        "backend", BACKEND=backend, VENV=empty_venv, PATH=bare_path, CUDACXX="", CUDA_PATH=empty_venv
    )
    assert answer.returncode == 1
    assert f"{program}, the compiler of" in answer.stderr
    assert "compiling" not in answer.stderr
