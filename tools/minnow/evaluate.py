"""Measures the built-in models on the test split, by the grammar's own judges.

    python -m tools.minnow.evaluate --json [--full] [--models FOLDER] [--details FILE] [--threads 2]

Prints one JSON object. What is tuned (steering's coefficients and layers) is tuned on validation. Where a figure holds
for the base and the aligned model, it is the worse one of the two; probes and steering are those of the aligned model,
with --full the worse of both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.minnow import files
from trimtab.minnow.documents import Register
from trimtab.minnow.splits import Split

if TYPE_CHECKING:
    # The workers import PyTorch, each with its own number of threads.
    from tools.minnow.measures import Report


def evaluate(
    models: Path | None,
    split: Split = "test",
    *,
    only: Register | None = None,
    full: bool = False,
    narrow: bool | None = None,
    threads: int = 2,
) -> Report:
    """All figures. Two workers share the threads: each works through small matrices, which few threads do best."""
    from tools.minnow.measures import Report

    each = max(1, threads // 2)
    os.environ["OMP_NUM_THREADS"] = str(each)
    # Spawned, so that no worker inherits the threads of another.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        jobs: list[Future[Report]] = []
        if only != "base":
            aligned = _folder(models, "minnow")
            jobs.append(pool.submit(_measure, aligned, "aligned", split, True, narrow, each))
        if only != "aligned":
            inside = full or only == "base"
            jobs.append(
                pool.submit(_measure, _folder(models, "minnow-base"), "base", split, inside, narrow, each)
            )
        if only is None:
            exact = models / "minnow.f32.gguf" if models else files.path("gguf-f32")
            packed = models / "minnow.gguf" if models else files.path("gguf")
            jobs.append(pool.submit(_parity, aligned, exact, packed, split, each))
        report = Report(split)
        for job in jobs:
            report.join(job.result())
    return report


def _folder(models: Path | None, name: files.Name) -> Path:
    return models / name if models else files.path("safetensors", name)


def _measure(
    folder: Path, register: Register, split: Split, inside: bool, narrow: bool | None, threads: int
) -> Report:
    import torch

    from tools.minnow import measures

    torch.set_num_threads(threads)
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    if narrow is None:
        # Where the CPU does not multiply bf16 by itself, f32 is faster.
        narrow = bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return measures.measure(measures.load(folder, register, narrow=narrow), split, inside=inside)


def _parity(folder: Path, exact: Path, packed: Path, split: Split, threads: int) -> Report:
    import torch

    from tools.minnow import measures

    torch.set_num_threads(threads)
    return measures.parity(folder, exact, packed, split, threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--models", type=Path, help="exported models, instead of the installed ones")
    parser.add_argument("--details", type=Path, help="write what stands behind the figures here")
    parser.add_argument("--only", choices=("base", "aligned"), help="measure one model, without parity")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--full", action="store_true", help="probe and steer the base too")
    parser.add_argument("--exact", action="store_true", help="f32 throughout, which takes longer")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    began = time.perf_counter()
    report = evaluate(
        chosen.models,
        chosen.split,
        only=chosen.only,
        full=chosen.full,
        narrow=False if chosen.exact else None,
        threads=chosen.threads,
    )
    figures = report.all_figures()
    if chosen.details:
        told = {"figures": figures, "both": report.both, "seconds": report.seconds, **report.details}
        chosen.details.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(json.dumps(figures, indent=None if chosen.json else 1))
    if not chosen.json:
        print(f"{time.perf_counter() - began:.0f} s: {report.seconds}")


if __name__ == "__main__":
    main()
