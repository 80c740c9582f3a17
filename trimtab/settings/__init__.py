"""What a user may set: every setting with its meaning, read from TOML and written back with its comments kept."""

from trimtab.settings.file import SettingsFile, default_path, read
from trimtab.settings.model import Chat, Look, Model, Settings, documented

__all__ = ["Chat", "Look", "Model", "Settings", "SettingsFile", "default_path", "documented", "read"]
