"""Dials as they are typed on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.chat.desk import Dial
from trimtab.chat.dial_text import parse_dial, parse_file
from trimtab.errors import TrimtabError


@pytest.mark.parametrize(
    ("text", "level", "strength", "gate"),
    [
        ("security=3", 3.0, 1.0, None),
        ("security=-2.5:0.5", -2.5, 0.5, None),
        ("security=−2:1:0.25", -2.0, 1.0, 0.25),
        ("security=3::none", 3.0, 1.0, 0.0),
        ("security=+3:2:own", 3.0, 2.0, None),
    ],
)
def test_a_dial_is_level_strength_and_gate(
    text: str, level: float, strength: float, gate: float | None
) -> None:
    assert parse_dial(text) == Dial(value="security", on=True, level=level, strength=strength, gate=gate)


@pytest.mark.parametrize(
    "text",
    ["security", "=3", "security=", "security=high", "security=1:2:3:4", "security=1:x", "security=1:1:2"],
)
def test_what_is_none_says_how_to_write_it(text: str) -> None:
    with pytest.raises(TrimtabError) as caught:
        parse_dial(text)
    assert "security=3" in caught.value.hint or "lies between" in caught.value.what


def test_a_file_may_have_a_scale_and_colons_of_its_own(tmp_path: Path) -> None:
    odd = tmp_path / "a:2"
    odd.write_bytes(b"")
    assert (parse_file(str(odd)).path, parse_file(str(odd)).scale) == (str(odd), 1.0)
    plain = parse_file(f"{tmp_path}/polite.gguf:0.5")
    assert (plain.name, plain.path, plain.scale) == ("polite", f"{tmp_path}/polite.gguf", 0.5)
    assert parse_file(f"{tmp_path}/x:y").path == f"{tmp_path}/x:y"
