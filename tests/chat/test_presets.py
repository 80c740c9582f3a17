"""Presets: a desk saved under a name comes back the same, from this machine or another."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chat.stores import DESK, SETUP
from trimtab.chat.desk import MAX_LEVEL, AnchorDial, Desk, Dial, FileDial, summary
from trimtab.chat.errors import ImportRefused, NotFound
from trimtab.chat.presets import Preset, Presets, from_toml, read, to_toml
from trimtab.engine.contract import Sampling
from trimtab.errors import TrimtabError

CAREFUL = Preset(
    name="careful", note="For money.", system='Say "why".\nAlways.', sampling=SETUP.sampling, desk=DESK
)
numbers = st.floats(-MAX_LEVEL, MAX_LEVEL)
desks = st.builds(
    Desk,
    dials=st.lists(
        st.builds(Dial, value=st.from_regex(r"[a-z]{1,8}", fullmatch=True), on=st.booleans(), level=numbers),
        unique_by=lambda dial: dial.value,
        max_size=4,
    ).map(tuple),
    anchors=st.builds(AnchorDial, text=st.text(max_size=30), on=st.booleans()),
    vectors=st.lists(
        st.builds(FileDial, name=st.from_regex(r"\w+", fullmatch=True), scale=numbers), max_size=2
    ).map(tuple),
    silenced=st.booleans(),
)


@settings(deadline=None)
@given(desks, st.none() | st.text(max_size=40), st.text(max_size=40))
def test_any_preset_goes_through_toml(desk: Desk, system: str | None, note: str) -> None:
    preset = Preset(name="any", note=note, system=system, sampling=Sampling(stop=('"', "\\")), desk=desk)
    assert from_toml(to_toml(preset).encode()) == preset


def test_a_saved_preset_is_recalled(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets")
    assert presets.names() == []
    path = presets.save(CAREFUL)
    presets.save(Preset(name="Ünruly / ../x"))
    assert path.name == "careful.toml"
    assert presets.names() == ["careful", "Ünruly / ../x"]
    assert presets.recall("careful") == CAREFUL
    assert sorted(each.name for each in presets.folder.iterdir()) == ["careful.toml", "unruly-x.toml"]


def test_saving_again_replaces_and_removing_removes(tmp_path: Path) -> None:
    presets = Presets(tmp_path)
    presets.save(CAREFUL)
    presets.save(Preset(name="careful", note="Better."))
    presets.save(Preset(name="Careful!"))
    assert presets.recall("careful").note == "Better."
    assert presets.names() == ["careful", "Careful!"]
    presets.remove("careful")
    presets.remove("never there")
    assert presets.names() == ["Careful!"]
    with pytest.raises(NotFound, match="no preset"):
        presets.recall("careful")


def test_a_shared_preset_tells_nothing_of_this_machine() -> None:
    shared = to_toml(CAREFUL, share=True)
    assert "/somewhere" not in shared and "ab" * 32 in shared
    assert from_toml(shared.encode()).desk.dials == DESK.dials


def test_a_preset_is_written_as_people_write_it() -> None:
    written = tomllib.loads(to_toml(CAREFUL))
    assert written["desk"]["dials"][0] == {
        "value": "security", "key": "6", "on": True, "level": 3.0, "strength": 0.5, "gate": 0.2,
    }  # fmt: skip
    by_hand = 'name = "mine"\n[[desk.dials]]\nvalue = "security"\non = true\nlevel = 3\n'
    assert from_toml(by_hand.encode()).desk == Desk(dials=(Dial(value="security", on=True, level=3.0),))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"name = ''", b"name = 1", b"\xff", b"name = 'a'\nx = 1", b"name = 'a'\n[desk]\ndials = 3",
        b"name = 'a'\n[[desk.dials]]\nvalue = 'v'\nlevel = nan", b"name = 'a'\nb = " + b"[" * 50_000,
        b"name = 'a'\n[sampling]\ntemperature = -3", b"name = 'a'\n[[desk.dials]]\nvalue = 'v'\ngate = 2",
    ],
)  # fmt: skip
def test_what_is_no_preset_is_refused_and_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ImportRefused) as caught:
        read(tmp_path / "bad.toml")
    assert "bad.toml" in caught.value.what
    presets = Presets(tmp_path)
    presets.save(CAREFUL)
    assert presets.names() == ["careful"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ImportRefused, match="cannot be read"):
            read(place)
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(ImportRefused, match="larger"):
        read(tmp_path / "large.toml")


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    presets = Presets(tmp_path)
    presets.save(CAREFUL)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrimtabError, match="disk is full"):
        presets.save(Preset(name="careful"))
    assert presets.recall("careful") == CAREFUL
    assert [each.name for each in tmp_path.iterdir()] == ["careful.toml"]


def test_a_desk_is_told_in_one_line() -> None:
    assert summary(DESK) == "security +3.0, anchors + good best − bad, polite ×0.5"
    assert summary(Desk()) == "" and not Desk().steers
    assert not Desk(dials=DESK.dials, silenced=True).steers
    assert summary(Desk(dials=(Dial(value="power", on=True, level=-0.5),))) == "power −0.5"


@pytest.mark.parametrize("bad", [{"level": float("nan")}, {"strength": -1.0}, {"gate": 1.5}, {"value": " "}])
def test_a_dial_that_cannot_be_is_refused(bad: dict[str, float | str]) -> None:
    with pytest.raises(TrimtabError):
        Dial(**{"value": "security", **bad})  # type: ignore[arg-type]
