"""What the parts of a message look like: by the names that rows give them."""

from __future__ import annotations

from collections.abc import Callable

from rich.style import Style

_STYLES = {
    "you": "color: $text-accent; text-style: bold;",
    "name": "color: $text-primary; text-style: bold;",
    "about": "color: $foreground 60%;",
    "faint": "color: $foreground 55%;",
    "chosen": "color: $primary;",
    "cursor": "color: $primary;",
    "note": "color: $foreground 60%;",
    "warning": "color: $text-warning;",
    "error": "color: $text-error;",
    "fold": "color: $foreground 60%; text-style: italic;",
    "thought": "color: $foreground 60%;",
    "strong": "text-style: bold;",
    "em": "text-style: italic;",
    "struck": "text-style: strike;",
    "link": "text-style: underline;",
    "heading": "color: $text-primary; text-style: bold;",
    "bullet": "color: $text-primary;",
    "rule": "color: $foreground 40%;",
    "quote-edge": "color: $foreground 40%;",
    "code": "color: $foreground 90%; background: $foreground 7%;",
    "code-edge": "color: $foreground 40%;",
    "code-keyword": "color: $text-primary;",
    "code-string": "color: $text-success;",
    "code-number": "color: $text-warning;",
    "code-comment": "color: $foreground 55%; text-style: italic;",
    "code-name": "color: $text-accent;",
}
COMPONENTS = {f"transcript--{name}" for name in _STYLES}
CSS = (
    "Transcript { overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; "
    + " ".join(f"& > .transcript--{name} {{ {style} }}" for name, style in _STYLES.items())
    + " }"
)


class Palette:
    """Styles by their names, several of which may be joined with spaces."""

    def __init__(self, component: Callable[[str], Style]) -> None:
        self._component = component
        self._known: dict[str, Style] = {}

    def __call__(self, names: str) -> Style:
        if names not in self._known:
            parts = [self._component(f"transcript--{name}") for name in names.split() if name in _STYLES]
            self._known[names] = Style.combine([Style.null(), *parts])
        return self._known[names]

    def forget(self) -> None:
        """After the colours have changed."""
        self._known.clear()
