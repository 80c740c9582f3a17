"""A session: what is said is stored, what is spoken can be stopped, steered, gone on with, and branched."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.chat.sessions import desk, scripted_program
from tests.chat.stores import MADE
from tests.engine.worker.scripted import WIDTH
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.desk import Desk
from trimtab.chat.errors import NotFound, SessionBusy, StoreReadOnly
from trimtab.chat.live import LiveReply, NotSaved, NotSteered
from trimtab.chat.prompt import prompt
from trimtab.chat.records import Message, Setup
from trimtab.chat.session import Session
from trimtab.chat.store import Store
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import Done, Sampling, Steered, Token
from trimtab.engine.identity import identity_of
from trimtab.engine.program import EMPTY, Program
from trimtab.errors import EngineError, ProgramError

SLACK = 1.0
"""Seconds that a busy machine may add to the second that is promised."""


@pytest.fixture
def session(shelf: AsyncStore, engine: EngineClient) -> Session:
    return Session(shelf, engine, scripted_program)


async def spoken(live: LiveReply, tokens: int) -> None:
    """Returns when so many tokens have come."""
    async for event in live:
        tokens -= isinstance(event, Token)
        if tokens <= 0:
            return


async def stored(shelf: AsyncStore, live: LiveReply, length: int) -> None:
    """Returns when so many characters are on disk."""
    while True:
        if len((await shelf(Store.message, live.message.id)).text) >= length:
            return
        await asyncio.sleep(0.05)


async def ended(session: Session, live: LiveReply) -> Message:
    message = await live.finished()
    await session.refresh()
    return message


async def test_a_turn_is_stored_and_answered(session: Session, shelf: AsyncStore) -> None:
    live = await session.send("count=3 done")
    events = [event async for event in live]
    message = await ended(session, live)
    assert [type(event) for event in events] == [Token] * 4 + [Done]
    assert [each.text for each in session.path()] == ["count=3 done", "xxxdone"]
    assert message == session.path()[-1]
    assert (message.state, len(await shelf(Store.trace, message.id))) == ("done", 4)


async def test_a_reply_is_stored_with_how_it_was_made(shelf: AsyncStore, engine: EngineClient) -> None:
    setup = Setup(system="Be kind.", sampling=Sampling(seed=7), desk=desk(2.0))
    session = Session(shelf, engine, scripted_program, setup)
    made = (await ended(session, await session.send("sum"))).making
    assert made is not None and engine.info is not None
    assert made.setup == setup == session.setup
    assert (made.model, made.model_fingerprint) == ("scripted", identity_of(engine.info).fingerprint)
    assert made.program == scripted_program(desk(2.0)).fingerprint
    assert made.receipt is not None and made.receipt.fingerprint == made.program
    assert made.ended == "end" and made.timings.tokens == 1
    assert made.timings.first_token is not None and made.timings.first_token <= made.timings.seconds
    assert session.path()[-1].text == f"{2 * WIDTH}"


async def test_the_turn_is_on_disk_before_the_reply_begins(session: Session, shelf: AsyncStore) -> None:
    await session.send("sleep=30")
    (said, begun) = (await shelf(Store.tree, 1)).path()
    assert said.text == "sleep=30" and (begun.state, begun.text) == ("streaming", "")
    await session.stop()


async def test_a_reply_in_progress_is_on_disk_within_a_second(session: Session, shelf: AsyncStore) -> None:
    live = await session.send("forever")
    await spoken(live, 1)
    for _ in range(4):
        async with asyncio.timeout(1.0 + SLACK):
            await stored(shelf, live, len(live.text))
        await asyncio.sleep(0.3)
    await session.stop()


async def test_it_is_written_no_more_than_it_has_to_be(session: Session, shelf: AsyncStore) -> None:
    live = await session.send("forever")
    await spoken(live, 1)
    changes = await shelf.run(lambda store: store._database.connection.total_changes)
    await asyncio.sleep(2.0)
    more = await shelf.run(lambda store: store._database.connection.total_changes) - changes
    assert 2 <= more <= 2 * 4, "two rows at a time, and in two seconds no more than four times"
    await session.stop()


async def test_stopping_keeps_what_was_said(session: Session) -> None:
    live = await session.send("forever")
    await spoken(live, 20)
    message = await session.stop()
    assert message is not None
    assert message.state == "stopped" and len(message.text) >= 20 and set(message.text) == {"x"}
    assert message.making is not None and message.making.ended == "cancelled"
    assert session.live is None and await session.stop() is None


async def test_stopping_at_once_keeps_the_turn(session: Session) -> None:
    await session.send("forever")
    message = await session.stop()
    assert message is not None and message.state == "stopped"
    assert session.path()[0].text == "forever"


async def test_one_reply_is_spoken_at_a_time(session: Session) -> None:
    live = await session.send("forever")
    for attempt in (session.send("more"), session.regenerate(), session.edit(live.message.id, "no")):
        with pytest.raises(SessionBusy):
            await attempt
    await session.stop()
    assert len(session.path()) == 2


async def test_a_stopped_reply_goes_on_in_a_copy(session: Session) -> None:
    live = await session.send("forever")
    await spoken(live, 5)
    await session.stop()
    await session.edit(live.message.id, "half a")
    assert session.path()[-1].text == "half a"
    whole = await ended(session, await session.resume())
    assert whole.text == "half ahalfa" and (whole.kept, whole.state) == (6, "done")
    assert session.tree is not None and len(session.tree.versions(whole.id)) == 3
    assert whole.making is not None and whole.making.receipt is not None


async def test_regenerating_and_editing_leave_the_others(session: Session) -> None:
    first = await ended(session, await session.send("one"))
    second = await ended(session, await session.regenerate())
    said = session.path()[0]
    live = await session.edit(said.id, "two")
    assert live is not None
    await ended(session, live)
    assert [each.text for each in session.path()] == ["two", "two"]
    await session.show(first.id)
    assert session.path() == [said, first]
    await session.show(second.id)
    assert session.path() == [said, second]
    assert session.tree is not None and len(session.tree.messages) == 5


async def test_again_unsteered_leaves_the_desk(session: Session) -> None:
    await session.steer(desk(2.0))
    steered = await ended(session, await session.send("sum"))
    plain = await ended(session, await session.regenerate(desk=Desk(), seed=5))
    assert (steered.text, plain.text) == (f"{2 * WIDTH}", "0")
    assert plain.making is not None and plain.making.setup.sampling.seed == 5
    assert session.setup.desk == desk(2.0) and session.setup.sampling.seed is None


async def test_a_branch_goes_on_by_itself(session: Session) -> None:
    first = await ended(session, await session.send("one"))
    await ended(session, await session.send("two"))
    branch = await session.branch(first.id)
    await ended(branch, await branch.send("three"))
    assert [each.text for each in branch.path()] == ["one", "one", "three", "three"]
    assert [each.text for each in session.path()] == ["one", "one", "two", "two"]


async def test_a_dial_moved_while_it_speaks_is_marked(session: Session, shelf: AsyncStore) -> None:
    live = await session.send("forever")
    await spoken(live, 5)
    await session.steer(desk(3.0))
    async for event in live:
        if isinstance(event, Steered):
            break
    await spoken(live, 5)
    message = await session.stop()
    assert message is not None and message.making is not None
    (mark,) = message.making.marks
    assert mark.desk == desk(3.0) and mark.program == scripted_program(desk(3.0)).fingerprint
    assert 5 <= mark.index < len(message.text) and mark.offset == mark.index
    assert message.making.setup.desk == Desk(), "what it began under"
    assert (await shelf(Store.conversation, 1)).setup.desk == desk(3.0)


async def test_of_many_moves_the_last_counts(session: Session) -> None:
    live = await session.send("forever")
    await spoken(live, 1)
    await asyncio.gather(*(session.steer(desk(level / 10), save=False) for level in range(1, 41)))
    await asyncio.sleep(0.3)
    message = await session.stop()
    assert message is not None and message.making is not None
    assert message.making.marks[-1].desk == desk(4.0) == session.setup.desk
    assert len(message.making.marks) < 40


async def test_a_dial_moved_before_the_first_token_acts_on_this_reply_alone(
    session: Session, shelf: AsyncStore, engine: EngineClient
) -> None:
    """Two conversations share an engine: the second waits its turn, and its dials do not reach the first."""
    other = Session(shelf, engine, scripted_program)
    first = await other.send("forever")
    await spoken(first, 1)
    waiting = await session.send("prefill=3 count=50")
    await session.steer(desk(1.0))
    await spoken(first, 5)
    stopped = await other.stop()
    message = await ended(session, waiting)
    assert stopped is not None and stopped.making is not None and stopped.making.marks == ()
    assert message.making is not None and [mark.desk for mark in message.making.marks] == [desk(1.0)]


async def test_a_desk_that_makes_no_program_leaves_the_one_before(
    shelf: AsyncStore, engine: EngineClient
) -> None:
    async def make(desk: Desk) -> Program:
        if desk.silenced:
            raise ProgramError("This cannot be.", "Try another.")
        return EMPTY

    session = Session(shelf, engine, make)
    live = await session.send("forever")
    await spoken(live, 1)
    await session.steer(Desk(silenced=True))
    async for event in live:
        if isinstance(event, NotSteered):
            assert event.error.what == "This cannot be."
            break
    await spoken(live, 3)
    assert (await live.stop()).state == "stopped"
    with pytest.raises(ProgramError):
        await session.send("one")
    assert session.setup.desk.silenced
    await session.steer(Desk())
    await ended(session, await session.regenerate())
    assert [each.text for each in session.path()][-2:] == ["one", "one"], "the turn was kept and is answered"


async def test_a_worker_that_dies_leaves_what_was_said_and_is_started_again(session: Session) -> None:
    live = await session.send("forever")
    await spoken(live, 10)
    assert session._engine.pid is not None
    os.kill(session._engine.pid, signal.SIGKILL)
    message = await ended(session, live)
    assert message.state == "error" and len(message.text) >= 10
    assert live.error is not None and "SIGKILL" in live.error.what
    assert message.making is not None and "SIGKILL" in message.making.error
    await ended(session, await session.send("back"))
    assert session.path()[-1].text == "back"


async def test_without_a_model_the_turn_is_kept(shelf: AsyncStore, worker_environment: None) -> None:
    async with EngineClient.start(engine="tests.engine.worker.scripted:make") as engine:
        session = Session(shelf, engine, scripted_program)
        with pytest.raises(EngineError, match="No model"):
            await session.send("anybody?")
        assert [each.text for each in session.path()] == ["anybody?"]


async def test_a_disk_that_refuses_does_not_silence_the_reply(session: Session, shelf: AsyncStore) -> None:
    live = await session.send("forever")
    await spoken(live, 1)
    await shelf.run(lambda store: store._database.connection.execute("PRAGMA query_only = ON"))
    async for event in live:
        if isinstance(event, NotSaved):
            break
    said = len(live.text)
    await spoken(live, 10)
    with pytest.raises(StoreReadOnly):
        await live.stop()
    assert len(live.text) > said and not live.saved
    with pytest.raises(StoreReadOnly):
        await session.send("more")
    await shelf.run(lambda store: store._database.connection.execute("PRAGMA query_only = OFF"))
    await ended(session, await session.send("more"))
    assert [each.text for each in session.path()] == ["forever", live.text, "more", "more"]


async def test_closing_keeps_what_is_being_spoken(session: Session, shelf: AsyncStore) -> None:
    live = await session.send("forever")
    await spoken(live, 3)
    await session.close()
    kept = await shelf(Store.message, live.message.id)
    assert kept.state == "stopped" and kept.text == live.text


async def test_a_session_opens_where_it_was_left(session: Session, shelf: AsyncStore) -> None:
    await session.steer(desk(2.0))
    await ended(session, await session.send("one"))
    again = await Session.open(shelf, session._engine, scripted_program, 1)
    assert again.path() == session.path() and again.setup == session.setup
    with pytest.raises(NotFound):
        await Session(shelf, session._engine, scripted_program).regenerate()


async def test_nobody_has_to_read_the_events(session: Session) -> None:
    message = await ended(session, await session.send("count=2000"))
    assert len(message.text) == 2000


def test_what_the_model_is_sent_takes_turns() -> None:
    def message(id: int, speaker: str, text: str) -> Message:
        made = MADE if speaker == "assistant" else None
        return Message(id=id, parent=id - 1 or None, speaker=speaker, text=text, created=0, making=made)  # type: ignore[arg-type]

    path = [
        message(1, "user", "a"), message(2, "assistant", ""), message(3, "user", "b"),
        message(4, "assistant", "c"), message(5, "user", "d"),
    ]  # fmt: skip
    sent = [(each.role, each.content) for each in prompt("Be.", path, "so far")]
    assert sent == [
        ("system", "Be."), ("user", "a\n\nb"), ("assistant", "c"), ("user", "d"), ("assistant", "so far"),
    ]  # fmt: skip
    assert [each.role for each in prompt(" \n", path)] == ["user", "assistant", "user"]
