"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tiny import TinyModel

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_prints_a_reply(tiny_llama: TinyModel, tmp_path: Path) -> None:
    shutil.copy(tiny_llama.gguf, tmp_path / "model.gguf")
    match = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert match is not None
    answer = subprocess.run(
        [sys.executable, "-c", match[1]],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


def test_it_opens_with_the_two_commands() -> None:
    commands = re.findall(r"^make \w+", README, re.MULTILINE)
    assert commands[:2] == ["make chat", "make test"]


def test_every_make_target_it_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"make (\w+)\b", README)) - {"takes"}
    assert [name for name in targets if f"\n{name}:" not in makefile] == []


def test_every_file_it_points_to_is_there() -> None:
    paths = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"^\| `([\w/]+/)` \|", README, re.MULTILINE)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
