"""Minnow, the built-in model: its files, the grammar of its language, its splits and its exact judges."""

from trimtab.minnow.files import KINDS, NAMES, Kind, Name, installed, path

__all__ = ["KINDS", "NAMES", "Kind", "Name", "installed", "path"]
