"""A session over a real model in a real worker: dials change what is said, and the receipt says how."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chat.sessions import desk, shifting
from tests.tiny import TinyModel
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.desk import Desk
from trimtab.chat.document import from_json, to_json
from trimtab.chat.records import Message, Setup
from trimtab.chat.session import Session
from trimtab.chat.store import Store
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest, Sampling, Steered, Token

ENDLESS = Sampling(temperature=0.0)


@pytest_asyncio.fixture
async def session(
    worker_environment: None, shelf: AsyncStore, tiny_llama: TinyModel
) -> AsyncIterator[Session]:
    async with EngineClient.start() as engine:
        info = await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, context=512))
        setup = Setup(system="plain words", sampling=Sampling(temperature=0.0, max_tokens=12))
        yield Session(shelf, engine, shifting(info.width), setup)


async def said(session: Session, text: str) -> Message:
    message = await (await session.send(text)).finished()
    await session.refresh()
    return message


async def test_a_dial_changes_the_reply_and_the_receipt_says_how(session: Session) -> None:
    plain = await said(session, "some words")
    steered = await (await session.regenerate(desk=desk(4.0))).finished()
    again = await (await session.regenerate(desk=Desk())).finished()
    assert plain.text == again.text != steered.text
    assert plain.making is not None and steered.making is not None
    assert plain.making.receipt is not None and steered.making.receipt is not None
    assert plain.making.receipt.steered_tokens == 0 and steered.making.receipt.steered_tokens == 12
    assert [layer.layer for layer in steered.making.receipt.reply_layers] == [1]
    assert steered.making.program == steered.making.receipt.fingerprint != plain.making.program


async def test_the_history_is_sent_and_the_cache_is_used(session: Session) -> None:
    first = await said(session, "some words")
    second = await said(session, "and more words")
    assert first.making is not None and second.making is not None
    assert first.making.receipt is not None and second.making.receipt is not None
    assert second.making.receipt.cached_tokens > 0
    assert second.making.receipt.prompt_tokens > first.making.receipt.prompt_tokens


async def test_a_reply_cut_short_goes_on_where_it_ended(session: Session) -> None:
    cut = await said(session, "some words")
    whole = await (await session.resume()).finished()
    assert cut.making is not None and cut.making.ended == "length" and cut.making.receipt is not None
    assert whole.making is not None and whole.making.receipt is not None
    assert whole.text.startswith(cut.text) and whole.kept == len(cut.text) < len(whole.text)
    assert whole.making.receipt.prompt_tokens > cut.making.receipt.prompt_tokens, "its beginning was read"
    assert whole.making.timings.tokens == 12


async def test_a_dial_moved_within_a_reply_acts_and_is_kept(session: Session, shelf: AsyncStore) -> None:
    await session.set_up(Setup(sampling=ENDLESS))
    live = await session.send("some words")
    await anext(event async for event in live if isinstance(event, Token))
    await session.steer(desk(4.0))
    await anext(event async for event in live if isinstance(event, Steered))
    await anext(event async for event in live if isinstance(event, Token))
    message = await live.stop()
    assert message.making is not None and message.making.receipt is not None
    (mark,) = message.making.marks
    assert message.making.receipt.steered == ((mark.index, mark.program),)
    tokens = await shelf(Store.trace, message.id)
    assert [bool(token.shift) for token in tokens] == [at >= mark.index for at in range(len(tokens))]

    sampling = Sampling(temperature=0.0, max_tokens=mark.index)
    await session.refresh()
    await session.set_up(Setup(sampling=sampling))
    plain = await (await session.regenerate(desk=Desk())).finished()
    assert plain.text.startswith(message.text[: mark.offset]), "until then it was as it would have been"


async def test_what_was_spoken_goes_through_json(session: Session, shelf: AsyncStore) -> None:
    await session.steer(desk(2.0))
    await said(session, "some words")
    await session.regenerate(desk=Desk())
    await session.stop()
    assert session.tree is not None
    exported = to_json(session.tree)
    copy = await shelf(Store.insert, *from_json(exported.encode()))
    assert to_json(await shelf(Store.tree, copy.id)) == exported


async def test_two_conversations_share_an_engine(session: Session, shelf: AsyncStore) -> None:
    alone = await said(session, "some words")
    other = Session(shelf, session._engine, session._make_program, session.setup)
    left, right = await session.regenerate(), await other.send("some words")
    assert (await left.finished()).text == (await right.finished()).text == alone.text


@pytest.mark.parametrize("length", [600])
async def test_what_does_not_fit_the_window_is_an_error_that_is_kept(session: Session, length: int) -> None:
    message = await said(session, "word " * length)
    assert message.state == "error" and message.text == ""
    assert message.making is not None and "window" in message.making.error
    assert (await said(session, "again")).state == "error", "the long turn still stands before it"
    await session.edit(session.path()[0].id, "short")
    assert session.live is not None
    assert (await session.live.finished()).state == "done"
