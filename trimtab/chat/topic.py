"""What a gate is asked about: a follow-up ("why?") says nothing of its own, and keeps the answer of its topic."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.engine.contract import Message
from trimtab.vectors.words import is_context, words

MOST_WORDS = 8
"""A longer message says what it is about."""

_ANSWERING = """
agree answer because clarify continue correct detail details different differently elaborate example examples
exactly expand explain explanation fine hm hmm interesting know mean meant ok okay opinion please point
possible prefer question reason reasons repeat right seriously shorter longer simpler sorry sure thank thanks
think true understand why wrong yeah yep nope
warum wieso weshalb und bitte weiter danke genau wirklich pourquoi et merci vraiment perché perche davvero grazie
porqué porque gracias obrigado waarom echt dlaczego proč miért neden varför hvorfor miksi почему зачем чому
"""
_PURE = frozenset(_ANSWERING.split())
"""Words that answer an answer, in some languages. English function words are known elsewhere."""
_UNSPACED = ("为什么", "為什麼", "怎么", "なぜ", "どうして", "왜", "继续", "続けて")


def gate_text(messages: Sequence[Message]) -> str | None:
    """The topic that the last user's turn follows up, or None where it speaks for itself."""
    said = [message.content for message in messages if message.role == "user"]
    if len(said) < 2 or not is_follow_up(said[-1]):
        return None
    return next((text for text in reversed(said[:-1]) if not is_follow_up(text)), said[0])


def is_follow_up(text: str) -> bool:
    """Whether a message cannot be understood without the one before."""
    found = words(text)
    if len(text) <= MOST_WORDS and any(text.strip().startswith(each) for each in _UNSPACED):
        return True
    if len(found) > MOST_WORDS or any(word[0].isdigit() for word in found):
        return False
    return all(word in _PURE or not is_context(word, "en") for word in found)
