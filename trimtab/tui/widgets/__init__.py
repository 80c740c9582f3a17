"""Widgets of our own. They know Textual and nothing of the rest of Trimtab, so that others can use them."""
