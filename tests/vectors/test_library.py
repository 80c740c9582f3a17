"""The library of packs: nothing half written, nothing lost, whoever is killed when."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from tests.vectors.packs import TINY, imported_pack, probe_pack
from trimtab.vectors.library import Library
from trimtab.vectors.library_lock import locked
from trimtab.vectors.pack_errors import LibraryError, PackError
from trimtab.vectors.pack_writing import to_bytes

OTHER = msgspec.structs.replace(TINY, name="Other", vocabulary_hash="a" * 64)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "packs")


def names(library: Library) -> list[str]:
    return [entry.name for entry in library.entries()]


def test_what_was_added_is_found_and_listed(library: Library) -> None:
    library.add(probe_pack())
    library.add(imported_pack())
    assert names(library) == ["ornate", "security"]
    assert library.find("security").pack == probe_pack()
    assert library.read("ornate") == imported_pack()


def test_packs_lie_in_a_folder_for_each_model(library: Library) -> None:
    entry = library.add(probe_pack())
    assert entry.path == library.root / TINY.fingerprint / "security.gguf"
    assert entry.path.read_bytes() == to_bytes(probe_pack())


def test_it_lies_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    assert Library().root == tmp_path / "data" / "packs"


def test_a_library_that_is_not_there_yet_is_empty(library: Library) -> None:
    assert library.entries() == []
    with pytest.raises(LibraryError, match="no pack called x") as caught:
        library.find("x")
    assert "trimtab build" in caught.value.hint


def test_a_name_that_is_nearly_right_is_proposed(library: Library) -> None:
    library.add(probe_pack())
    with pytest.raises(LibraryError, match="Did you mean security"):
        library.find("securty")


def test_the_same_name_may_belong_to_two_models_and_is_then_asked_for(library: Library) -> None:
    library.add(probe_pack())
    library.add(probe_pack(OTHER))
    with pytest.raises(LibraryError, match="2 models have a pack called security"):
        library.find("security")
    assert library.find("security", OTHER.fingerprint).pack == probe_pack(OTHER)
    assert [entry.pack for entry in library.entries(TINY.fingerprint)] == [probe_pack()]


def test_another_pack_is_replaced_only_if_wanted(library: Library) -> None:
    library.add(probe_pack())
    library.add(probe_pack())  # the same again
    with pytest.raises(LibraryError, match="another pack called security"):
        library.add(probe_pack(level=2.0))
    library.add(probe_pack(level=2.0), replace=True)
    assert library.read("security") == probe_pack(level=2.0)
    library.add(probe_pack(), "security-old")
    assert names(library) == ["security", "security-old"]


@pytest.mark.parametrize("name", ["../up", "a/b", "A", ".hidden", "x" * 65, "con", "nul", "com1", "a\n", "ä"])
def test_a_name_is_no_path(library: Library, name: str) -> None:
    with pytest.raises(LibraryError, match="cannot be called"):
        library.add(probe_pack(), name)


def test_what_is_removed_is_gone_and_leaves_no_folder(library: Library) -> None:
    entry = library.add(probe_pack())
    assert library.remove("security").pack == probe_pack()
    assert library.entries() == []
    assert not entry.path.parent.exists()
    with pytest.raises(LibraryError, match="no pack called security"):
        library.remove("security")


def test_a_damaged_pack_is_listed_with_its_fault_and_spoils_nothing(library: Library) -> None:
    library.add(imported_pack())
    path = library.add(probe_pack()).path
    path.write_bytes(path.read_bytes()[:500])
    sound, damaged = library.entries()
    assert sound.pack == imported_pack()
    assert damaged.pack is None and "damaged" in damaged.fault
    with pytest.raises(PackError, match="damaged"):
        library.read("security")
    library.remove("security")
    assert names(library) == ["ornate"]


def test_a_pack_that_was_moved_to_another_models_folder_is_named(library: Library) -> None:
    path = library.add(probe_pack()).path
    folder = library.root / OTHER.fingerprint
    folder.mkdir()
    path.rename(folder / path.name)
    [entry] = library.entries()
    assert entry.pack is None and "another model" in entry.fault


def test_what_is_no_pack_is_left_alone(library: Library) -> None:
    path = library.add(probe_pack()).path
    for stranger in (library.root / "notes.txt", path.with_name("notes.txt"), path.with_name("My Pack.gguf")):
        stranger.write_text("mine")
    assert names(library) == ["security"]
    library.remove("security")
    assert path.with_name("notes.txt").read_text() == "mine"


def test_a_folder_that_may_not_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "packs").write_text("a file where the folder should be")
    with pytest.raises(LibraryError, match="cannot be changed"):
        Library(tmp_path / "packs").add(probe_pack())


def test_who_holds_the_lock_is_waited_for(library: Library) -> None:
    library.add(imported_pack())
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(library.root / ".lock"):
            inside.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(30)
    with pytest.raises(LibraryError, match="Another Trimtab"), locked(library.root / ".lock", patience=0.1):
        pass
    leave.set()
    library.add(probe_pack())
    holder.join()
    assert names(library) == ["ornate", "security"]


WRITER = """
import os, signal, sys
from pathlib import Path
from tests.vectors.packs import probe_pack
from trimtab.vectors.library import Library

library, moment = Library(Path(sys.argv[1])), sys.argv[2]
calls = {"n": 0}

def fatal(name, real, after):
    def call(*arguments, **options):
        if not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

name, _, when = moment.partition(":")
owner = Path if name in ("replace", "unlink") else os
setattr(owner, name, fatal(name, getattr(owner, name), when == "after"))
library.add(probe_pack(level=3.0), replace=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", ["fsync:before", "fsync:after", "replace:before", "replace:after"])
def test_a_writer_killed_at_any_step_leaves_the_old_pack_or_the_new_one(
    library: Library, moment: str
) -> None:
    library.add(probe_pack())
    answer = subprocess.run(
        [sys.executable, "-c", WRITER, str(library.root), moment], check=False, timeout=120
    )
    assert answer.returncode == -signal.SIGKILL
    replaced = moment == "replace:after"
    assert library.read("security") == (probe_pack(level=3.0) if replaced else probe_pack())
    assert names(library) == ["security"]
    left = list(library.root.rglob("*.part"))
    assert len(left) == (0 if replaced else 1)
    library.add(imported_pack())
    assert not list(library.root.rglob("*.part"))
    assert names(library) == ["ornate", "security"]


BUSY = """
import sys
from pathlib import Path
from tests.vectors.packs import TINY, probe_pack
import msgspec
from trimtab.vectors.library import Library

model = msgspec.structs.replace(TINY, width=4096, layers=8)
packs = [probe_pack(model, level=float(level)) for level in range(2)]
library = Library(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for pack in packs:
        library.add(pack, replace=True)
        library.add(pack, f"level-{pack.level:.0f}", replace=True)
        library.remove(f"level-{pack.level:.0f}")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_only_whole_packs(library: Library) -> None:
    draw = random.Random(5)
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", BUSY, str(library.root)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(draw.uniform(0.05, 0.4))
            writer.kill()
        entries = library.entries()
        assert all(entry.pack is not None for entry in entries), [entry.fault for entry in entries]
        library.sweep()
        assert not list(library.root.rglob("*.part"))
    assert "security" in names(library)
