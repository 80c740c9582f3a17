"""Preference pairs are read in the shapes in which people keep them, and a wrong line is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.support import user
from trimtab.engine.contract import Message
from trimtab.training.errors import TrainingError
from trimtab.training.pair_files import read_pairs
from trimtab.training.pairs import Pair

ASKED = [{"role": "user", "content": "well?"}]


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "well?", "chosen": "yes", "rejected": "no"},
        {"prompt": ASKED, "chosen": "yes", "rejected": "no", "score": 4},
        {"messages": ASKED, "chosen": "yes", "rejected": "no"},
        {"messages": ASKED, "chosen": [said("yes")], "rejected": [said("no")]},
        {"chosen": [*ASKED, said("yes")], "rejected": [*ASKED, said("no")]},
        {"prompt": "well?", "chosen": [*ASKED, said("yes")], "rejected": [*ASKED, said("no")]},
    ],
)
def test_the_shapes_mean_the_same(tmp_path: Path, line: dict[str, Any]) -> None:
    assert read_pairs(written(tmp_path, line)).pairs == (Pair("yes", "no", user("well?")),)


def test_a_system_prompt_and_turns_before_are_kept(tmp_path: Path) -> None:
    turns = [*ASKED, said("so-so"), {"role": "user", "content": "and now?"}]
    (pair,) = read_pairs(
        written(tmp_path, {"system": "Be brief.", "prompt": turns, "chosen": "yes", "rejected": "no"})
    ).pairs
    assert [message.role for message in pair.prompt] == ["system", "user", "assistant", "user"]
    assert pair.prompt[0] == Message(role="system", content="Be brief.")


def test_a_text_to_continue_is_no_conversation(tmp_path: Path) -> None:
    line = {"text": "It was", "chosen": " good.", "rejected": " bad."}
    assert read_pairs(written(tmp_path, line)).pairs == (Pair(" good.", " bad.", text="It was"),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"prompt": "well?", "chosen": "yes"}, "rejected"),
        ({"chosen": "yes", "rejected": "no"}, "needs a prompt"),
        ({"prompt": "well?", "text": "It was", "chosen": "yes", "rejected": "no"}, "needs a prompt"),
        ({"prompt": "well?", "chosen": " ", "rejected": "no"}, "empty"),
        ({"prompt": [said("hm")], "chosen": "yes", "rejected": "no"}, "end with the user"),
        ({"prompt": "well?", "chosen": [*ASKED, said("yes")], "rejected": "no"}, "same conversation"),
        ({"prompt": "how?", "messages": ASKED, "chosen": "yes", "rejected": "no"}, "two prompts"),
        ({"prompt": [{"role": "tool", "content": "x"}], "chosen": "yes", "rejected": "no"}, "role|tool"),
        ([1, 2], "object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: Any, reason: str) -> None:
    good = {"prompt": "well?", "chosen": "yes", "rejected": "no"}
    with pytest.raises(TrainingError, match=f"line 3: .*({reason})") as caught:
        read_pairs(written(tmp_path, good, line))
    assert caught.value.hint


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")
