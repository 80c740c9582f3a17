"""What goes wrong with the file of a store: told in words, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chat.stores import MADE, SETUP, conversation, texts
from trimtab.chat import database, migrations
from trimtab.chat.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreTooNew,
)
from trimtab.chat.store import Store

ROOT = Path(__file__).parents[2]


def fill(path: Path, conversations: int = 3) -> None:
    store = Store.open(path)
    for number in range(conversations):
        conversation(store, 2, f"lantern{number} " * 200)
    store.close()


def asides(path: Path) -> list[Path]:
    return sorted(path.parent.glob("chats-damaged-*.db"))


def test_a_file_that_is_no_database_is_set_aside_and_kept(path: Path) -> None:
    path.write_bytes(b"these were chats once" * 100)
    store = Store.open(path)
    (aside,) = asides(path)
    assert aside.read_bytes() == b"these were chats once" * 100
    assert aside.name in store.notices[0] and "new beginning" in store.notices[0]
    store.begin(SETUP, "on we go")
    store.close()
    assert Store.open(path).conversations()[0].title == "on we go"


def test_what_can_be_read_of_a_damaged_database_is_saved(path: Path) -> None:
    fill(path)
    content = bytearray(path.read_bytes())
    behind = sqlite3.connect(path)
    (root,) = behind.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'message_words_data'"
    ).fetchone()
    behind.close()
    content[(root - 1) * 4096 : root * 4096] = os.urandom(4096)
    path.write_bytes(content)
    store = Store.open(path)
    assert len(asides(path)) == 1 and asides(path)[0].read_bytes() == bytes(content)
    assert "All 3 could be saved" in store.notices[0]
    assert len(store.conversations()) == 3 and len(texts(store, 3)) == 4
    assert len(store.search("lantern1")) == 4
    store.close()


@pytest.mark.parametrize("page", [0, 1, 2, 5, 9, 14, 20])
@pytest.mark.parametrize("garbage", [b"\0", b"\xa5"])
def test_no_damage_keeps_the_chat_from_starting(path: Path, page: int, garbage: bytes) -> None:
    """A page overwritten anywhere, the first included."""
    fill(path, 2)
    content = bytearray(path.read_bytes())
    assert len(content) > (page + 1) * 4096
    content[page * 4096 : (page + 1) * 4096] = garbage * 4096
    path.write_bytes(content)
    store = Store.open(path)
    store.begin(SETUP, "on we go")
    assert len(store.search("on we go")) == 1
    assert all(aside.read_bytes() == bytes(content) for aside in asides(path))
    assert asides(path) or len(store.conversations()) == 3
    store.close()


def test_damage_met_later_is_told_and_mended_at_the_next_start(path: Path) -> None:
    fill(path)
    store = Store.open(path)
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    store._database.connection.execute("PRAGMA shrink_memory")
    with pytest.raises(StoreDamaged, match="damaged") as caught:
        store.tree(1)
    assert "Start Trimtab again" in caught.value.hint
    store._database.close()
    store._owner.leave()
    again = Store.open(path)
    assert len(asides(path)) == 1 and again.notices
    again.close()


def test_a_damaged_file_is_not_taken_from_another_that_runs(path: Path) -> None:
    running = Store.open(path)
    running.begin(SETUP, "one")
    running._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"no database any more")
    with pytest.raises(StoreDamaged, match="another running"):
        Store.open(path)
    assert path.exists() and asides(path) == []
    running._database.connection.close()
    running._owner.leave()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (id)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_newer_database_is_left_alone(path: Path) -> None:
    fill(path, 1)
    behind = sqlite3.connect(path)
    behind.execute("PRAGMA user_version = 99")
    behind.close()
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match="format 99") as caught:
        Store.open(path)
    assert "Update Trimtab" in caught.value.hint
    assert path.read_bytes() == before


def test_an_older_database_is_brought_up_to_date_with_all_it_holds(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    old.execute(f"PRAGMA application_id = {database.APPLICATION}")
    migrations.migrate(old, "old", migrations.STEPS[:1])
    old.execute("INSERT INTO setup (digest, content) VALUES ('d', '{}')")
    old.execute("INSERT INTO conversation (title, named, created, changed, setup) VALUES ('Old', 0, 1, 1, 1)")
    old.execute(
        "INSERT INTO message (conversation, speaker, text, created, state, kept)"
        " VALUES (1, 'user', 'a lantern', 1, 'done', 0)"
    )
    old.execute("UPDATE conversation SET head = 1")
    old.close()
    store = Store.open(path)
    assert texts(store, 1) == ["a lantern"] and len(store.search("lantern")) == 1
    assert [found.summary.title for found in store.find("old")] == ["Old"]
    store.close()


def test_a_step_that_fails_leaves_the_database_as_it_was(path: Path) -> None:
    fill(path, 1)

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE trace")
        connection.execute("nonsense")

    behind = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(behind, "here", (*migrations.STEPS, fails))
    assert migrations.version(behind) == len(migrations.STEPS)
    assert behind.execute("SELECT count(*) FROM trace").fetchone() == (0,)
    behind.close()


def test_a_full_disk_is_told_and_what_was_stored_stays(store: Store) -> None:
    said = store.begin(SETUP, "one")
    begun = store.begin_reply(said.id, MADE)
    store.keep(begun.id, "so far", MADE)
    (pages,) = store._database.connection.execute("PRAGMA page_count").fetchone()
    store._database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="full") as caught:
        store.keep(begun.id, "too much " * 10_000, MADE)
    assert "Make room" in caught.value.hint
    assert store.message(begun.id).text == "so far"
    store._database.connection.execute("PRAGMA max_page_count = 100000")
    assert store.settle(begun.id, "too much " * 10_000, MADE, "done").state == "done"


def test_a_quota_is_told_and_what_was_stored_stays(path: Path) -> None:
    """A limit on the size of files, set by the system, in a process of its own."""
    fill(path, 1)
    code = f"""
import resource, sys
from pathlib import Path
from trimtab.chat.errors import StoreFull
from trimtab.chat.records import Setup
from trimtab.chat.store import Store
store = Store.open(Path({str(path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    store.begin(Setup(), "x" * 1_000_000)
except StoreFull as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.begin(Setup(), "there is room again")
    store.close()
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 7
    store = Store.open(path)
    assert store.conversations()[0].title == "there is room again"
    assert len(store.conversations()) == 2
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("existing", [True, False])
def test_a_read_only_folder_is_told(tmp_path: Path, existing: bool) -> None:
    """As somebody whom permissions bind, which an administrator is not."""
    folder = tmp_path / "locked"
    folder.mkdir()
    if existing:
        fill(folder / "chats.db", 1)
    for path in folder.iterdir():
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    code = f"""
import os, sys
from pathlib import Path
from trimtab.chat.errors import StoreReadOnly
from trimtab.chat.store import Store
if os.geteuid() == 0:
    os.chdir({str(folder)!r})
    os.setgid(65534); os.setuid(65534)
    place = Path("chats.db")
else:
    place = Path({str(folder)!r}) / "chats.db"
try:
    Store.open(place)
except StoreReadOnly as error:
    sys.exit(7 if "TRIMTAB_HOME" in error.hint else 8)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([sys.executable, "-c", code], check=False, env=environment)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 7


def test_a_database_that_stays_locked_is_told(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._database.connection.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(StoreBusy, match="Another program"):
        store.begin(SETUP, "one")
    other.execute("ROLLBACK")
    other.close()
    store.begin(SETUP, "now")


def test_a_damaged_index_of_words_is_made_again(path: Path) -> None:
    fill(path, 1)
    behind = sqlite3.connect(path)
    behind.execute("DELETE FROM message_words_data WHERE id > 10")
    behind.commit()
    behind.close()
    store = Store.open(path)
    with pytest.raises(StoreDamaged):
        store.search("lantern0")
    store.close()
    again = Store.open(path)
    assert again.notices == () and len(again.search("lantern0")) == 4
    again.close()


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "chats.db").mkdir()
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "chats.db")
    assert caught.value.hint


def test_the_database_is_written_ahead_and_through(store: Store) -> None:
    connection = store._database.connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
