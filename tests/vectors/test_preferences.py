"""Preference data in the forms that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.errors import TrimtabError
from trimtab.vectors.preferences import Example, read_side


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_text_is_a_response_a_line(tmp_path: Path) -> None:
    assert read_side(write(tmp_path / "a.txt", "One.", "", " Two. ")) == [
        Example("", "One."),
        Example("", "Two."),
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
        {"question": "Why?", "response": "So."},
        {"chosen": "\n\nHuman: Who?\n\nAssistant: Me.\n\nHuman: Why?\n\nAssistant: So.", "rejected": ""},
        {
            "prompt": [{"role": "user", "content": "Why?"}],
            "chosen": [{"role": "assistant", "content": "So."}],
            "score": 1,
        },
    ],
)
def test_json_lines_hold_a_question_and_an_answer(tmp_path: Path, row: dict[str, object]) -> None:
    assert read_side(write(tmp_path / "a.jsonl", row), "chosen") == [Example("Why?", "So.")]


@pytest.mark.parametrize("line", ["no json", "[1]", '{"prompt": "x"}', '{"response": 3}', "[" * 100_000])
def test_a_line_that_holds_no_response_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "a.jsonl", {"response": "fine"}, line)
    with pytest.raises(TrimtabError, match=r"a\.jsonl, line 2"):
        read_side(path, "chosen")


def test_files_that_are_not_there_or_hold_nothing_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrimtabError, match="cannot be read"):
        read_side(tmp_path / "missing.txt")
    with pytest.raises(TrimtabError, match="holds no responses"):
        read_side(write(tmp_path / "empty.txt", ""))
