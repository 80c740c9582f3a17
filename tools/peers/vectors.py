"""Makes a control vector with repeng or dialz, and says what the peer itself does with it.

    tools/peers/environment.sh repeng
    .peers/repeng/bin/python -m tools.peers.vectors repeng --model FOLDER --recipe RECIPE.toml --out OUT

OUT gets repeng.gguf, as the peer wrote it, and repeng.json: its numbers as it holds them in memory, which versions
made them, and the tokens that it says under the vector. Tests hold what Trimtab imports against all three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tools.peers.trainers import METHODS, Pairs, load

COUNT = 24
"""Tokens of a reply."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=sorted(METHODS))
    parser.add_argument("--model", type=Path, required=True, help="a folder of safetensors")
    parser.add_argument("--recipe", type=Path, required=True, help="where the pairs are")
    parser.add_argument("--pairs", type=int, help="how many of them; all unless told")
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0, -1.0])
    parser.add_argument("--out", type=Path, required=True, help="a folder to write to")
    chosen = parser.parse_args(arguments)
    peer, pairs = load(chosen.peer, chosen.model), read_pairs(chosen.recipe)[: chosen.pairs]
    vector = peer.train(pairs, METHODS[chosen.peer][0])
    chosen.out.mkdir(parents=True, exist_ok=True)
    vector.export_gguf(str(chosen.out / f"{chosen.peer}.gguf"))
    prompts = [pairs[0][1], pairs[-1][0]]
    told = {
        "versions": {name: version(name) for name in (chosen.peer, "gguf", "numpy", "torch", "transformers")},
        "weights": hashlib.sha256((chosen.model / "model.safetensors").read_bytes()).hexdigest(),
        "model_type": vector.model_type,
        "directions": {str(layer): [float(x) for x in values] for layer, values in vector.directions.items()},
        "replies": [
            {
                "prompt": prompt,
                "prompt_tokens": peer.tokens(prompt),
                "plain": peer.reply(prompt, COUNT),
                "steered": {
                    str(strength): peer.reply(prompt, COUNT, vector, strength)
                    for strength in chosen.strengths
                },
            }
            for prompt in prompts
        ],
    }
    (chosen.out / f"{chosen.peer}.json").write_text(json.dumps(told), encoding="utf-8")
    print(f"{len(vector.directions)} vectors in {chosen.out}")


def read_pairs(recipe: Path) -> Pairs:
    told = tomllib.loads(recipe.read_text(encoding="utf-8"))
    return [(pair["positive"], pair["negative"]) for pair in told["pairs"]]


if __name__ == "__main__":
    main()
