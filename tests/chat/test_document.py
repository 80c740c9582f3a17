"""Exports: JSON that comes back as an equal tree, Markdown that people read, and imports that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chat.stores import DESK, MADE, SETUP, conversation, reply
from trimtab.chat.document import from_json, to_json
from trimtab.chat.errors import ImportRefused
from trimtab.chat.markdown import closed, to_markdown
from trimtab.chat.records import Conversation, Message
from trimtab.chat.store import Store
from trimtab.chat.tree import Tree


def bushy(store: Store) -> int:
    """A conversation with edits, several replies, a stopped one that was gone on with, and a dial moved within."""
    conversation(store, 1)  # so that numbers differ from those in the file
    said = store.begin(SETUP, "Should I stay?\n\n* [x] `a`")
    number = store.conversation_of(said.id)
    first = reply(store, said, "Stay.")
    begun = store.begin_reply(said.id, MADE)
    stopped = store.settle(begun.id, "```python\nprint(1)", MADE, "stopped")
    further = store.begin_reply(said.id, MADE, going_on=stopped.id)
    store.settle(further.id, "```python\nprint(1)\n```\nYes.", MADE, "error")
    store.edit(said.id, "Should I go?")
    store.say(number, "Another beginning", None)
    store.edit(first.id, "Stay [bold]here[/].")
    store.rename(number, "Night *train*")
    return number


def test_a_tree_goes_through_json_and_comes_back_equal(store: Store) -> None:
    tree = store.tree(bushy(store))
    copy = store.insert(*from_json(to_json(tree).encode()))
    again = store.tree(copy.id)
    assert to_json(again) == to_json(tree)
    shift = copy.id and min(again.messages) - min(tree.messages)
    for old, new in zip(tree.messages.values(), again.messages.values(), strict=True):
        assert new == msgspec.structs.replace(
            old,
            id=old.id + shift,
            parent=None if old.parent is None else old.parent + shift,
            origin=None if old.origin is None else old.origin + shift,
        )
    same = msgspec.structs.replace(tree.conversation, id=copy.id, head=again.conversation.head)
    assert again.conversation == same
    assert len(store.search("print")) == 4


def test_an_import_into_another_store_is_whole(store: Store) -> None:
    exported = to_json(store.tree(bushy(store)))
    other = Store.temporary()
    number = other.insert(*from_json(exported.encode())).id
    assert to_json(other.tree(number)) == exported
    assert [each.title for each in other.conversations()] == ["Night *train*"]
    other.close()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.text(max_size=20)), max_size=30))
def test_any_tree_goes_through_json(plan: list[tuple[int, bool, str]]) -> None:
    from trimtab.chat import cleaning

    messages: list[Message] = []
    for number, (below, user, text) in enumerate(plan, 1):
        parent = below % number or None
        speaker = "user" if user else "assistant"
        messages.append(
            Message(id=number, parent=parent, speaker=speaker, text=cleaning.text(text), created=1.5)  # type: ignore[arg-type]
        )
    about = Conversation(
        id=0, title="t", named=True, created=1.0, changed=2.0, head=len(messages) or None, setup=SETUP
    )
    whole = to_json(Tree(about, messages))
    assert from_json(whole.encode()) == (about, messages)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    store = Store.temporary()
    file = json.loads(to_json(store.tree(bushy(store))))
    store.close()
    change(file)
    return json.dumps(file).encode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.update(format="another"), "no chat that Trimtab exported"),
        (lambda file: file.update(version=2), "newer Trimtab"),
        (lambda file: file.update(extra=1), "extra"),
        (lambda file: file.pop("setup"), "setup"),
        (lambda file: file.update(head=99), "head"),
        (lambda file: file.update(head=0), "head"),
        (lambda file: file["messages"][1].update(parent=2), "stands below"),
        (lambda file: file["messages"][1].update(parent=9), "stands below"),
        (lambda file: file["messages"][1].update(parent=-1), "stands below"),
        (lambda file: file["messages"][1].update(id=1), "numbered"),
        (lambda file: file["messages"][1].update(speaker="system"), "speaker"),
        (lambda file: file["messages"][1].update(state="gone"), "state"),
        (lambda file: file["messages"][0].update(state="streaming"), "made by a model"),
        (lambda file: file["setup"]["sampling"].update(temperature=-1), "temperature"),
        (lambda file: file["setup"]["desk"]["dials"][0].update(level=1e9), "level"),
        (lambda file: file["setup"]["desk"]["dials"].append(file["setup"]["desk"]["dials"][0]), "two dials"),
    ],
)
def test_what_forms_no_conversation_is_refused(change: Callable[[dict[str, Any]], object], says: str) -> None:
    with pytest.raises(ImportRefused, match=says) as caught:
        from_json(changed(change))
    assert caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}', b"{}"]
)
def test_what_is_no_file_of_ours_is_refused(content: bytes) -> None:
    with pytest.raises(ImportRefused):
        from_json(content)


def test_what_comes_in_is_made_safe() -> None:
    def hostile(file: dict[str, Any]) -> None:
        file["title"] = "a\x1b[31m\nb"
        file["messages"][1].update(text="c\x1b]0;d\x07\u202e", kept=10**6, origin=7, state="streaming")

    about, messages = from_json(changed(hostile))
    assert about.title == "a[31m b"
    assert (messages[1].text, messages[1].kept, messages[1].origin) == ("c]0;d", 5, None)
    store = Store.temporary()
    number = store.insert(about, messages).id
    assert {each.state for each in store.tree(number).messages.values()} == {"done", "stopped", "error"}
    store.close()


def test_markdown_shows_the_path_and_how_it_was_steered(store: Store) -> None:
    number = bushy(store)
    stopped = store.tree(number).messages[5]
    store.move_head(number, stopped.id)
    text = to_markdown(store.tree(number), UTC)
    assert text.startswith("# Night \\*train\\*\n\n2023-11-14 22:13\n\n> Be brief.\n> Be kind.\n\n## You\n\n")
    assert "Should I stay?\n\n* [x] `a`\n\n## minnow\n\n```python\nprint(1)\n```\n\n*security +3.0" in text
    assert "from token 2: unsteered · security gate open 0.83 of 0.20 · 41 of 52 tokens steered" in text
    assert text.rstrip().endswith("stopped*")
    assert "Should I go?" not in text


def test_markdown_says_that_a_reply_was_edited(store: Store) -> None:
    text = to_markdown(store.tree(bushy(store)))
    assert "## Assistant\n\nStay [bold]here[/].\n\n*edited*" in text


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a", "a"),
        ("```\na", "```\na\n```"),
        ("```\na\n```", "```\na\n```"),
        ("````\n```\na", "````\n```\na\n````"),
        ("~~~x\n```\n", "~~~x\n```\n\n~~~"),
        ("```inline``` text", "```inline``` text"),
        ("    ```\n", "    ```\n"),
    ],
)
def test_an_open_code_block_is_closed(text: str, whole: str) -> None:
    assert closed(text) == whole


def test_the_export_names_every_dial(store: Store) -> None:
    setup = json.loads(to_json(store.tree(conversation(store, 1))))["setup"]
    assert [dial["value"] for dial in setup["desk"]["dials"]] == [dial.value for dial in DESK.dials]
