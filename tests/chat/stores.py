"""Conversations for the tests of the store."""

from __future__ import annotations

import dataclasses

from trimtab.chat.desk import AnchorDial, Desk, Dial, FileDial
from trimtab.chat.records import Making, Mark, Message, Setup, Timings
from trimtab.chat.store import Store
from trimtab.engine.contract import GateScore, LayerShift, PhiMeans, Receipt, Sampling, Token

DAY = 86400.0


@dataclasses.dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


DESK = Desk(
    dials=(
        Dial(value="security", key="6", on=True, level=3.0, strength=0.5, gate=0.2),
        Dial(value="stimulation", key="2", level=-1.5),
    ),
    anchors=AnchorDial(text="+ good best − bad", strength=4.5),
    adapters=(FileDial(name="polite", digest="ab" * 32, path="/somewhere/polite.gguf", scale=0.5),),
    vectors=(FileDial(name="calm", on=False),),
)
SETUP = Setup(system="Be brief.\nBe kind.", sampling=Sampling(temperature=0.0, seed=2**64 - 1), desk=DESK)
RECEIPT = Receipt(
    model="minnow",
    vocabulary_hash="00",
    engine="llama",
    fingerprint="f" * 64,
    steered=((4, "e" * 64),),
    gates=(GateScore(label="security", score=0.83, threshold=0.2, open=True),),
    reply_layers=(LayerShift(layer=3, positions=52, moved=41, mean=1.7, maximum=2.5),),
    phi={"anchors": PhiMeans(before=None, after=4.0)},
    reply_tokens=52,
    steered_tokens=41,
    seed=2**64 - 1,
)
MARK = Mark(offset=8, index=2, program="e" * 64, desk=Desk(silenced=True), deferred=("Preface",))
MADE = Making(
    setup=SETUP,
    model="minnow",
    model_fingerprint="m" * 64,
    program="f" * 64,
    seed=2**64 - 1,
    ended="end",
    marks=(MARK,),
    timings=Timings(first_token=0.1, seconds=1.5, tokens=52),
    receipt=RECEIPT,
)
TOKENS = (
    Token(id=5, text="Keep", logprob=-0.5, phi={"anchors": 1.0}, watched={"security": 0.9}, shift={3: 1.7}),
    Token(id=6, text=" it.", logprob=-0.25),
)


def reply(store: Store, to: Message, text: str, making: Making = MADE) -> Message:
    """A settled reply."""
    begun = store.begin_reply(to.id, making)
    return store.settle(begun.id, text, making, "done")


def conversation(store: Store, turns: int, words: str = "word") -> int:
    """A conversation of so many turns, each a question and an answer; its number."""
    said = store.begin(SETUP, f"question 0 {words}")
    number = store.conversation_of(said.id)
    answer = reply(store, said, f"answer 0 {words}")
    for turn in range(1, turns):
        said = store.say(number, f"question {turn} {words}", answer.id)
        answer = reply(store, said, f"answer {turn} {words}")
    return number


def texts(store: Store, number: int) -> list[str]:
    """The path that is being looked at."""
    return [message.text for message in store.tree(number).path()]
