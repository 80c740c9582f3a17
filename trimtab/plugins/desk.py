"""The desk: all dials together, and the program that they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab.engine.program import Adapter, Program, Watch
from trimtab.plugins.anchor_words import Sides
from trimtab.plugins.context import MethodContext
from trimtab.plugins.dial import Dial, Source, describe, title_of
from trimtab.plugins.errors import DialError, PluginError
from trimtab.plugins.manager import Plugins
from trimtab.plugins.method import Steering
from trimtab.plugins.methods.packs import best_layer, site
from trimtab.vectors.pack import Pack
from trimtab.vectors.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Every line that steers a conversation."""

    dials: tuple[Dial, ...] = ()
    silenced: bool = False
    """Nothing is steered; probes are still watched."""


@dataclass(frozen=True, kw_only=True)
class Composed:
    """The program of a desk, and what to know about how it was made."""

    program: Program
    notes: tuple[str, ...] = ()


async def compose(desk: Desk, plugins: Plugins, model: MethodContext, *, watch: bool = True) -> Composed:
    """Each dial's interventions in the order of the desk.

    With `watch` the probe of every pack on the desk is watched, whether its dial acts or not.
    """
    dials = _named(desk.dials)
    acting = [dial for dial in dials if dial.acts and not desk.silenced]
    made = [await _steer(dial, plugins, model) for dial in acting]
    program = Program(
        interventions=tuple(item for each in made for item in each.interventions),
        watches=tuple(_watches(dials)) if watch else (),
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


async def _steer(dial: Dial, plugins: Plugins, model: MethodContext) -> Steering:
    method = plugins.method(dial.method or default_method(dial.source))
    if not isinstance(dial.source, method.takes):
        fitting = [each.name for each in plugins.methods().values() if isinstance(dial.source, each.takes)]
        raise DialError(
            f"The method {method.name} cannot steer with {describe(type(dial.source))} ({dial.title}); it takes "
            f"{' or '.join(map(describe, method.takes))}.",
            f"Use {' or '.join(fitting)}.",
        )
    steering = await method.steer(dial, model)
    if not isinstance(steering, Steering):
        raise PluginError(
            f"The method {method.name} made a {type(steering).__name__} of {dial.title}.",
            "It was written for another version of Trimtab.",
        )
    return steering


def _named(dials: Sequence[Dial]) -> list[Dial]:
    """With a title for each that no other has: it is how receipts tell them apart."""
    taken: set[str] = set()
    named = []
    for dial in dials:
        title = wanted = dial.label or title_of(dial.source)
        count = 1
        while title in taken:
            count += 1
            title = f"{wanted} {count}"
        taken.add(title)
        named.append(dataclasses.replace(dial, label=title))
    return named


def _watches(dials: Sequence[Dial]) -> Iterator[Watch]:
    """Each pack's best probe, once."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    for dial in dials:
        pack = dial.source
        if not isinstance(pack, Pack) or pack.method != "probe" or not pack.good:
            continue
        layer = best_layer(pack)
        assert layer.probe is not None
        key = (pack.value, layer.probe.unit.digest)
        if key not in seen:
            seen.add(key)
            name = pack.value if pack.value not in names else dial.title
            names.add(name)
            yield Watch(name=name, layer=site(pack, layer), probe=layer.probe.part())
