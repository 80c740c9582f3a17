"""Finds out by looking where a model can be read and steered, whatever its architecture is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.engine import math, tuning
from trimtab.engine.contract import FloatArray
from trimtab.engine.gguf_file import GgufFile
from trimtab.engine.kernel import Kernel
from trimtab.engine.llama.control import ControlVector
from trimtab.engine.llama.forward import Forward
from trimtab.engine.llama.hook import Hook, Mode, Seen
from trimtab.engine.plan import Plan
from trimtab.errors import Unsupported

ASIDE = 1
"""The sequence in which such passes are made."""
FINAL = "result_norm"

_SAMPLE = 256
_ALIKE = 0.99
_CLOSE = 2e-3


@dataclass(frozen=True, eq=False)
class Sites:
    """What was found."""

    steerable: tuple[int, ...]
    problems: Mapping[str, str]
    """By node, why it cannot be used."""
    last_is_outputs: bool
    """The last layer's rows are those that make output, and no others."""
    control_vector: bool
    """llama.cpp's control vector does what the hook does."""
    head: bool
    """The logits are a linear function of the final normed state."""
    head_scale: float
    """What the logits are multiplied by after the unembedding."""
    head_bias: FloatArray | None
    norm: tuning.Norm | None
    """The final norm, where it is one of the known ones and lies right behind the last layer."""


def look(
    forward: Forward, hook: Hook, kernel: Kernel, control: ControlVector, file: GgufFile, softcap: float
) -> Sites:
    """Three decodes of a few tokens in a sequence of their own."""
    tokens = [forward.vocabulary // 3, forward.vocabulary // 2, forward.vocabulary // 5]
    direction = np.random.default_rng(0).standard_normal(kernel.width).astype(np.float32)
    direction /= np.linalg.norm(direction)
    finals: list[FloatArray] = []

    def probe(rows: FloatArray) -> None:
        finals.append(rows.copy())
        rows[-2] = direction
        rows[-1] = 0.0

    hook.capture(range(kernel.layers), len(tokens))
    hook.edit(FINAL, probe)
    hook.mode = Mode.LOOK | Mode.CAPTURE | Mode.EDIT
    try:
        forward.alone(tokens, ASIDE, outputs=[1, 2], check=False)
        seen = hook.look()
        captured = {layer: rows.copy() for layer, rows in hook.captured().items()}
        logits = [forward.logits(at).astype(np.float64) for at in (1, 2)]
    finally:
        hook.mode = Mode.IDLE
        hook.edit(FINAL, None)
        hook.error()
    last = captured[kernel.layers - 1]
    head, scale = _head(file, direction, logits, softcap) if finals else (False, 1.0)
    bias = math.undo_softcap(logits[1], softcap) if softcap else logits[1]
    return Sites(
        steerable=seen.layers,
        problems=seen.problems,
        last_is_outputs=len(last) == 2,
        control_vector=_control_vector_works(forward, hook, kernel, control, seen, captured),
        head=head,
        head_scale=scale,
        head_bias=bias.astype(np.float32) if head and bias.any() else None,
        norm=_norm(file, last[-2:], finals[0][-2:]) if finals and kernel.layers - 1 in seen.layers else None,
    )


def _head(
    file: GgufFile, direction: FloatArray, logits: list[tuning.Float64Array], softcap: float
) -> tuple[bool, float]:
    """Whether writing a direction where the final norm ends gives W·direction, and times what."""
    with_it, without = (math.undo_softcap(row, softcap) if softcap else row for row in logits)
    found = with_it - without
    sample = np.unique(np.linspace(0, len(found) - 1, _SAMPLE).astype(int))
    try:
        expected = unembedding(file, sample.tolist()) @ direction.astype(np.float64)
    except Unsupported:
        return bool(np.ptp(found) > 0), 1.0
    lengths = np.linalg.norm(found[sample]) * np.linalg.norm(expected)
    product = float(found[sample] @ expected)
    if not np.isfinite(product) or product < _ALIKE * lengths or not lengths:
        return False, 1.0
    scale = product / float(expected @ expected)
    # Quantised weights are multiplied a little wrong; a head that scales does it by much more.
    return True, 1.0 if abs(scale - 1) < 0.01 else scale


def _norm(file: GgufFile, before: FloatArray, after: FloatArray) -> tuning.Norm | None:
    """The final norm as the file describes it, if it does turn the one into the other."""
    norm = _norm_in(file)
    if norm is None or len(before) != len(after):
        return None
    error = np.abs(norm.apply(before.astype(np.float64)) - after).max()
    return norm if error <= _CLOSE * np.abs(after).max() else None


def _norm_in(file: GgufFile) -> tuning.Norm | None:
    if "output_norm.weight" not in file.tensors:
        return None
    weight = file.whole("output_norm.weight").astype(np.float64)
    epsilon = file.number(f"{file.architecture}.attention.layer_norm_rms_epsilon")
    if epsilon is not None:
        return tuning.RMSNorm(weight, float(epsilon))
    epsilon = file.number(f"{file.architecture}.attention.layer_norm_epsilon")
    if epsilon is None:
        return None
    bias = (
        file.whole("output_norm.bias").astype(np.float64)
        if "output_norm.bias" in file.tensors
        else np.zeros_like(weight)
    )
    return tuning.LayerNorm(weight, bias, float(epsilon))


def _control_vector_works(
    forward: Forward,
    hook: Hook,
    kernel: Kernel,
    control: ControlVector,
    seen: Seen,
    captured: Mapping[int, FloatArray],
) -> bool:
    """Not every architecture's graph adds it: one that does gives the same states as the hook."""
    layers = [layer for layer in seen.layers if layer]
    if not layers:
        return False
    draw = np.random.default_rng(1)
    shifts = {
        layer: (draw.standard_normal(kernel.width) * captured[layer].std()).astype(np.float32)
        for layer in layers
    }
    token = [forward.vocabulary // 3]
    states = []
    hook.capture(seen.layers, 1)
    try:
        kernel.install(Plan(fingerprint="", shifts=shifts))
        hook.mode = Mode.STEER | Mode.CAPTURE
        forward.alone(token, ASIDE, outputs=[0])
        states.append({layer: rows.copy() for layer, rows in hook.captured().items()})
        hook.rewind()
        hook.mode = Mode.CAPTURE
        if not control.put(shifts):
            return False
        forward.alone(token, ASIDE, outputs=[0])
        states.append(hook.captured())
    finally:
        hook.mode = Mode.IDLE
        control.clear()
        kernel.install(Plan(fingerprint=""))
        hook.capture((), 0)
    hooked, built_in = states
    return all(
        bool(np.abs(hooked[layer] - built_in[layer]).max() <= _CLOSE * np.abs(hooked[layer]).max())
        for layer in layers
    )


def unembedding(file: GgufFile, tokens: Sequence[int]) -> FloatArray:
    """Rows of the matrix that makes the logits."""
    name = "output.weight" if "output.weight" in file.tensors else "token_embd.weight"
    return file.rows(name, tokens)
