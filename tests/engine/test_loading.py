"""A model that needs an optional part of Trimtab says which, in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tiny import TinyModel

LOAD = """
import sys
sys.modules.update({name: None for name in sys.argv[2].split(",")})
from trimtab.engine.contract import LoadRequest
from trimtab.engine.loading import load_engine
try:
    load_engine(LoadRequest(path=sys.argv[1]), lambda fraction: True)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("absent", ["torch", "transformers", "torch,transformers,peft,safetensors"])
def test_a_folder_without_pytorch_names_the_command_to_install_it(tiny_llama: TinyModel, absent: str) -> None:
    command = [sys.executable, "-c", LOAD, str(tiny_llama.safetensors), absent]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("MissingExtra") and said.count("\n") == 1
    assert "pip install 'trimtab[torch]'" in said
