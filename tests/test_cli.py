"""The command line, run as users run it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trimtab import __version__
from trimtab.cli import COMMANDS, Entry
from trimtab.engine.protocol import PROTOCOL

FAILING = """
import sys, click
from trimtab import cli
from trimtab.errors import ModelError

@click.command()
def fail():
    raise ModelError("There is no model\\x1b[31m at x.\\n", "Check the path.")

cli.application.add_command(fail)
cli.main(sys.argv[1:])
"""


def trimtab(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "trimtab", *arguments], environment)


def failing(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`trimtab` with a command that meets an error."""
    return _run([sys.executable, "-c", FAILING, *arguments], environment)


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, check=False, timeout=60
    )


def test_the_version_is_told() -> None:
    assert trimtab("--version").stdout == f"trimtab {__version__}\n"


def test_without_a_command_it_says_what_works_and_that_the_app_is_not_there() -> None:
    answer = trimtab()
    assert answer.returncode == 0
    assert "not part of this version yet" in answer.stdout
    assert "Commands:" in answer.stdout


def test_help_is_there_within_a_fifth_of_a_second() -> None:
    # The best of several: a busy machine says nothing about what the program needs.
    assert min(_seconds("--help") for _ in range(8)) < 0.2


def _seconds(*arguments: str) -> float:
    begin = time.perf_counter()
    trimtab(*arguments)
    return time.perf_counter() - begin


@pytest.mark.parametrize("command", [(), *((entry.name,) for entry in COMMANDS)])
def test_help_ends_with_two_examples(command: tuple[str, ...]) -> None:
    answer = trimtab(*command, "--help")
    _, examples = answer.stdout.split("Examples:\n")
    lines = examples.strip().splitlines()
    assert len(lines) == 2
    assert all("trimtab" in line for line in lines)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_list_of_commands_tells_what_a_command_tells_of_itself(entry: Entry) -> None:
    assert entry.summary in " ".join(trimtab(entry.name, "--help").stdout.split())


def test_an_error_is_one_clean_line_on_stderr() -> None:
    answer = failing("fail")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr == "trimtab: There is no model[31m at x. Check the path.\n"


@pytest.mark.parametrize(("options", "variable"), [(["--debug"], ""), ([], "1")])
def test_debugging_shows_the_traceback(options: list[str], variable: str) -> None:
    answer = failing(*options, "fail", TRIMTAB_DEBUG=variable)
    assert "Traceback" in answer.stderr
    assert "ModelError" in answer.stderr


def test_a_command_that_is_not_there_is_named() -> None:
    answer = trimtab("pakc")
    assert answer.returncode == 2
    assert "'pakc'" in answer.stderr


def test_a_worker_greets_its_client_and_ends_with_it(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("wb") as stderr:
        answer = subprocess.run(
            [sys.executable, "-m", "trimtab", "worker", "--log", str(tmp_path / "log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, check=False, timeout=60,
        )  # fmt: skip
    assert answer.returncode == 0
    assert answer.stdout.endswith(f"trimtab-worker {PROTOCOL} {__version__}\n".encode())
