"""The colours: one accent, and enough contrast for small text."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="trimtab-dark",
    primary="#5fb3b3",
    secondary="#8fa8c8",
    accent="#d8b26e",
    warning="#d8b26e",
    error="#e07a7a",
    success="#8fbf8f",
    foreground="#d6dae0",
    background="#14171b",
    surface="#1a1e24",
    panel="#21262d",
    dark=True,
)
LIGHT = Theme(
    name="trimtab-light",
    primary="#0f6f6f",
    secondary="#3d5a80",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#b02a2a",
    success="#2f6f2f",
    foreground="#20242a",
    background="#fbfbf8",
    surface="#f1f1ec",
    panel="#e6e6e0",
    dark=False,
)
OURS = (DARK, LIGHT)
