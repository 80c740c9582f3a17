"""Whatever is done to a conversation, in any order: the tree is as a plain list of messages says it is."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.chat.stores import MADE
from trimtab.chat.document import from_json, to_json
from trimtab.chat.records import Setup
from trimtab.chat.store import Store

WORDS = st.text(alphabet="ab c\n", max_size=8)


@dataclasses.dataclass
class Known:
    """What a message must be, as it was told when it was made."""

    parent: int | None
    speaker: str
    text: str
    state: str = "done"


class Conversations(RuleBasedStateMachine):
    """One conversation, in a store in memory, beside a dictionary that remembers all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.temporary()
        first = self.store.begin(Setup(), "first")
        self.number = self.store.conversation_of(first.id)
        self.known = {first.id: Known(None, "user", "first")}
        self.head: int | None = first.id

    def teardown(self) -> None:
        self.store.close()

    def pick(self, data: Any, speaker: str | None = None, *, settled: bool = True) -> int | None:
        fitting = [
            id
            for id, known in self.known.items()
            if (speaker is None or known.speaker == speaker) and (settled != (known.state == "streaming"))
        ]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    def made(self, id: int, known: Known) -> None:
        assert id not in self.known
        self.known[id] = known
        self.head = id

    @rule(data=st.data(), text=WORDS, root=st.booleans())
    def say(self, data: Any, text: str, root: bool) -> None:
        parent = None if root else self.pick(data)
        self.made(self.store.say(self.number, text, parent).id, Known(parent, "user", text))

    @rule(data=st.data(), text=WORDS)
    def edit(self, data: Any, text: str) -> None:
        old = self.pick(data)
        assert old is not None
        new = Known(self.known[old].parent, self.known[old].speaker, text)
        self.made(self.store.edit(old, text).id, new)

    @rule(data=st.data())
    def begin_reply(self, data: Any) -> None:
        parent = self.pick(data, "user")
        assert parent is not None
        new = self.store.begin_reply(parent, MADE)
        self.made(new.id, Known(parent, "assistant", "", "streaming"))

    @rule(data=st.data())
    def go_on(self, data: Any) -> None:
        old = self.pick(data, "assistant")
        if old is None:
            return
        parent = self.known[old].parent
        assert parent is not None
        new = self.store.begin_reply(parent, MADE, going_on=old)
        self.made(new.id, Known(parent, "assistant", self.known[old].text, "streaming"))

    @precondition(lambda self: any(known.state == "streaming" for known in self.known.values()))
    @rule(data=st.data(), text=WORDS, state=st.sampled_from(["streaming", "done", "stopped", "error"]))
    def speak(self, data: Any, text: str, state: Any) -> None:
        id = self.pick(data, settled=False)
        assert id is not None
        begun = self.store.message(id)
        text = begun.text[: begun.kept] + text  # what it goes on with stays its beginning
        if state == "streaming":
            self.store.keep(id, text, MADE)
        else:
            self.store.settle(id, text, MADE, state)
        self.known[id].text, self.known[id].state = text, state

    @rule(data=st.data())
    def move_head(self, data: Any) -> None:
        self.head = self.pick(data)
        self.store.move_head(self.number, self.head)

    @rule(data=st.data())
    def show(self, data: Any) -> None:
        message = self.pick(data)
        assert message is not None
        if message not in self.path(self.head):
            below = [id for id in self.known if message in self.path(id)]
            self.head = max(below)
        assert self.store.show(message).head == self.head

    @rule(data=st.data())
    def branch(self, data: Any) -> None:
        at = self.pick(data)
        new = self.store.branch(at or 0)
        copies = self.store.tree(new.id).path()
        assert [each.text for each in copies] == [self.known[id].text for id in self.path(at)]
        self.store.delete(new.id)

    @rule()
    def purge(self) -> None:
        self.store.purge()

    @rule()
    def export_and_import(self) -> None:
        whole = to_json(self.store.tree(self.number)).replace('"streaming"', '"stopped"')
        copy = self.store.insert(*from_json(whole.encode()))
        assert to_json(self.store.tree(copy.id)) == whole
        self.store.delete(copy.id)

    def path(self, to: int | None) -> list[int]:
        found = []
        while to is not None:
            found.append(to)
            to = self.known[to].parent
        return found[::-1]

    @invariant()
    def the_store_agrees(self) -> None:
        tree = self.store.tree(self.number)
        assert {
            id: Known(each.parent, each.speaker, each.text, each.state) for id, each in tree.messages.items()
        } == self.known
        assert [each.id for each in tree.path()] == self.path(self.head)
        for parent in (None, *self.known):
            assert list(tree.children(parent)) == [
                id for id, known in self.known.items() if known.parent == parent
            ]

    @invariant()
    def search_finds_what_is_settled(self) -> None:
        hits = {hit.message for hit in self.store.search("a", conversation=self.number, limit=10_000)}
        assert hits == {
            id
            for id, known in self.known.items()
            if known.state != "streaming" and any(word.startswith("a") for word in known.text.split())
        }


Conversations.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTree = Conversations.TestCase
