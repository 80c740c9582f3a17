"""Trimtab: a chat assistant for the terminal whose values you steer while it speaks."""

__version__ = "0.1.0"
