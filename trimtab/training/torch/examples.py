"""Pairs as tokens: prompts as the engine would read them, responses as it would speak them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trimtab.engine.contract import Message
from trimtab.engine.template import ChatTemplate
from trimtab.engine.torch.tokens import Tokens
from trimtab.errors import ModelError
from trimtab.training.instructions import instruct
from trimtab.training.pairs import Pair

_MARK = "here it stands"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A response behind what was said before."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)

    def first(self, count: int) -> Spoken:
        """With no more than so many tokens of the response; 0 keeps all."""
        return Spoken(self.prompt, self.response[: count or None])


class Encoder:
    """Tokenises for one model; what does not fit its limits is cut, or left out and counted."""

    def __init__(
        self, folder: Path, size: int, ends: Sequence[int], longest_prompt: int, longest: int
    ) -> None:
        self._tokens = Tokens(folder, size, ends)
        self._template = ChatTemplate(
            self._tokens.template(),
            self._tokens.variables(),
            self._tokens.control_texts(),
            self._tokens.defined_texts(),
        )
        self._longest_prompt = longest_prompt
        self._longest = longest
        self._prompts: dict[tuple[object, ...], list[int]] = {}
        self._end = self._closing()

    def close(self) -> None:
        self._template.close()

    def fits(self, pair: Pair) -> bool:
        """Whether the prompt is short enough; the paper leaves out pairs where it is not."""
        return len(self._prompt(pair, "")) <= min(self._longest_prompt, self._longest - 1)

    def encode(self, pair: Pair, response: str, instruction: str = "") -> Spoken:
        plain = self._prompt(pair, "")
        prompt = self._prompt(pair, instruction) if instruction else plain
        said = self._tokens.tokenize(response, special=False, bos=False)
        if pair.prompt and self._end is not None:
            said.append(self._end)
        # An instruction takes nothing from the response, which must be the same behind every one of them.
        return Spoken(tuple(prompt), tuple(said[: max(1, self._longest - len(plain))]))

    def _prompt(self, pair: Pair, instruction: str) -> list[int]:
        """Asked for again with every response, and rendered once."""
        key = (pair.prompt, pair.text, instruction)
        if key not in self._prompts:
            self._prompts[key] = self._read(pair, instruction)
        return self._prompts[key]

    def _read(self, pair: Pair, instruction: str) -> list[int]:
        if not pair.prompt:
            text = f"{instruction}\n\n{pair.text}" if instruction else pair.text
            return self._tokens.tokenize(text, special=False, bos=True)
        start = self._tokens.tokenize("", special=False, bos=True)
        tokens = self._template.tokens(
            instruct(pair.prompt, instruction),
            lambda piece: self._tokens.tokenize(piece, special=True, bos=False),
        )
        return tokens if tokens[: len(start)] == start else start + tokens

    def _closing(self) -> int | None:
        """The token that ends an assistant's turn, as the model's template writes it."""
        turns = [
            Message(role="user", content="so"),
            Message(role="assistant", content=_MARK),
            Message(role="user", content="so"),
        ]
        try:
            written = "".join(self._template.pieces(turns))
        except ModelError:
            written = ""
        after = written.rpartition(_MARK)[2]
        places = [
            (after.index(text), text) for text in self._tokens.control_texts() if text and text in after
        ]
        for text in (min(places)[1] if places else "", self._tokens.variables().get("eos_token", "")):
            found = self._tokens.tokenize(text, special=True, bos=False)
            if len(found) == 1 and self._tokens.is_end(found[0]):
                return found[0]
        return None
