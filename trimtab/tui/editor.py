"""Writing in the user's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from trimtab.errors import TrimtabError

_USUAL = ("nano", "vim", "vi", "notepad")


def command() -> list[str]:
    """VISUAL or EDITOR, or what is usually there."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if chosen:
        return shlex.split(chosen)
    found = next((name for name in _USUAL if shutil.which(name)), None)
    if found is None:
        raise TrimtabError("No editor was found.", "Set EDITOR to the one you like.")
    return [found]


def edit(text: str) -> str:
    """The text as it was when the editor was closed."""
    editor = command()
    with tempfile.TemporaryDirectory(prefix="trimtab-") as folder:
        file = Path(folder) / "message.md"
        file.write_text(text, encoding="utf-8")
        try:
            ended = subprocess.run([*editor, str(file)], check=False).returncode
        except OSError as error:
            raise TrimtabError(
                f"The editor {editor[0]} cannot be started: {error.strerror}.", "Set EDITOR to another one."
            ) from error
        if ended:
            raise TrimtabError(
                f"The editor {editor[0]} ended with code {ended}.", "The text is as it was before."
            )
        return file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
