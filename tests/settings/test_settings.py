"""The settings: documented, checked, and written back with every comment in its place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import TrimtabError
from trimtab.settings import Chat, Settings, SettingsFile, documented, read
from trimtab.settings.editing import edited, written
from trimtab.settings.file import template

COMMENTED = """\
# mine
[chat]   # how it talks
temperature = 0.5  # calm
system = "a # b"

[look]
theme = 'trimtab-light'

[keys]
send = "ctrl+s"
"""


def test_a_missing_file_is_all_defaults(tmp_path: Path) -> None:
    assert read(tmp_path / "none.toml") == Settings()


def test_every_setting_says_what_it_means() -> None:
    found = list(documented())
    assert len(found) > 10
    assert all(each.meaning.endswith(".") for each in found)
    assert {each.group for each in found} == {"look", "chat", "model"}


def test_the_file_that_is_begun_shows_every_setting_and_changes_nothing() -> None:
    assert tomllib.loads(template()) == {"look": {}, "chat": {}, "model": {}, "keys": {}}
    assert all(f"# {each.name} = " in template() for each in documented())


def test_uncommented_the_defaults_are_the_defaults(tmp_path: Path) -> None:
    lines = template().splitlines()
    whole = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line and "send" not in line else line for line in lines
    )
    (tmp_path / "s.toml").write_text(whole)
    assert read(tmp_path / "s.toml") == Settings()


def test_a_change_leaves_everything_else_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(COMMENTED)
    changed = SettingsFile(path).set("chat", "temperature", 0.25)
    assert path.read_text() == COMMENTED.replace("0.5", "0.25")
    assert changed.chat.temperature == 0.25 and changed.keys == {"send": "ctrl+s"}


def test_a_new_setting_stands_below_its_default(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.toml"
    SettingsFile(path).set("chat", "system", 'Be "kind".\nAnd brief.')
    lines = path.read_text().splitlines()
    at = lines.index('# system = ""')
    assert lines[at + 1] == 'system = "Be \\"kind\\".\\nAnd brief."'
    assert read(path).chat.system == 'Be "kind".\nAnd brief.'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# only a comment",
        "[chat]",
        "[chat]\r\nsystem = 'x'\r\n",
        "[look]\ntheme = 'x'",
        "[chat]\nsystem = 'a' # b\n\n[keys]\n",
    ],
)
def test_any_file_takes_a_change(content: str) -> None:
    before, after = tomllib.loads(content), tomllib.loads(edited(content, "chat", "top_k", 7, "it"))
    assert after == {**before, "chat": {**before.get("chat", {}), "top_k": 7}}
    assert set(content.splitlines()) <= set(edited(content, "chat", "top_k", 7, "it").splitlines())


@pytest.mark.parametrize(
    "content", ["chat = {top_k = 1}", "chat.top_k = 1\n", '[chat]\ntop_k = """\n1"""', "chat = 1"]
)
def test_an_odd_layout_is_left_alone_and_says_what_to_write(content: str) -> None:
    with pytest.raises(TrimtabError, match="top_k = 7"):
        edited(content, "chat", "top_k", 7, "it")


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_can_be_a_setting(text: str) -> None:
    assert tomllib.loads(edited(COMMENTED, "chat", "system", text, "it"))["chat"]["system"] == text


@settings(deadline=None)
@given(
    st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))
)
def test_any_number_can_be_a_setting(value: float) -> None:
    assert tomllib.loads(f"x = {written(value)}")["x"] == value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[chat]\ntemperature = -1", "temperature"), ("[chat]\nheat = 1", "heat"), ("[chat", "cannot be used"),
        ("[model]\nengine = 'gpu'", "engine"), ("x = " + "[" * 5000, "cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "s.toml").write_text(content)
    with pytest.raises(TrimtabError, match=says):
        read(tmp_path / "s.toml")


def test_a_change_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(COMMENTED)
    with pytest.raises(TrimtabError, match="temperature"):
        SettingsFile(path).set("chat", "temperature", -3.0)
    assert path.read_text() == COMMENTED and list(tmp_path.iterdir()) == [path]


def test_settings_cannot_be_changed_by_accident() -> None:
    with pytest.raises(AttributeError):
        Chat().system = "x"  # type: ignore[misc]
