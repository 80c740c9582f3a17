"""What importing a part of Trimtab brings with it, and which parts may know each other."""

from __future__ import annotations

import json
import subprocess
import sys

import grimp
import pytest

HEAVY = {"accelerate", "llama_cpp", "peft", "textual", "torch", "transformers"}
PUBLIC = {
    f"trimtab.engine.{name}"
    for name in (
        "client",
        "contract",
        "gguf_file",
        "identity",
        "inspection",
        "math",
        "model_facts",
        "program",
        "text",
    )
}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh Python holds after a statement."""
    code = (
        f"{statement}; import json, sys; print(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(json.loads(answer.stdout))


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("trimtab", cache_dir=None)


@pytest.mark.parametrize("module", ["trimtab.cli", "trimtab.engine.client", "trimtab.doctor.facts"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY


def test_the_command_line_waits_with_numpy_until_a_command_needs_it() -> None:
    assert "numpy" not in loaded_by("import trimtab.cli")


def test_the_command_line_imports_no_command_before_it_is_used() -> None:
    code = "import trimtab.cli, sys; print([name for name in sys.modules if name.startswith('trimtab.commands')])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert answer.stdout.strip() == "[]"


def test_the_rest_of_trimtab_knows_only_the_engines_public_modules(graph: grimp.ImportGraph) -> None:
    outside = {module for module in graph.modules if not module.startswith("trimtab.engine")}
    # The command is the worker; nothing else starts one from within. Training runs the engine's models by hand.
    allowed = {("trimtab.commands.worker", "trimtab.engine.worker")}
    reaching = {
        (importer, imported)
        for importer in outside
        if not importer.startswith("trimtab.training.torch")
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported.startswith("trimtab.engine.") and imported not in PUBLIC
    }
    assert reaching <= allowed
