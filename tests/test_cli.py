"""The command line, run as users run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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


def test_without_a_command_and_without_a_terminal_it_says_what_to_do() -> None:
    answer = trimtab()
    assert answer.returncode == 1
    assert answer.stderr.startswith("trimtab: The chat needs a terminal.") and "--help" in answer.stderr


def test_help_is_there_within_a_fifth_of_a_second() -> None:
    # In processor time, and the best of several: how busy the machine is says nothing about the program.
    assert min(_processor_seconds("--help") for _ in range(5)) < 0.2


def _processor_seconds(*arguments: str) -> float:
    before = os.times()
    trimtab(*arguments)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


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


def test_a_worker_takes_the_same_options_however_it_is_started() -> None:
    module = _run([sys.executable, "-m", "trimtab.engine.worker", "--help"], {"COLUMNS": "200"}).stdout
    command = trimtab("worker", "--help").stdout
    assert _options(module) == _options(command) >= {"--log", "--log-dir", "--files", "--engine"}


def _options(help: str) -> set[str]:
    return set(re.findall(r"^ *(?:-h, )?(--[a-z-]+)", help, re.MULTILINE))


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    answer = trimtab("worker", "--log", str(tmp_path / "missing" / "log"))
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1
    assert str(tmp_path / "missing" / "log") in answer.stderr


def test_a_worker_greets_its_client_and_ends_with_it(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("wb") as stderr:
        answer = subprocess.run(
            [sys.executable, "-m", "trimtab", "worker", "--log", str(tmp_path / "log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, check=False, timeout=60,
        )  # fmt: skip
    assert answer.returncode == 0
    assert answer.stdout.endswith(f"trimtab-worker {PROTOCOL} {__version__}\n".encode())
