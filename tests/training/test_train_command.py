"""`trimtab train` from its help to its adapter, stopped on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.test_imports import HEAVY, loaded_by
from tests.tiny import TinyModel
from tests.training.support import task
from trimtab.cli import application
from trimtab.engine.program import Adapter


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    lines = (
        {"prompt": pair.prompt[0].content, "chosen": pair.chosen, "rejected": pair.rejected}
        for pair in task().pairs
    )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def arguments(model: TinyModel, pairs: Path, out: Path, method: str, *more: str) -> list[str]:
    words = ["Be good.", "Be bad."]
    return [
        "train", method, "--model", str(model.safetensors), "--data", str(pairs), "--out", str(out),
        "--threads", "1", "--good", words[0], "--bad", words[1], "--fit-batch", "4", "--batch", "4", *more,
    ]  # fmt: skip


def test_it_trains_and_says_what_it_wrote(tiny_llama: TinyModel, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = arguments(tiny_llama, pairs, out, "lorra", "--fit-steps", "3", "--layers", "1,3", "--alpha", "2")
    result = CliRunner().invoke(application, line)
    assert result.exit_code == 0, result.output
    assert f"Wrote {out / 'adapter.gguf'}" in result.stdout
    assert "1/1 fit  step 3/3  loss" in result.stderr
    assert "validation" in result.stderr
    told = json.loads((out / "run.json").read_text())
    assert told["options"]["layers"] == {"start": 1, "stop": 3, "step": 1}
    assert told["options"]["alpha"] == 2.0
    assert Adapter.load(out / "adapter.gguf").kind == "gguf"
    again = CliRunner().invoke(application, [*line, "--json"])
    assert json.loads(again.stdout)["written"] == [str(out / "adapter"), str(out / "adapter.gguf")]
    assert "step" not in again.stderr


def test_its_help_ends_with_two_examples() -> None:
    result = CliRunner().invoke(application, ["train", "--help"])
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.output.strip().splitlines()[-2:]] == [
        ["trimtab", "train"]
    ] * 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--layers", "7"], "start,stop,step"),
        (["--layers", "3,1"], "are none"),
        (["--layers", "2,9"], "0 to 3"),
        (["--dropout", "2"], "dropout"),
        (["--device", "abacus"], "device"),
    ],
)
def test_what_cannot_be_is_one_line(
    tiny_llama: TinyModel, pairs: Path, tmp_path: Path, more: list[str], told: str
) -> None:
    result = CliRunner().invoke(application, arguments(tiny_llama, pairs, tmp_path / "out", "lorra", *more))
    assert result.exit_code != 0
    assert told in result.output
    assert "Traceback" not in result.output


def test_a_gguf_file_cannot_be_trained(tiny_llama: TinyModel, pairs: Path, tmp_path: Path) -> None:
    line = arguments(tiny_llama, pairs, tmp_path / "out", "sft")
    line[line.index("--model") + 1] = str(tiny_llama.gguf)
    result = CliRunner().invoke(application, line)
    assert result.exit_code == 1
    assert "PyTorch models are folders" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_an_interrupted_run_keeps_its_place(tiny_llama: TinyModel, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = arguments(tiny_llama, pairs, out, "lorra", "--fit-steps", "100000")
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", *line], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Stopped after step" in told and "goes on from there" in told
    assert "Traceback" not in told
    assert (out / "stages" / "fit.checkpoint.safetensors").is_file()


@pytest.mark.parametrize("module", ["trimtab.commands.train", "trimtab.training.request"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY
