"""Says in words what was done to a reply, from its program and its receipt: which values, where, and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trimtab.engine.contract import LayerShift, Receipt, Token
from trimtab.engine.math import probability
from trimtab.engine.program import Adapter, Intervention, Preface, Program, Raise, Shift, Tune


def explain(
    program: Program, receipt: Receipt, notes: Sequence[str] = (), tokens: Sequence[Token] = ()
) -> list[str]:
    """A sentence each; with the reply's tokens, what the watched probes read is told too."""
    return [
        *_asked(program),
        *notes,
        *_gates(receipt),
        *_layers(receipt),
        *_missed(receipt),
        *_phi(receipt),
        *_watched(tokens),
        *_reply(receipt),
    ]


def _asked(program: Program) -> Iterator[str]:
    """What each line of the desk asked for."""
    if not program.interventions:
        yield "Nothing was asked to steer."
    groups: dict[tuple[str, str], list[Intervention]] = {}
    for item in program.interventions:
        groups.setdefault((item.label, item.name), []).append(item)
    for (label, name), items in groups.items():
        yield f"{label or name}: {_wish(items)}."


def _wish(items: Sequence[Intervention]) -> str:
    first = items[0]
    where = _at(getattr(item, "layer", 0) for item in items)
    match first:
        case Raise():
            targets = [target for item in items if isinstance(item, Raise) for target in item.targets]
            aim = max(targets, key=abs)
            part = "" if set(first.strengths) == {1.0} else f", {first.strengths[0]:.0%} of the way"
            return f"raise its probe to a logit of {aim:.2f} (P = {float(probability(aim)):.4g}){part}, at {where}"
        case Shift():
            lengths = [abs(item.scale) * _length(item) for item in items if isinstance(item, Shift)]
            return f"add vectors {min(lengths):.3g} to {max(lengths):.3g} long, at {where}"
        case Tune():
            words = f"towards {_tokens(first.anchors.positive)}, away from {_tokens(first.anchors.negative)}"
            if first.hold is not None:
                return f"keep phi at {first.hold:g} or above ({words})"
            return f"move the final state {first.steps} steps of {first.step:.3g} ({words})"
        case Adapter():
            return f"put the adapter in place at {first.scale:g} times its scale"
        case Preface():
            place = "in the system prompt" if first.place == "system" else "before the user's first message"
            return f"say {place}: “{' '.join(first.text.split()).rstrip('.')}”"


def _gates(receipt: Receipt) -> Iterator[str]:
    for gate in receipt.gates:
        state = "open" if gate.open else "closed, so that it did nothing"
        yield f"The gate of {gate.label} was {state}: it scored {gate.score:.2f}, and {gate.threshold:.2f} opens it."


def _layers(receipt: Receipt) -> Iterator[str]:
    prompt = {layer.layer: layer for layer in receipt.prompt_layers}
    reply = {layer.layer: layer for layer in receipt.reply_layers}
    for number in sorted(prompt.keys() | reply.keys()):
        parts = [_moved(name, found.get(number)) for name, found in (("prompt", prompt), ("reply", reply))]
        yield f"Layer {number}: {'; '.join(filter(None, parts))}."


def _moved(phase: str, layer: LayerShift | None) -> str:
    if layer is None:
        return ""
    return (
        f"{layer.moved} of {layer.positions} positions of the {phase} moved by {layer.mean:.2f} on average, "
        f"{layer.maximum:.2f} at most"
    )


def _missed(receipt: Receipt) -> Iterator[str]:
    for miss in receipt.missed:
        yield (
            f"{miss.label} missed its target at layer {miss.layer} {_times(miss.times)}, "
            f"by {miss.by:.2f} logits at most."
        )


def _phi(receipt: Receipt) -> Iterator[str]:
    for name, phi in receipt.phi.items():
        before = "" if phi.before is None else f" {phi.before:.2f} before tuning,"
        yield f"phi of {name} was{before} {phi.after:.2f} after it, on average over the reply."


def _watched(tokens: Sequence[Token]) -> Iterator[str]:
    seen: dict[str, list[float]] = {}
    for token in tokens:
        for name, value in token.watched.items():
            seen.setdefault(name, []).append(value)
    for name, values in seen.items():
        mean = sum(values) / len(values)
        yield f"The probe of {name} read {mean:.3f} on average over the reply, {min(values):.3f} at least."


def _reply(receipt: Receipt) -> Iterator[str]:
    steered = receipt.steered_tokens
    speed = receipt.reply_tokens / receipt.reply_seconds if receipt.reply_seconds else 0.0
    yield (
        f"{receipt.model} said {receipt.reply_tokens} tokens, {steered} of them under steering"
        f"{f', {speed:.0f} a second' if speed else ''}."
    )
    yield f"Seed {receipt.seed}, temperature {receipt.sampling.temperature:g}; program {receipt.fingerprint[:12]}."


def _at(layers: Iterable[int]) -> str:
    """`layers 3 to 7 and 9`."""
    numbers = sorted(set(layers))
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    told = [str(low) if low == high else f"{low} to {high}" for low, high in spans]
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"layer{'s' if len(numbers) > 1 else ''} {listed}"


def _length(shift: Shift) -> float:
    return float((shift.vector.values.astype("f8") ** 2).sum() ** 0.5)


def _tokens(tokens: Sequence[int]) -> str:
    return "1 token" if len(tokens) == 1 else f"{len(tokens)} tokens"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
