"""The example of the documentation works as it is printed, as a package of its own, in the whole program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.packages import DOCUMENT, documented, lay_out
from tests.plugins.support import say
from trimtab.engine.generation import MachineEngine
from trimtab.engine.math import target_logit
from trimtab.engine.program import Preface
from trimtab.plugins.context import MethodContext
from trimtab.plugins.hooks import Hooks
from trimtab.plugins.line import Line
from trimtab.plugins.manager import BUILT_IN, Plugins
from trimtab.plugins.programs import compose
from trimtab.vectors.pack import Pack


def list_plugins(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trimtab", "plugins", "list", *options],
        capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path[:1]])},
    )  # fmt: skip


async def test_it_steers_as_it_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: MachineEngine,
    context: MethodContext,
    pack: Pack,
) -> None:
    monkeypatch.syspath_prepend(documented(tmp_path))
    plugins = Plugins.discover()
    line = Line(source=pack, method="duet", level=2.0, gate=None, options={"words": "Mind {value}."})
    composed = await compose((line,), plugins, context)
    assert composed.notes == ("security is told as well as raised.",)
    *_, preface = composed.program.interventions
    assert isinstance(preface, Preface) and preface.text == "Mind security."
    reply = say(engine, composed.program)
    assert min(reply.logits("security")) == pytest.approx(target_logit(2.0), abs=2e-2)


def test_the_command_lists_it_beside_the_built_in_ones(tmp_path: Path) -> None:
    found = list_plugins(documented(tmp_path), "--json")
    assert found.returncode == 0, found.stderr
    listed = json.loads(found.stdout)
    assert {row["name"] for row in listed["rows"]} >= {*BUILT_IN, "duet"}
    [row] = [row for row in listed["rows"] if row["name"] == "duet"]
    assert row == {
        "plugin": "duet",
        "package": "trimtab-duet 1.0",
        "kind": "method",
        "name": "duet",
        "summary": "Raises a value's probes and tells the model of the value.",
        "takes": ["a pack"],
        "options": ["layers", "scope", "words"],
    }
    assert listed["skipped"] == []


def test_the_command_names_what_it_skipped_and_fails(tmp_path: Path) -> None:
    found = list_plugins(lay_out(tmp_path, "broken", {"broken": "broken"}, {"broken": "import nothing_here"}))
    assert found.returncode == 1
    assert found.stdout.splitlines()[-1] == (
        "The plugin broken (broken 1.0) is skipped: ModuleNotFoundError: No module named 'nothing_here'"
    )
    assert "conva" in found.stdout


def test_the_page_tells_of_every_hook_and_every_built_in_method() -> None:
    text = DOCUMENT.read_text("utf-8")
    for name in BUILT_IN:
        assert f"| `{name}` |" in text
    for hook in vars(Hooks):
        if hook.startswith("trimtab_") and hook != "trimtab_methods":
            assert f"| `{hook}` |" in text
