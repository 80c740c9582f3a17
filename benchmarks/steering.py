"""What steering costs, as ratios of tokens per second: python -m benchmarks.steering [--quick] [--json]."""

from __future__ import annotations

import os

# The libraries read these when they are loaded, so they are set before anything else is.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bare import bare_loop
from benchmarks.random_model import random_llama, random_llama_folder
from benchmarks.timing import Block, Clock, interleave, ratio
from trimtab.engine.contract import GenerateRequest, LoadRequest, ModelInfo, Sampling, Token
from trimtab.engine.generation import MachineEngine
from trimtab.engine.plan import make_plan
from trimtab.engine.program import EMPTY, Anchors, Array, Probe, Program, Raise, Shift, Tune

PROMPT = "Tell me about the sea and the ships that sail on it. "
GOALS = {
    "llama.unsteered_vs_bare": 0.97,
    "llama.shift": 0.98,
    "llama.awot": 0.98,
    "llama.conva1": 0.985,
    "llama.conva10": 0.96,
    "torch.conva10": 0.95,
    "awot.closed_vs_gradient": 50.0,
}


def main() -> None:
    options = _options()
    llama = random_llama()
    folder = random_llama_folder()
    figures: dict[str, float] = {}
    rounds = 5 if options.quick else 20
    # Twice the rounds where two threads wait for each other, for there the noise is.
    figures |= _llama(llama, threads=2, rounds=2 * rounds, clock=time.perf_counter, suffix="")
    figures |= _llama(llama, threads=1, rounds=rounds // 2 + 1, clock=time.process_time, suffix=".cpu1")
    figures |= _torch(folder, threads=2, rounds=rounds, clock=time.perf_counter, suffix="")
    figures |= _torch(folder, threads=1, rounds=rounds, clock=time.process_time, suffix=".cpu1")
    print(json.dumps(figures, indent=2) if options.json else _table(figures))
    if options.check and any(figures[name] < goal for name, goal in GOALS.items()):
        sys.exit(1)


def conva(info: ModelInfo, values: int, seed: int = 0) -> Program:
    """Raises that act at every token on half of the layers: targets far above what random probes read."""
    random = np.random.default_rng(seed)
    layers = range(info.layers // 4, info.layers // 4 + info.layers // 2)
    return Program(
        interventions=tuple(
            Raise(
                layer=layer,
                probes=(Probe(weight=Array(random.standard_normal(info.width) * 0.02)),),
                targets=(2.0,),
                scope="reply",
            )
            for layer in layers
            for _ in range(values)
        )
    )


def constant(info: ModelInfo, seed: int = 0) -> Program:
    random = np.random.default_rng(seed)
    layers = range(info.layers // 4, info.layers // 4 + info.layers // 2)
    return Program(
        interventions=tuple(
            Shift(layer=layer, vector=Array(random.standard_normal(info.width) * 0.01), scope="reply")
            for layer in layers
        )
    )


def awot(*, gradient: bool = False) -> Program:
    anchors = Anchors(positive=tuple(range(300, 309)), negative=tuple(range(400, 409)))
    tune = Tune(anchors=anchors, step=0.001, steps=60, solver="gradient" if gradient else "auto")
    return Program(interventions=(tune,))


def _llama(path: Path, *, threads: int, rounds: int, clock: Clock, suffix: str) -> dict[str, float]:
    from trimtab.engine.llama.load import load

    machine = load(LoadRequest(path=str(path), threads=threads, context=512), lambda fraction: True)
    engine = MachineEngine(machine)
    bare, close = bare_loop(path, threads=threads, prompt=engine.prompt_tokens(PROMPT, "plain"), context=512)
    programs = {
        "unsteered": EMPTY,
        "shift": constant(engine.info),
        "awot": awot(),
        "conva1": conva(engine.info, 1),
        "conva10": conva(engine.info, 10),
    }
    blocks: dict[str, Block] = {name: _replies(engine, program) for name, program in programs.items()}
    sides = interleave({"bare": lambda: bare(BLOCK)} | blocks, rounds=rounds, clock=clock, skip=SKIP)
    close()
    engine.close()
    figures = {f"llama.unsteered_vs_bare{suffix}": ratio(sides["bare"], sides["unsteered"])}
    for name in ("shift", "awot", "conva1", "conva10"):
        figures[f"llama.{name}{suffix}"] = ratio(sides["unsteered"], sides[name])
    figures[f"llama.tokens_per_second{suffix}"] = 1 / sides["unsteered"].seconds
    return figures


def _torch(folder: Path, *, threads: int, rounds: int, clock: Clock, suffix: str) -> dict[str, float]:
    from trimtab.engine.torch.load import load

    machine = load(LoadRequest(path=str(folder), threads=threads, context=512), lambda fraction: True)
    engine = MachineEngine(machine)
    programs = {
        "unsteered": EMPTY,
        "conva1": conva(engine.info, 1),
        "conva10": conva(engine.info, 10),
        "gradient": awot(gradient=True),
    }
    blocks: dict[str, Block] = {name: _replies(engine, program) for name, program in programs.items()}
    sides = interleave(blocks, rounds=rounds, clock=clock, skip=SKIP)
    figures = {
        f"torch.{name}{suffix}": ratio(sides["unsteered"], sides[name]) for name in ("conva1", "conva10")
    }
    added = sides["gradient"].seconds - sides["unsteered"].seconds
    figures[f"awot.closed_vs_gradient{suffix}"] = added / _closed_form(engine)
    figures[f"torch.tokens_per_second{suffix}"] = 1 / sides["unsteered"].seconds
    engine.close()
    return figures


def _closed_form(engine: MachineEngine) -> float:
    """Seconds that the closed form adds to a token: timed by itself, as it is lost in a token's noise."""
    logits = np.random.default_rng(0).standard_normal(engine.info.vocabulary).astype(np.float32)
    tuner = engine.install(make_plan(awot(), "reply", open_gates={}))
    times = []
    for _ in range(500):
        started = time.perf_counter()
        tuner.apply(logits)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


BLOCK = 24
SKIP = 10
"""Tokens before a resting shift is where it stays, and caches are warm."""


def _replies(engine: MachineEngine, program: Program) -> Block:
    request = GenerateRequest(
        text=PROMPT, program=program, sampling=Sampling(temperature=0, max_tokens=BLOCK)
    )

    def block() -> Iterator[None]:
        for event in engine.generate(request):
            if isinstance(event, Token):
                yield None

    return block


def _table(figures: dict[str, float]) -> str:
    rows = [f"{'figure':<34}{'measured':>10}{'goal':>10}"]
    for name, value in figures.items():
        goal = GOALS.get(name.removesuffix(".cpu1"))
        met = "" if goal is None else f"{'>= ' + format(goal, 'g'):>10}{'' if value >= goal else '  missed'}"
        rows.append(f"{name:<34}{value:>10.3f}{met}")
    return "\n".join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
