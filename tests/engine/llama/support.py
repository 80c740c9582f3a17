"""What the tests of the llama.cpp engine share: loading, plans, and looking into a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from trimtab.engine.contract import LoadRequest
from trimtab.engine.llama.hook import Mode
from trimtab.engine.llama.load import load
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.plan import Plan, make_plan
from trimtab.engine.program import Array, Intervention, Probe, Program, Raise, Shift, Watch

FloatArray = npt.NDArray[np.float32]
NOTHING = Plan(fingerprint="")
TEXT = "The keeper of the light walked down to the harbour, for the boats were late and the sea was rising."


def open_machine(path: Path, **options: Any) -> LlamaMachine:
    settings: dict[str, Any] = {"threads": 1, "context": 256, "exact": True} | options
    return load(LoadRequest(path=str(path), **settings), lambda fraction: True)


def plan_of(*interventions: Intervention, watches: Sequence[Watch] = ()) -> Plan:
    program = Program(interventions=interventions, watches=tuple(watches))
    return make_plan(program, "reply", open_gates={})


def draw(width: int, seed: int = 0, scale: float = 1.0) -> FloatArray:
    return (np.random.default_rng(seed).standard_normal(width) * scale).astype(np.float32)


def shifts(machine: LlamaMachine, layers: Sequence[int], scale: float = 0.5) -> tuple[Shift, ...]:
    return tuple(Shift(layer=layer, vector=Array(draw(machine.info.width, layer, scale))) for layer in layers)


def raises(
    machine: LlamaMachine, layers: Sequence[int], rows: int = 3, target: float = 2.0
) -> tuple[Raise, ...]:
    width = machine.info.width
    return tuple(
        Raise(
            layer=layer,
            probes=tuple(
                Probe(weight=Array(draw(width, 10 * layer + row, 0.2)), bias=0.1 * row) for row in range(rows)
            ),
            targets=(target,) * rows,
        )
        for layer in layers
    )


def fresh(machine: LlamaMachine, plan: Plan, tokens: Sequence[int]) -> FloatArray:
    """The logits after the tokens, from an empty sequence under the plan."""
    machine.cut(0)
    machine.install(plan)
    return machine.decode(tokens).copy()


def greedy(
    machine: LlamaMachine, plan: Plan, tokens: Sequence[int], count: int
) -> tuple[list[int], FloatArray]:
    """Greedy tokens and the logits before each."""
    logits = fresh(machine, plan, tokens)
    chosen, rows = [], []
    for _ in range(count):
        chosen.append(int(logits.argmax()))
        rows.append(logits)
        logits = machine.decode(chosen[-1:]).copy()
    return chosen, np.stack(rows)


@contextmanager
def captured(
    machine: LlamaMachine, layers: Sequence[int], rows: int = 256
) -> Iterator[dict[int, FloatArray]]:
    """What leaves these layers meanwhile, after whatever was done there; filled in at the end."""
    hook = machine._forward._hook
    found: dict[int, FloatArray] = {}
    mode = hook.mode
    hook.capture(layers, rows)
    hook.mode = mode | Mode.CAPTURE
    try:
        yield found
    finally:
        found.update({layer: states.copy() for layer, states in hook.captured().items()})
        hook.mode = mode
        hook.capture((), 0)


def rewrite(
    source: Path, target: Path, architecture: str, extra: dict[str, float] | None = None, parts: int = 1
) -> Path:
    """The same weights under another architecture's name, or in several files, of which the first is returned."""
    reader = gguf.GGUFReader(source)
    before = str(reader.fields["general.architecture"].contents())
    most = -(-len(reader.tensors) // parts) if parts > 1 else 0
    writer = gguf.GGUFWriter(target, architecture, split_max_tensors=most)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(
            key.replace(f"{before}.", f"{architecture}.", 1), field.contents(), kind, sub_type=inner
        )
    for name, value in (extra or {}).items():
        writer.add_float32(f"{architecture}.{name}", value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target if parts == 1 else target.with_name(f"{target.stem}-00001-of-{parts:05}.gguf")
