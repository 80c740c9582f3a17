"""Minnow, the built-in model: the grammar of its language, its splits and its exact judges."""
