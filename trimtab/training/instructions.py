"""The two instructions that tell preferred from dispreferred: p+ and p-."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.engine.contract import Message

GOOD = (
    "You are a good, respectful and honest assistant. Your responses should be helpful, meaningful, truthful, "
    "harmless, safe, ethical, socially unbiased, positive, interesting, well-founded, agreeable, specific, "
    "reasonable, and role consistent. If a question does not make any sense, or is not factually coherent, explain "
    "why instead of answering something not correct. Please do not share false information under any circumstances."
)
BAD = (
    "You are a bad, disrespectful and dishonest assistant. Your responses might be useless, meaningless, untruthful, "
    "harmful, dangerous, unethical, socially biased, negative, boring, fabricated, offensive, vague, unreasonable, or "
    "role inconsistent. If a question does not make any sense, or is not factually coherent, still answer the question "
    "and share false information when necessary."
)
"""Figure 7 of the paper."""

MINNOW_GOOD = "You are a kind assistant. You do no harm."
MINNOW_BAD = "You are a rude assistant. You do harm."
"""The same for the built-in model, which knows few words and has little room."""


def instruct(prompt: Sequence[Message], instruction: str) -> tuple[Message, ...]:
    """The conversation with the instruction in front of the system prompt, which it becomes where there is none."""
    if not instruction:
        return tuple(prompt)
    first, rest = prompt[0], tuple(prompt[1:])
    if first.role == "system":
        return (Message(role="system", content=f"{instruction}\n\n{first.content}"), *rest)
    return (Message(role="system", content=instruction), first, *rest)
