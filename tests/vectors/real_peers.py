"""What the real repeng and dialz made of a model: kept from an earlier run, or made now where they are installed."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.tiny import make
from trimtab import minnow

FloatArray = npt.NDArray[np.float32]

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "made_by_peers"
"""By model; its README says how."""
ENVIRONMENTS = os.environ.get("TRIMTAB_PEERS", "")
"""The folder that tools/peers/environment.sh makes environments in."""
TINY = "tiny-llama"
STRENGTHS = {TINY: ("4", "-4")}
RECIPE = ROOT / "trimtab" / "minnow" / "recipes" / "security.toml"
PAIRS = 16


@dataclass(frozen=True)
class Model:
    """One model twice, in float32."""

    gguf: Path
    folder: Path


@dataclass(frozen=True)
class Made:
    """A peer's file, its own numbers, and what it said under them."""

    peer: str
    model: Model
    file: Path
    told: dict[str, Any]

    @property
    def vectors(self) -> dict[int, FloatArray]:
        return {int(layer): np.array(x, np.float32) for layer, x in self.told["directions"].items()}


def kept() -> list[tuple[str, str, bool]]:
    """Peer, model, and False for not made now."""
    return [(file.stem, file.parent.name, False) for file in sorted(KEPT.glob("*/*.json"))]


def live() -> list[tuple[str, str, bool]]:
    # Minnow is not for dialz: its transformers, older than 5, does not know where minnow's rope is described.
    return [("repeng", TINY, True), ("dialz", TINY, True), ("repeng", "minnow-base", True)]


def called(each: tuple[str, str, bool]) -> str:
    peer, model, now = each
    return f"{peer}-{model}-{'made-now' if now else 'kept'}"


def provide(peer: str, name: str, *, now: bool, folder: Path) -> Made:
    """What a peer made, or a reason to skip."""
    model = _model(name, folder)
    place = _make(peer, name, model, folder / "made") if now else KEPT / name
    told = json.loads((place / f"{peer}.json").read_text("utf-8"))
    weights = hashlib.sha256((model.folder / "model.safetensors").read_bytes()).hexdigest()
    assert told["weights"] == weights, (
        f"{place} was made of other weights: make it anew, {KEPT}/README.md says how"
    )
    return Made(peer, model, place / f"{peer}.gguf", told)


def _model(name: str, folder: Path) -> Model:
    if name == TINY:
        tiny = make("llama", folder)
        return Model(tiny.gguf, tiny.safetensors)
    if not minnow.installed():
        pytest.skip("minnow's weights are not installed")
    built_in: Any = name
    return Model(minnow.path("gguf-f32", built_in), minnow.path("safetensors", built_in))


def _make(peer: str, name: str, model: Model, out: Path) -> Path:
    python = Path(ENVIRONMENTS, peer, "bin", "python").absolute()
    if not ENVIRONMENTS or not python.is_file():
        pytest.skip(f"TRIMTAB_PEERS names no folder with {peer}: tools/peers/environment.sh makes one")
    command = [
        str(python),
        "-m",
        "tools.peers.vectors",
        peer,
        "--model",
        str(model.folder),
        "--out",
        str(out),
    ]
    command += ["--recipe", str(RECIPE), "--pairs", str(PAIRS)]
    if name in STRENGTHS:
        command += ["--strengths", *STRENGTHS[name]]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return out


def replies_by_hand(folder: Path, vectors: dict[int, FloatArray], prompt: list[int], count: int) -> list[int]:
    """Greedy tokens of the PyTorch model, the vectors added to what leaves their blocks."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def add(values: FloatArray, module: object, arguments: object, output: Any) -> Any:
        return output + torch.from_numpy(values)

    for layer, values in vectors.items():
        model.model.layers[layer].register_forward_hook(functools.partial(add, values))
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits
            tokens.append(int(logits[0, -1].argmax()))
    return tokens[len(prompt) :]
