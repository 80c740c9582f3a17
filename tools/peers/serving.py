"""Trains with a peer as often as it is asked, a JSON line each time, so that a benchmark can take turns with it.

    .peers/repeng/bin/python -m tools.peers.serving repeng --model FOLDER --recipe RECIPE.toml --threads 1

It says what it is once all is loaded. Asked {"method": …, "out": FILE} it trains, writes the file, and says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from tools.peers.trainers import BATCH, METHODS, load
from tools.peers.vectors import read_pairs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=sorted(METHODS))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    chosen = parser.parse_args()
    torch = importlib.import_module("torch")
    torch.set_num_threads(chosen.threads)
    peer, pairs = load(chosen.peer, chosen.model), read_pairs(chosen.recipe)
    _say(
        versions={name: version(name) for name in (chosen.peer, "numpy", "torch", "transformers")},
        dtype=str(peer.model.dtype).removeprefix("torch."),
        batch=BATCH,
        tokens=[[peer.tokens(text) for text in pair] for pair in pairs],
    )
    for line in sys.stdin:
        asked = json.loads(line)
        peer.train(pairs, asked["method"]).export_gguf(asked["out"])
        _say(out=asked["out"])


def _say(**told: object) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
