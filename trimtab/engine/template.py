"""Chat templates: a conversation made into a prompt, with the user's words kept as words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from trimtab.engine.contract import Message
from trimtab.engine.renderer import Refusal, Renderer
from trimtab.errors import ModelError

_SPLIT = "\ufdd0"
"""Put into a special token's text inside a message, so that it is tokenised as mere words."""
_HERE = "\ufdd1"
"""Where a message that is to be resumed ends. Both are noncharacters, which no text may hold."""
_CHATML = ("<|im_start|>", "<|im_end|>")


class ChatTemplate:
    """Renders conversations for one model; without a template of its own, as ChatML.

    No message can spell a token in `controls`. Of the tokens in `defined`, which stand for ordinary text as a
    line break or a tag do, those that the template itself uses are kept from the user's words too.
    """

    def __init__(
        self,
        source: str | None,
        variables: Mapping[str, str],
        controls: Sequence[str],
        defined: Sequence[str] = (),
    ) -> None:
        own = source or "".join(_CHATML)
        used = [text for text in defined if text in own and not text.isspace()]
        self._controls = _finder(controls)
        self._all = _finder((*controls, *used))
        self._renderer = Renderer(source, variables) if source else None

    def close(self) -> None:
        """Ends the template's process; the next rendering starts it anew."""
        if self._renderer is not None:
            self._renderer.close()

    def tokens(
        self,
        messages: Sequence[Message],
        tokenize: Callable[[str], list[int]],
        *,
        resume: bool = False,
    ) -> list[int]:
        """The prompt's tokens; `tokenize` parses special tokens. `resume` leaves the last message open."""
        return [token for piece in self.pieces(messages, resume=resume) for token in tokenize(piece)]

    def pieces(self, messages: Sequence[Message], *, resume: bool = False) -> list[str]:
        """The prompt, cut wherever a message spelled out a special token."""
        safe = [{"role": message.role, "content": self._shield(message)} for message in messages]
        if resume:
            safe[-1]["content"] += _HERE
        try:
            text = self._render(safe, prompt=not resume)
        except Refusal as reason:
            if not safe or safe[0]["role"] != "system":
                raise _refused(reason) from reason
            text = self._render_without_system(safe, prompt=not resume)
        if resume:
            text = text[: text.rindex(_HERE)] if _HERE in text else text
        return [piece for piece in text.split(_SPLIT) if piece]

    def _shield(self, message: Message) -> str:
        """The text with a cut in every special token, also where these overlap.

        What a template does with the model's own words, as leaving out its thoughts, it does by their tags.
        """
        content = message.content.replace(_SPLIT, "").replace(_HERE, "")
        finder = self._controls if message.role == "assistant" else self._all
        if finder is None:
            return content
        cuts = [0, *(found.start() + 1 for found in finder.finditer(content)), len(content)]
        return _SPLIT.join(content[start:end] for start, end in pairwise(cuts))

    def _render_without_system(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        """For templates that know no system role: its words open the first user message."""
        system, *rest = messages
        first = next((number for number, message in enumerate(rest) if message["role"] == "user"), None)
        if first is None:
            rest = [{"role": "user", "content": system["content"]}, *rest]
        else:
            opened = {"role": "user", "content": f"{system['content']}\n\n{rest[first]['content']}"}
            rest = [*rest[:first], opened, *rest[first + 1 :]]
        try:
            return self._render(rest, prompt=prompt)
        except Refusal as reason:
            raise _refused(reason) from reason

    def _render(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        if self._renderer is not None:
            return self._renderer.render(messages, prompt=prompt)
        start, end = _CHATML
        turns = [f"{start}{message['role']}\n{message['content']}{end}\n" for message in messages]
        return "".join(turns) + (f"{start}assistant\n" if prompt else "")


def _finder(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Finds where any of the texts starts, inside another one too."""
    known = sorted({text for text in texts if len(text) > 1})
    if not known:
        return None
    starts = "".join(sorted({text[0] for text in known}))
    # The set of first characters lets most of a text pass without a look at thousands of tokens.
    return re.compile(f"(?=[{re.escape(starts)}])(?={'|'.join(map(re.escape, known))})")


def _refused(reason: Refusal) -> ModelError:
    return ModelError(
        f"The model's chat template refused: {reason}.", "Change the conversation to what it allows."
    )
