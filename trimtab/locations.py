"""Where Trimtab keeps its files: one function per folder, all under TRIMTAB_HOME where that is set."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data() -> Path:
    """Conversations, packs, adapters: what the user would miss."""
    return _home("data") or Path(platformdirs.user_data_dir("trimtab", appauthor=False))


def cache() -> Path:
    """What can be made again."""
    return _home("cache") or Path(platformdirs.user_cache_dir("trimtab", appauthor=False))


def config() -> Path:
    """Settings, themes, keys."""
    return _home("config") or Path(platformdirs.user_config_dir("trimtab", appauthor=False))


def logs() -> Path:
    """What the engine worker wrote."""
    return _home("logs") or Path(platformdirs.user_log_dir("trimtab", appauthor=False))


def _home(folder: str) -> Path | None:
    chosen = os.environ.get("TRIMTAB_HOME")
    return Path(chosen).expanduser().absolute() / folder if chosen else None
