"""Search: whatever somebody types finds the words that stand there, and nothing typed is a command."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chat.stores import MADE, SETUP, conversation, reply
from trimtab.chat.store import Store
from trimtab.chat.words import match, snippet


def found(store: Store, query: str) -> list[int]:
    return [hit.message for hit in store.search(query)]


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ("the travelling circus", "circus"),
        ("the travelling circus", "trav"),
        ("the travelling circus", "circ travelling"),
        ("the travelling circus", "CIRCUS"),
        ("un café crème", "cafe"),
        ("un cafe creme", "CAFÉ"),
        ("Straße", "straße"),
        ("今天天气很好", "天气"),
        ("今天天气很好", "气"),
        ("東京タワー", "タワ"),
        ("สวัสดีครับ", "ดีครับ"),
        ("full-width ＡＢＣ", "abc"),
        ("don't stop", "don't"),
        ("a_snake_case name", "snake"),
        ("a_snake_case name", "a_snake"),
        ("C++ & C#", "++"),
        ("well 😀 then", "😀"),
        ('say "AND" or NEAR(x)', '"AND" OR near('),
        ("100% sure", "100%"),
    ],
)
def test_words_are_found(store: Store, said: str, query: str) -> None:
    store.begin(SETUP, "something else")
    message = store.begin(SETUP, said)
    assert found(store, query) == [message.id]


@pytest.mark.parametrize(
    "query",
    ["", "  ", "elephant", "circus elephant", "ircus", "circus OR elephant", "text:circus NOT x", "*"],
)
def test_what_does_not_stand_there_is_not_found(store: Store, query: str) -> None:
    store.begin(SETUP, "the travelling circus")
    assert store.search(query) == [] and store.find(query) == []


def test_the_newest_come_first_and_no_more_than_asked_for(store: Store) -> None:
    number = conversation(store, 3, "lantern")
    ids = sorted((each.id for each in store.tree(number).path()), reverse=True)
    assert found(store, "lantern") == ids
    assert [hit.message for hit in store.search("lantern", limit=2)] == ids[:2]


def test_one_conversation_can_be_searched_alone(store: Store) -> None:
    first, second = conversation(store, 1, "lantern"), conversation(store, 1, "lantern")
    assert {hit.conversation for hit in store.search("lantern")} == {first, second}
    assert {hit.conversation for hit in store.search("lantern", conversation=first)} == {first}
    assert {hit.conversation for hit in store.search("?", conversation=first)} == set()


def test_conversations_are_found_by_title_and_by_what_was_said(store: Store) -> None:
    titled, said = conversation(store, 1), conversation(store, 2, "lantern")
    conversation(store, 1, "nothing")
    store.rename(titled, "Lanterns of the harbour")
    by_title, by_text = sorted(store.find("lantern"), key=lambda each: each.summary.id)
    assert (by_title.summary.id, by_title.hit) == (titled, None)
    assert by_text.summary.id == said and by_text.hit is not None
    assert by_text.hit.message == store.conversation(said).head
    store.rename(titled, "Ships")
    assert [each.summary.id for each in store.find("lantern")] == [said]


def test_other_versions_are_found_too_and_can_be_shown(store: Store) -> None:
    said = store.begin(SETUP, "one")
    first = reply(store, said, "the lighthouse")
    reply(store, said, "the harbour")
    (hit,) = store.search("lighthouse")
    assert store.show(hit.message).head == first.id


def test_a_reply_in_progress_is_found_once_it_is_settled(store: Store) -> None:
    said = store.begin(SETUP, "one")
    begun = store.begin_reply(said.id, MADE)
    store.keep(begun.id, "lant", MADE)
    assert found(store, "lant") == []
    store.settle(begun.id, "lantern", MADE, "done")
    assert found(store, "lant") == [begun.id]


def test_a_snippet_shows_the_words_where_they_stand() -> None:
    text = "filler " * 100 + "the\ntravelling Circus came " + "filler " * 100
    shown = snippet(text, "circus trav")
    assert [shown.text[start:stop] for start, stop in shown.spans] == ["trav", "Circus"]
    assert shown.text.startswith("…") and shown.text.endswith("…") and "\n" not in shown.text


def test_a_snippet_finds_words_through_accents_and_widths() -> None:
    shown = snippet("ﬁn — un CAFÉ", "cafe fin")
    assert [shown.text[start:stop] for start, stop in shown.spans] == ["ﬁn", "CAFÉ"]


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=200))
def test_any_query_makes_a_snippet_of_any_text(query: str, text: str) -> None:
    shown = snippet(text, query)
    assert all(0 <= start < stop <= len(shown.text) for start, stop in shown.spans)


def test_any_query_is_words_and_never_syntax() -> None:
    store = Store.temporary()
    store.begin(SETUP, "a b c and or not near")

    @settings(deadline=None)
    @given(st.text(max_size=60) | st.text(alphabet="\"'*:()^+-{}ANDORTE ab", max_size=40))
    def any_query(query: str) -> None:
        store.search(query)
        store.search(query, conversation=1)
        store.find(query)
        assert all(each in '" *' or each.isalnum() for each in match(query).replace(" AND ", " "))

    any_query()
    store.close()
