"""`trimtab ask`, run as its users run it, on a tiny random model."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.engine.worker.workers import environment
from tests.tiny import TinyAdapter, TinyModel
from tests.vectors.packs import probe_pack
from trimtab.cli import application
from trimtab.commands.showing import PlainText
from trimtab.engine.contract import Receipt, Token
from trimtab.engine.identity import identify
from trimtab.vectors.library import Library

QUESTION = "The sea was calm and the sailors"
GREEDY = ("--temperature", 0, "--max-tokens", 8, "--threads", 1)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))


@pytest.fixture
def ask(tiny_llama: TinyModel) -> Any:
    def run(*arguments: object, text: str | None = None) -> Result:
        model = ("--model", str(tiny_llama.gguf), *map(str, GREEDY))
        return CliRunner().invoke(application, ["ask", *model, *map(str, arguments)], input=text)

    return run


def told(answer: Result) -> Any:
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_nothing_but_the_answer_is_on_stdout(ask: Any) -> None:
    plain, whole = ask(QUESTION), told(ask(QUESTION, "--json"))
    assert plain.exit_code == 0 and plain.stderr == ""
    assert plain.stdout == whole["text"] + "\n" and whole["text"]
    assert (whole["reason"], whole["receipt"]["reply_tokens"]) == ("length", 8)


def test_a_question_is_read_from_stdin_or_around_it(ask: Any) -> None:
    assert ask(text=QUESTION + "\n").stdout == ask(QUESTION).stdout
    around = ask("Say", "-", "again", text="this").stdout
    assert around == ask("Say \n\nthis\n\n again").stdout != ask("Say again").stdout


def test_a_pack_steers_and_the_receipt_says_so(ask: Any, tiny_llama: TinyModel) -> None:
    Library().add(probe_pack(identify(tiny_llama.gguf)))
    plain = told(ask(QUESTION, "--json", "--dial", "security=0"))
    steered = told(ask(QUESTION, "--json", "--dial", "security=3:1:none"))
    assert steered["text"] != plain["text"]
    assert plain["receipt"]["steered_tokens"] == 0 and steered["receipt"]["steered_tokens"] == 8
    assert [layer["layer"] for layer in steered["receipt"]["reply_layers"]] == [1, 2]
    assert steered["program"] == steered["receipt"]["fingerprint"] != plain["program"]


def test_explaining_says_layer_by_layer_what_was_done_and_not_on_stdout(
    ask: Any, tiny_llama: TinyModel
) -> None:
    Library().add(probe_pack(identify(tiny_llama.gguf)))
    options = ("--dial", "security=3:1:none", "--anchors", "+ good - year")
    answer = ask(QUESTION, "--explain", *options)
    assert answer.stdout == ask(QUESTION, *options).stdout
    said = answer.stderr
    assert "security: raise its probe to a logit of 6.91 (P = 0.999), at layers 1 to 2." in said
    assert "Layer 1: " in said and " of 8 positions of the reply moved by " in said
    assert "phi of anchors was " in said
    assert "said 8 tokens, 8 of them under steering" in said


def test_a_gate_that_stayed_closed_is_explained(ask: Any, tiny_llama: TinyModel) -> None:
    Library().add(probe_pack(identify(tiny_llama.gguf)))
    answer = told(ask(QUESTION, "--json", "--dial", "security=3:1:1.0"))
    (gate,) = answer["receipt"]["gates"]
    state = "open" if gate["open"] else "closed, so that it did nothing"
    assert any(f"The gate of security was {state}" in line for line in answer["explanation"])
    assert bool(answer["receipt"]["steered_tokens"]) == gate["open"]


def test_words_an_adapter_and_a_method_of_its_own_steer_too(
    ask: Any, tiny_llama: TinyModel, tiny_llama_lora: TinyAdapter
) -> None:
    Library().add(probe_pack(identify(tiny_llama.gguf)))
    plain = ask(QUESTION).stdout
    for options in (
        ("--anchors", "+ good - year", "--anchors-strength", 30),
        ("--adapter", f"{tiny_llama_lora.gguf}:2"),
        ("--dial", "security=4:1:none", "--method", "caa", "--set", "layers=best"),
        ("--preface", "You are the ship's cook, and you sing."),
        ("--system", "You are the ship's cook, and you sing."),
    ):
        answer = ask(QUESTION, *options)
        assert answer.exit_code == 0, answer.output
        assert answer.stdout != plain, options


def test_events_are_lines_of_json_and_the_last_is_the_receipt(ask: Any) -> None:
    lines = [json.loads(line) for line in ask(QUESTION, "--events").stdout.splitlines()]
    assert [line["type"] for line in lines if line["type"] != "prefill"] == ["begin", *["token"] * 8, "done"]
    assert lines[-1]["receipt"]["reply_tokens"] == 8
    assert (
        "".join(line["text"] for line in lines[1:] if "text" in line) == told(ask(QUESTION, "--json"))["text"]
    )


def test_a_seed_repeats_an_answer(ask: Any) -> None:
    first, again, other = [ask(QUESTION, "--temperature", 2, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert first == again != other


def test_notes_are_told_on_stderr(ask: Any) -> None:
    answer = ask(QUESTION, "--anchors", "+ goodness - unlikelihood", "--anchors-strength", 20)
    assert answer.exit_code == 0
    assert "beyond 8 text usually falls apart" in answer.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--dial", "security=3"), "Build it: trimtab build security --model"),
        (("--dial", "securty=3"), "Did you mean security?"),
        (("--dial", "security"), "Write it so: security=3"),
        (("--anchors", "good bad"), "Write them so: + good best:2 - bad awful"),
        (("--adapter", "missing.gguf"), "Check the path."),
        (("--anchors", "+ good", "--set", "anchors.holds=1"), "There are these options: step"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(ask: Any, options: tuple[str, ...], what: str) -> None:
    answer = ask(QUESTION, *options)
    assert answer.exit_code == 1 and answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1 and what in answer.stderr


def test_what_cannot_go_together_is_refused_as_usage(ask: Any) -> None:
    for options in (("--json", "--events"), ("--raw", "--system", "x"), ("--method", "caa")):
        assert ask(QUESTION, *options).exit_code == 2
    assert ask(text="  \n").exit_code == 2


def test_a_raw_text_is_gone_on_with(ask: Any) -> None:
    raw, chat = told(ask(QUESTION, "--raw", "--json")), told(ask(QUESTION, "--json"))
    assert raw["receipt"]["prompt_tokens"] < chat["receipt"]["prompt_tokens"]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process there")
def test_ctrl_c_ends_the_answer_and_keeps_what_was_said(tiny_llama: TinyModel, as_json: bool) -> None:
    options = ["--model", str(tiny_llama.gguf), "--threads", "1", "--temperature", "0", "--events"]
    command = [sys.executable, "-m", "trimtab", "ask", "some words", *options[: None if as_json else -1]]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        said = process.stdout.read(1)
        while as_json and b'"token"' not in said:
            said += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
        errors = process.stderr.read()
    assert process.returncode == 130, errors
    assert errors == b"" and said.endswith(b"\n") and len(said) > 1
    if as_json:
        last = json.loads(said.splitlines()[-1])
        assert (last["reason"], last["type"]) == ("cancelled", "done")
        assert last["receipt"]["reply_tokens"] > 0


def test_no_control_code_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    PlainText().event(Token(id=1, text="\x1b[31mred\x07\u202e", logprob=0.0))
    assert capsys.readouterr().out == "[31mred"


def test_what_a_terminal_cannot_show_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True))
    PlainText().event(Token(id=1, text="naïve ✓", logprob=0.0))
    assert shown.getvalue() == b"na?ve ?"


def test_receipts_of_old_say_nothing_of_what_was_not_done() -> None:
    from trimtab.chat.explaining import explain
    from trimtab.engine.program import EMPTY

    receipt = Receipt(model="minnow", vocabulary_hash="", engine="llama", fingerprint="f" * 64)
    assert explain(EMPTY, receipt) == [
        "Nothing was asked to steer.",
        "minnow said 0 tokens, 0 of them under steering.",
        "Seed 0, temperature 0.8; program ffffffffffff.",
    ]
