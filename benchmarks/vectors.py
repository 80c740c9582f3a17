"""Building packs beside repeng's training, as ratios of time: python -m benchmarks.vectors [--model FOLDER] [--json].

All sides have loaded the same model, on the processor and with as many threads, before the clock starts; it stops
when each has its vectors (a pack and repeng's file are written to disk). They take turns, and medians are compared.
"""

from __future__ import annotations

import os

# numpy reads this when it is loaded: our sums are done by one thread, whatever repeng is given.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.ours import Kind, Ours, loaded
from benchmarks.peer import ROOT, running
from benchmarks.random_model import random_llama, random_llama_folder
from benchmarks.timing import Block, interleave
from trimtab import minnow
from trimtab.engine.identity import identify
from trimtab.errors import TrimtabError
from trimtab.vectors.directions import Found
from trimtab.vectors.importers import ImportRequest, import_vectors
from trimtab.vectors.recipe_files import locate

GOAL = 0.5
"""Our time ÷ repeng's."""
ALIKE = 0.99
"""The least cosine, whatever its sign, between what both find at a layer."""
METHODS: dict[Kind, str] = {"centred": "pca_diff", "uncentred": "pca_center"}
"""The component with the pairs' mean difference taken away and without, as repeng calls them."""


@dataclass(frozen=True)
class Model:
    name: str
    folder: Path
    """Safetensors, for repeng and for PyTorch."""
    gguf: Path
    """The same for llama.cpp, in the format that users have."""


def main() -> None:
    options = _options()
    try:
        model = _model(options)
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
            os.environ["TRIMTAB_HOME"] = folder
            told = [_measure(runner, model, threads, options, Path(folder)) for threads in options.threads]
    except TrimtabError as error:
        sys.exit(str(error))
    print(json.dumps(told, indent=2) if options.json else "\n\n".join(map(_table, told)))
    if options.check and any(missed for each in told for missed in _missed(each)):
        sys.exit(1)


def _measure(
    runner: asyncio.Runner, model: Model, threads: int, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    written = locate(options.recipe, "minnow" if "minnow" in model.name else "en")
    recipe, file = written.recipe, written.place.path
    with ExitStack() as stack:
        log = ROOT / options.peer.parent.parent / "serving.log"
        peer = stack.enter_context(
            running(options.peer, "repeng", model=model.folder, recipe=file, threads=threads, log=log)
        )
        ours = {
            engine: Ours(runner, stack.enter_context(loaded(runner, path, threads)), path, recipe, folder)
            for engine, path in (("torch", model.folder), ("llama", model.gguf))
        }
        theirs = {kind: folder / f"repeng-{kind}.gguf" for kind in METHODS}
        blocks: dict[str, Block] = {
            f"repeng.{kind}": _once(partial(peer.train, METHODS[kind], theirs[kind])) for kind in METHODS
        }
        for engine, side in ours.items():
            for kind in get_args(Kind):
                blocks[f"{engine}.{kind}"] = _once(partial(side.directions, kind))
            blocks[f"{engine}.pack"] = _once(side.pack)
        interleave(blocks, rounds=1, skip=0)  # caches warm, memory taken
        sides = interleave(blocks, rounds=options.rounds, skip=0)
        seconds = {name: side.seconds for name, side in sides.items()}
        told = peer.told
        same = {
            engine: all(
                [side.tokens(pair.positive), side.tokens(pair.negative)] == tokens
                for pair, tokens in zip(recipe.pairs, told["tokens"], strict=True)
            )
            for engine, side in ours.items()
        }
        cosines = {
            f"{engine}.{kind}": _cosines(side.found[kind], theirs[kind], model)
            for engine, side in ours.items()
            for kind in METHODS
        }
    return {
        "model": model.name,
        "recipe": recipe.id,
        "pairs": len(recipe.pairs),
        "threads": threads,
        "rounds": options.rounds,
        "repeng": {**told["versions"], "dtype": told["dtype"], "texts at once": told["batch"]},
        "same tokens": same,
        "seconds": seconds,
        # A pack holds every direction, and so is measured against the quicker of repeng's.
        "ratios": {
            name: value / (seconds.get(f"repeng.{name.partition('.')[2]}") or min(_theirs(seconds)))
            for name, value in seconds.items()
            if not name.startswith("repeng.")
        },
        "cosines": cosines,
    }


def _theirs(seconds: dict[str, float]) -> list[float]:
    return [value for name, value in seconds.items() if name.startswith("repeng.")]


def _once(work: Callable[[], None]) -> Block:
    def block() -> Iterator[None]:
        work()
        yield

    return block


def _cosines(ours: dict[int, Found], file: Path, model: Model) -> dict[int, float]:
    """By layer, whatever the sign."""
    pack = import_vectors(ImportRequest(path=file, model=identify(model.folder)))
    out = {}
    for layer, theirs in pack.shifts().items():
        unit = theirs.astype(np.float64) / np.linalg.norm(theirs.astype(np.float64))
        out[layer] = abs(float(unit @ ours[layer].unit))
    return out


def _missed(told: dict[str, Any]) -> list[str]:
    slow = [name for name, ratio in told["ratios"].items() if ratio > GOAL]
    # The last layer is left out: what repeng reads there is the final norm's output, not the block's.
    other = [
        name
        for name, by_layer in told["cosines"].items()
        if name.startswith("torch.") and min(_inner(by_layer)) < ALIKE
    ]
    return slow + other


def _inner(by_layer: dict[int, float]) -> list[float]:
    return [by_layer[layer] for layer in sorted(by_layer)[:-1]]


def _table(told: dict[str, Any]) -> str:
    rows = [f"{told['model']}, {told['recipe']}, {told['pairs']} pairs, {told['threads']} threads"]
    rows.append(f"{'side':<20}{'seconds':>10}{'÷ repeng':>10}{'goal':>10}")
    for name, seconds in told["seconds"].items():
        ratio = told["ratios"].get(name)
        tail = (
            "" if ratio is None else f"{ratio:>10.3f}{f'<= {GOAL}':>10}{'  missed' if ratio > GOAL else ''}"
        )
        rows.append(f"{name:<20}{seconds:>10.3f}{tail}")
    for name, by_layer in told["cosines"].items():
        shown = " ".join(f"{layer}: {cosine:.4f}" for layer, cosine in sorted(by_layer.items()))
        rows.append(f"cosine {name:<20} {shown}")
    return "\n".join(rows)


def _model(options: argparse.Namespace) -> Model:
    name: str = options.model
    if name in minnow.NAMES:
        if minnow.installed():
            built_in: Any = name
            return Model(name, minnow.path("safetensors", built_in), minnow.path("gguf", built_in))
        shape: dict[str, Any] = {
            "layers": 6,
            "width": 256,
            "heads": 4,
            "kv_heads": 2,
            "ff": 704,
            "vocabulary": 4096,
        }
        folder, file = random_llama_folder(**shape), random_llama(**shape, type="Q8_0")
        return Model("random, of minnow's shape", folder, file)
    if options.gguf is None:
        raise TrimtabError(f"Which file is {name} for llama.cpp?", "Say so with --gguf FILE.")
    return Model(Path(name).resolve().name, Path(name), options.gguf)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="minnow-base", help="a built-in model, or a folder of safetensors; minnow-base"
    )
    parser.add_argument("--gguf", type=Path, help="a folder's model for llama.cpp")
    parser.add_argument("--recipe", default="security", help="by its id or file")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--peer", type=Path, default=Path(".peers/repeng/bin/python"), help="the Python that has repeng"
    )
    parser.add_argument("--json", action="store_true", help="JSON")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
