"""Speed: a long conversation opens, and a large store is searched, before anybody notices.

What is aimed at is 20 ms and 50 ms. The bounds leave room for slow machines, and the processor's time is
counted, so that a busy one does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.chat.stores import MADE, SETUP
from trimtab.chat.records import Conversation, Message
from trimtab.chat.store import Store

SLACK = 4
SENTENCE = "the quick brown fox keeps a steady job and never joins the travelling circus by night"


def best(work: Callable[[], object], times: int = 7) -> float:
    """Seconds of work in the fastest run."""
    took = []
    for _ in range(times):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return min(took)


def fill(store: Store, messages: int, number: int) -> int:
    about = Conversation(
        id=0,
        title=f"Chat {number}",
        named=True,
        created=1.0,
        changed=float(number),
        head=messages,
        setup=SETUP,
    )
    tree = [
        Message(
            id=id,
            parent=id - 1 or None,
            speaker="user" if id % 2 else "assistant",
            text=f"{SENTENCE[(id + number) % 40 :]} " * 10 + f"rare{id}",
            created=float(id),
            making=None if id % 2 else msgspec.structs.replace(MADE, program=f"{id:064x}"),
        )
        for id in range(1, messages + 1)
    ]
    return store.insert(about, tree).id


def test_a_conversation_of_500_messages_opens_at_once(store: Store) -> None:
    number = fill(store, 500, 1)
    assert len(store.tree(number).path()) == 500
    assert best(lambda: store.tree(number).path()) < 0.020 * SLACK


@pytest.mark.parametrize(
    "query", ["circus", "c", "rare250", "travelling circ", "never job the", "rare9", "elephant", "ob+!"]
)
def test_10_000_messages_are_searched_while_somebody_types(large: Store, query: str) -> None:
    assert best(lambda: large.search(query)) < 0.050 * SLACK
    assert best(lambda: large.find(query)) < 0.050 * SLACK
    assert best(lambda: large.search(query, conversation=3)) < 0.050 * SLACK


def test_the_list_of_conversations_is_there_at_once(large: Store) -> None:
    assert len(large.conversations()) == 20
    assert best(large.conversations) < 0.010 * SLACK


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store.open(tmp_path_factory.mktemp("large") / "chats.db")
    for number in range(20):
        fill(store, 500, number)
    yield store
    store.close()
