"""Makes control vectors with repeng or dialz, in an environment that has one of them, for the importers' tests.

    python -m venv /some/where && /some/where/bin/pip install repeng      # or dialz; repeng wants numpy < 2
    /some/where/bin/python tools/peers/vectors.py repeng --model FOLDER --pairs pairs.json --out OUT
    TRIMTAB_PEERS=OUT make test ONLY=tests/vectors/test_real_peers.py

`pairs.json` is a list of {"positive": …, "negative": …}. OUT gets repeng.gguf and repeng.json: the numbers as the
peer holds them in memory, and which versions made them.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=("repeng", "dialz"))
    parser.add_argument("--model", type=Path, required=True, help="a folder of safetensors")
    parser.add_argument(
        "--pairs", type=Path, required=True, help="JSON: a list of positive and negative texts"
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder to write to")
    chosen = parser.parse_args(arguments)
    pairs = [(pair["positive"], pair["negative"]) for pair in json.loads(chosen.pairs.read_text("utf-8"))]
    vector = {"repeng": train_repeng, "dialz": train_dialz}[chosen.peer](chosen.model, pairs)
    chosen.out.mkdir(parents=True, exist_ok=True)
    vector.export_gguf(str(chosen.out / f"{chosen.peer}.gguf"))
    told = {
        "versions": {name: version(name) for name in (chosen.peer, "gguf", "numpy", "torch", "transformers")},
        "model_type": vector.model_type,
        "directions": {str(layer): [float(x) for x in values] for layer, values in vector.directions.items()},
    }
    (chosen.out / f"{chosen.peer}.json").write_text(json.dumps(told), encoding="utf-8")
    print(f"{len(vector.directions)} vectors in {chosen.out}")


def train_repeng(model: Path, pairs: Sequence[tuple[str, str]]) -> Any:
    transformers, repeng = importlib.import_module("transformers"), importlib.import_module("repeng")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    controlled = repeng.ControlModel(loaded, list(range(1, loaded.config.num_hidden_layers)))
    entries = [repeng.DatasetEntry(positive=positive, negative=negative) for positive, negative in pairs]
    return repeng.ControlVector.train(controlled, tokenizer, entries)


def train_dialz(model: Path, pairs: Sequence[tuple[str, str]]) -> Any:
    transformers, dialz = importlib.import_module("transformers"), importlib.import_module("dialz")
    layers = transformers.AutoConfig.from_pretrained(model).num_hidden_layers
    steered = dialz.SteeringModel(str(model), list(range(1, layers)))
    dataset = dialz.Dataset()
    for positive, negative in pairs:
        dataset.add_entry(positive, negative)
    return dialz.SteeringVector.train(steered, dataset)


if __name__ == "__main__":
    main()
