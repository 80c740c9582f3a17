"""The doctor as users run it, on this very installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from trimtab.engine.llama.check import system_info


def doctor(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trimtab", "doctor", *options],
        capture_output=True, text=True, env=os.environ | environment, check=False, timeout=180,
    )  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    answer = doctor("--json", TRIMTAB_HOME=str(tmp_path_factory.mktemp("home")))
    return json.loads(answer.stdout)


def test_this_installation_is_sound(told: Any) -> None:
    assert [finding for finding in told["findings"] if finding["level"] == "problem"] == []


def test_llama_is_told_as_the_library_itself_tells_it(told: Any) -> None:
    found = system_info()
    assert told["facts"]["llama"]["version"] == version("llama_cpp_python")
    assert told["facts"]["llama"]["can_offload"] == found.can_offload
    assert len(told["facts"]["llama"]["devices"]) == len(found.devices)


def test_pytorch_is_told_with_its_version(told: Any) -> None:
    assert told["facts"]["torch"]["version"] == version("torch")


def test_a_home_that_cannot_be_written_is_a_problem_told_in_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    answer = doctor(TRIMTAB_HOME=str(tmp_path / "home"))
    assert answer.returncode == 1
    assert "problem  data" in answer.stdout
    assert "set TRIMTAB_HOME" in answer.stdout
    assert answer.stderr == ""


def test_a_library_that_cannot_be_loaded_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "llama_cpp.py").write_text(
        "raise RuntimeError('libgomp.so.1: cannot open shared object file')"
    )
    answer = doctor(PYTHONPATH=str(tmp_path))
    assert answer.returncode == 1
    assert "llama.cpp cannot be loaded: libgomp.so.1: cannot open shared object file" in answer.stdout
