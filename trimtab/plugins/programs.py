"""The program that the lines of a desk make together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab.engine.program import Adapter, Program, Watch
from trimtab.engine.text import clean_line
from trimtab.errors import TrimtabError
from trimtab.plugins.anchor_words import Sides
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError, PluginError
from trimtab.plugins.line import Line, Source, describe, title_of
from trimtab.plugins.manager import Plugins
from trimtab.plugins.method import Steering
from trimtab.plugins.methods.packs import best_layer, site
from trimtab.vectors.pack import Pack
from trimtab.vectors.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A program, and what to know about how it was made."""

    program: Program
    notes: tuple[str, ...] = ()


async def compose(
    lines: Sequence[Line],
    plugins: Plugins,
    model: MethodContext,
    *,
    silenced: bool = False,
    watch: bool = True,
) -> Composed:
    """Each line's interventions, in order. Silenced, nothing is steered.

    With `watch` the probe of every pack is watched, whether its line acts or not.
    """
    named = _named(lines)
    acting = [line for line in named if line.acts and not silenced]
    made = [await _steer(line, plugins, model) for line in acting]
    program = Program(
        interventions=tuple(item for each in made for item in each.interventions),
        watches=tuple(_watches(named)) if watch else (),
    )
    program.check(layers=model.info.layers, width=model.info.width, vocabulary=model.info.vocabulary)
    return Composed(program=program, notes=tuple(note for each in made for note in each.notes))


def default_method(source: Source) -> str:
    """The built-in method that a source is steered with unless somebody says otherwise."""
    match source:
        case Pack():
            return "vector" if source.method == "imported" else "conva"
        case Recipe():
            return "ica"
        case Sides():
            return "awot"
        case Adapter():
            return "adapter"
    return "preface"


async def _steer(line: Line, plugins: Plugins, model: MethodContext) -> Steering:
    method = plugins.method(line.method or default_method(line.source))
    if not isinstance(line.source, method.takes):
        fitting = [each.name for each in plugins.methods().values() if isinstance(line.source, each.takes)]
        raise LineError(
            f"The method {method.name} cannot steer with {describe(type(line.source))} ({line.title}); it takes "
            f"{' or '.join(map(describe, method.takes))}.",
            f"Use {' or '.join(fitting)}.",
        )
    try:
        steering = await method.steer(line, model)
    except TrimtabError:
        raise
    except Exception as error:
        raise PluginError(
            f"The method {method.name} failed with {line.title}: {type(error).__name__}: {clean_line(str(error))}.",
            "Tell whoever wrote it.",
        ) from error
    if not isinstance(steering, Steering):
        raise PluginError(
            f"The method {method.name} made a {type(steering).__name__} of {line.title}.",
            "It was written for another version of Trimtab.",
        )
    return steering


def _named(lines: Sequence[Line]) -> list[Line]:
    """With a title for each that no other has: it is how receipts tell them apart."""
    taken: set[str] = set()
    named = []
    for line in lines:
        title = wanted = line.label or title_of(line.source)
        count = 1
        while title in taken:
            count += 1
            title = f"{wanted} {count}"
        taken.add(title)
        named.append(dataclasses.replace(line, label=title))
    return named


def _watches(lines: Sequence[Line]) -> Iterator[Watch]:
    """Each pack's best probe, once."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    for line in lines:
        pack = line.source
        if not isinstance(pack, Pack) or pack.method != "probe" or not pack.good:
            continue
        layer = best_layer(pack)
        assert layer.probe is not None
        key = (pack.value, layer.probe.unit.digest)
        if key not in seen:
            seen.add(key)
            name = pack.value if pack.value not in names else line.title
            names.add(name)
            yield Watch(name=name, layer=site(pack, layer), probe=layer.probe.part())
