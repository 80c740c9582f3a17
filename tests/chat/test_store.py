"""The store: what is said is kept as a tree, nothing is overwritten, and all of it comes back."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from tests.chat.stores import DAY, DESK, MADE, SETUP, TOKENS, Clock, conversation, reply, texts
from trimtab.chat.desk import Desk
from trimtab.chat.errors import NotFound, StoreError
from trimtab.chat.records import Making, Setup
from trimtab.chat.store import KEPT_DELETED, Store


def test_a_conversation_comes_back_after_a_restart(path: Path) -> None:
    store = Store.open(path)
    said = store.begin(SETUP, "Should I stay?")
    answer = reply(store, said, "Stay.")
    before = store.tree(1)
    store.close()
    again = Store.open(path)
    assert again.tree(1).conversation == before.conversation
    assert again.tree(1).path() == [said, answer]
    assert again.message(answer.id).making == MADE
    again.close()


def test_editing_a_turn_makes_another_beside_it(store: Store) -> None:
    said = store.begin(SETUP, "one")
    answer = reply(store, said, "uno")
    edited = store.edit(said.id, "two")
    tree = store.tree(1)
    assert texts(store, 1) == ["two"]
    assert list(tree.versions(said.id)) == [said.id, edited.id]
    assert tree.path(answer.id) == [said, answer]
    assert edited.origin == said.id


def test_regenerating_makes_another_reply_beside_it(store: Store) -> None:
    said = store.begin(SETUP, "one")
    first, second = reply(store, said, "uno"), reply(store, said, "un")
    assert texts(store, 1) == ["one", "un"]
    assert list(store.tree(1).versions(first.id)) == [first.id, second.id]


def test_going_back_to_a_version_leads_to_the_end_of_its_newest_line(store: Store) -> None:
    said = store.begin(SETUP, "one")
    first = reply(store, said, "uno")
    further = reply(store, store.say(1, "and two?", first.id), "dos")
    reply(store, said, "un")
    store.show(first.id)
    assert texts(store, 1) == ["one", "uno", "and two?", "dos"]
    store.move_head(1, first.id)
    store.show(said.id)
    assert store.conversation(1).head == first.id
    assert store.tree(1).leaf(first.id) == further.id


def test_the_head_may_stand_before_everything(store: Store) -> None:
    store.begin(SETUP, "one")
    store.move_head(1, None)
    assert texts(store, 1) == []
    store.say(1, "another beginning", None)
    assert texts(store, 1) == ["another beginning"]


def test_a_branch_is_a_conversation_of_its_own(store: Store) -> None:
    number = conversation(store, 3)
    path = store.tree(number).path()
    branched = store.branch(path[3].id)
    assert texts(store, branched.id) == [message.text for message in path[:4]]
    assert [each.making for each in store.tree(branched.id).path()] == [each.making for each in path[:4]]
    assert (branched.origin, branched.setup) == (path[3].id, SETUP)
    store.delete(number)
    store.purge()
    assert len(texts(store, branched.id)) == 4


def test_a_branch_off_a_reply_in_progress_holds_what_was_said(store: Store) -> None:
    said = store.begin(SETUP, "one")
    begun = store.begin_reply(said.id, MADE)
    store.keep(begun.id, "u", MADE)
    copy = store.tree(store.branch(begun.id).id).path()[-1]
    assert (copy.text, copy.state) == ("u", "stopped")
    assert store.message(begun.id).state == "streaming"


def test_going_on_with_a_stopped_reply_keeps_both(store: Store) -> None:
    said = store.begin(SETUP, "one")
    begun = store.begin_reply(said.id, MADE)
    stopped = store.settle(begun.id, "un", MADE, "stopped")
    further = store.begin_reply(said.id, MADE, going_on=stopped.id)
    whole = store.settle(further.id, "uno, dos", MADE, "done")
    assert (whole.origin, whole.kept, whole.text) == (stopped.id, 2, "uno, dos")
    assert store.message(stopped.id).text == "un"


def test_a_settled_message_cannot_be_changed(store: Store, path: Path) -> None:
    said = store.begin(SETUP, "one")
    answer = reply(store, said, "uno")
    with pytest.raises(StoreError, match="settled"):
        store.keep(answer.id, "dos", MADE)
    with pytest.raises(StoreError, match="settled"):
        store.settle(answer.id, "dos", MADE, "done")
    behind = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="does not change"):
        behind.execute("UPDATE message SET text = 'forged'")
    behind.close()
    assert texts(store, 1) == ["one", "uno"]


def test_a_reply_answers_a_user_and_messages_stay_in_their_conversation(store: Store) -> None:
    said = store.begin(SETUP, "one")
    answer = reply(store, said, "uno")
    other = store.begin(SETUP, "elsewhere")
    with pytest.raises(StoreError, match="answers"):
        store.begin_reply(answer.id, MADE)
    with pytest.raises(NotFound, match="another chat"):
        store.say(1, "lost", other.id)
    with pytest.raises(NotFound, match="another chat"):
        store.move_head(1, other.id)
    with pytest.raises(NotFound):
        store.message(99)
    with pytest.raises(NotFound):
        store.tree(99)


def test_a_setup_belongs_to_its_conversation_and_a_reply_keeps_its_own(store: Store) -> None:
    said = store.begin(SETUP, "one")
    answer = reply(store, said, "uno")
    store.begin(Setup(), "two")
    store.set_up(1, Setup(system="Be long."))
    assert store.conversation(1).setup == Setup(system="Be long.")
    assert store.conversation(2).setup == Setup()
    made = store.message(answer.id).making
    assert made is not None and made.setup.desk == DESK


def test_setups_are_kept_once_and_removed_with_their_last_user(store: Store, path: Path) -> None:
    conversation(store, 20)
    store.begin(Setup(desk=Desk(silenced=True)), "two")
    behind = sqlite3.connect(path)
    count = "SELECT count(*) FROM setup"
    assert behind.execute(count).fetchone() == (2,)
    store.delete(1)
    store.purge()
    assert behind.execute(count).fetchone() == (1,)
    assert behind.execute("SELECT count(*) FROM making").fetchone() == (0,)
    behind.close()


def test_titles_come_from_the_first_message_until_somebody_chooses_one(store: Store) -> None:
    store.begin(SETUP, "\n\n## **Night** train\nto somewhere")
    assert store.conversation(1).title == "Night train"
    renamed = store.rename(1, "  A [bold]\x1b[31m trip \n by night ")
    assert (renamed.title, renamed.named) == ("A [bold][31m trip by night", True)
    back = store.rename(1, " ")
    assert (back.title, back.named) == ("Night train", False)


@pytest.mark.parametrize("text", ["", "   \n", "\x1b\x07", "?!"])
def test_every_conversation_has_a_title(store: Store, text: str) -> None:
    store.begin(SETUP, text)
    assert store.conversation(1).title.strip()


def test_long_titles_are_cut_between_words(store: Store) -> None:
    store.begin(SETUP, "a word " * 40)
    title = store.conversation(1).title
    assert len(title) <= 60 and title.endswith("word a…")


def test_the_list_begins_with_what_changed_last(store: Store) -> None:
    for text in ("one", "two", "three"):
        store.begin(SETUP, text)
    store.say(1, "more", None)
    assert [each.title for each in store.conversations()] == ["one", "three", "two"]
    assert [each.messages for each in store.conversations()] == [2, 1, 1]
    assert [each.title for each in store.conversations(limit=1, offset=1)] == ["three"]


def test_a_deleted_conversation_can_be_had_back(store: Store) -> None:
    number = conversation(store, 2, "lighthouse")
    store.delete(number)
    assert store.conversations() == [] and store.search("lighthouse") == [] and store.find("lighthouse") == []
    assert [each.id for each in store.conversations(deleted=True)] == [number]
    store.restore(number)
    assert len(texts(store, number)) == 4 and len(store.search("lighthouse")) == 4


def test_what_was_deleted_long_ago_is_removed_at_a_start(path: Path, clock: Clock) -> None:
    with_two = Store.open(path, clock=clock)
    for text in ("old", "recent"):
        with_two.begin(SETUP, text)
    with_two.delete(1)
    clock.now += KEPT_DELETED - DAY
    with_two.delete(2)
    clock.now += 2 * DAY
    with_two.close()
    again = Store.open(path, clock=clock)
    assert [each.title for each in again.conversations(deleted=True)] == ["recent"]
    with pytest.raises(NotFound):
        again.restore(1)
    again.begin(SETUP, "new")
    assert again.conversations()[0].id == 3, "a number is never given twice"
    again.close()


def test_control_codes_do_not_come_in(store: Store) -> None:
    hostile = "a\x1b[31mb\u202ec\x00d\r\ne\rf\x9b\ud800"
    said = store.begin(Setup(system=hostile), hostile)
    answer = reply(store, said, hostile)
    edited = store.edit(said.id, hostile)
    clean = "a[31mbcd\ne\nf?"
    assert {said.text, answer.text, edited.text, store.conversation(1).setup.system} == {clean}


def test_what_each_token_measured_is_kept_and_branched(store: Store) -> None:
    said = store.begin(SETUP, "one")
    begun = store.begin_reply(said.id, MADE)
    store.settle(begun.id, "Keep it.", MADE, "done", TOKENS)
    copy = store.tree(store.branch(begun.id).id).path()[-1]
    assert store.trace(begun.id) == store.trace(copy.id) == TOKENS
    assert store.trace(said.id) == ()


def test_an_unreadable_receipt_closes_no_conversation(store: Store, path: Path) -> None:
    said = store.begin(SETUP, "one")
    reply(store, said, "uno")
    behind = sqlite3.connect(path)
    behind.execute('UPDATE making SET receipt = \'{"of": "another version"}\'')
    behind.commit()
    behind.close()
    made = store.tree(1).path()[-1].making
    assert made is not None and made.receipt is None and made.model == "minnow"


def test_only_the_thread_that_opened_it_may_use_it(store: Store) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            store.conversations()
        except sqlite3.ProgrammingError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert caught


def test_another_process_may_write_meanwhile(store: Store, path: Path) -> None:
    other = Store.open(path)
    assert store.changed_elsewhere()
    assert not store.changed_elsewhere()
    store.begin(SETUP, "own")
    assert not store.changed_elsewhere()
    other.begin(SETUP, "from elsewhere")
    assert store.changed_elsewhere()
    assert [each.title for each in store.conversations()] == ["from elsewhere", "own"]
    other.close()


def test_a_store_in_memory_does_all_but_last(clock: Clock) -> None:
    store = Store.temporary(clock=clock)
    number = conversation(store, 2, "lighthouse")
    assert len(store.search("light")) == 4 and len(texts(store, number)) == 4
    assert store.path is None
    store.close()


def test_closing_stops_what_this_process_was_speaking(path: Path) -> None:
    store = Store.open(path)
    said = store.begin(SETUP, "one")
    begun = store.begin_reply(said.id, Making())
    store.keep(begun.id, "un", Making())
    store.close()
    again = Store.open(path)
    assert (again.message(begun.id).state, again.message(begun.id).text) == ("stopped", "un")
    assert again.notices == () and len(again.search("un")) == 1
    again.close()
    assert not list(path.with_name("chats.db.running").iterdir())
