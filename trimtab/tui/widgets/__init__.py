"""Widgets of our own: the slider, the transcript, the composer, and the lines around them."""
