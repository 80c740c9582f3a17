"""Markdown laid out in rows of cells: text only ever becomes text, and colours are chosen when rows are drawn."""
