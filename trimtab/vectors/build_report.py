"""What a build made of each recipe, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trimtab.engine.text import clean
from trimtab.vectors.building import Built
from trimtab.vectors.pack import Pack, Setting

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 9


def render(built: Built, place: str) -> str:
    """A paragraph: the pack's figures, or why there is none."""
    return clean("\n".join(_lines(built, place)))


def plain(built: Built, place: str) -> dict[str, object]:
    pack = built.pack
    told: dict[str, object] = {
        "value": built.recipe.id,
        "pack": place or None,
        "failure": built.failure or None,
        "accuracies": {str(layer): round(accuracy, 4) for layer, accuracy in built.accuracies.items()},
    }
    if built.curve:
        told["learning curve"] = [[count, round(accuracy, 4)] for count, accuracy in built.curve]
    if pack is None:
        return told
    return told | {
        "layers": list(pack.good),
        "gate": None if pack.gate is None else pack.gate.accuracy,
        "recommended": _level(pack.recommended),
        "maximum": _level(pack.maximum),
        "warnings": list(pack.warnings),
    }


def _lines(built: Built, place: str) -> Iterator[str]:
    yield f"{built.recipe.name}"
    yield _row("layers", f"{bars(list(built.accuracies.values()))}  {_accuracies(built)}")
    if built.pack is not None:
        yield from _figures(built.pack)
    if built.curve:
        yield _row("pairs", ", ".join(f"{count}: {accuracy:.2f}" for count, accuracy in built.curve))
    if built.pack is None:
        yield _row("no pack", built.failure)
        return
    for warning in built.pack.warnings:
        yield _row("warning", warning)
    yield _row("saved", place)


def _figures(pack: Pack) -> Iterator[str]:
    if pack.gate is not None and pack.gate.accuracy is not None:
        yield _row("gate", f"right about {pack.gate.accuracy:.0%} of questions it had not seen")
    if pack.calibration is not None:
        best, most = _level(pack.recommended), _level(pack.maximum)
        if best is None:
            yield _row("levels", "none is recommended: move the slider with care")
        else:
            most_told = f", bearable up to {most:g}" if most is not None and most > best else ""
            yield _row("levels", f"safe up to {best:g}{most_told}")
    if pack.top_tokens:
        middle = pack.top_tokens[len(pack.top_tokens) // 2]
        yield _row("says", f"{' '.join(middle.tokens[:8])} (layer {middle.layer})")


def _accuracies(built: Built) -> str:
    top = max(built.accuracies, key=lambda layer: built.accuracies[layer])
    told = f"best {built.accuracies[top]:.2f} at layer {top}"
    if built.pack is None:
        return told
    return f"{told}; steered: {spans(built.pack.good)}"


def bars(shares: Sequence[float]) -> str:
    """Accuracies as small bars, from one half to one."""
    return "".join(_BARS[min(7, max(0, int((share - 0.5) * 16)))] for share in shares)


def spans(numbers: Sequence[int]) -> str:
    """`2 to 5, 7` instead of 2, 3, 4, 5, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _level(setting: Setting | None) -> float | None:
    return None if setting is None else setting.level


def _row(title: str, text: str) -> str:
    return f"  {title:<{_WIDTH}} {text}"
