"""Styles of the parts of widgets that draw their own lines."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


def part_style(widget: Widget, name: str) -> Style:
    """Only what the part itself says, mixed with what lies behind it, so that styles of parts can be joined."""
    styles = widget.get_component_styles(name)
    _, behind = widget.background_colors
    colour = (behind + styles.color).rich_color if styles.has_rule("color") else None
    background = (behind + styles.background).rich_color if styles.has_rule("background") else None
    return Style(color=colour, bgcolor=background) + styles.text_style
