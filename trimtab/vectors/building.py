"""Builds packs: from recipes and a model to probes, directions, gates and what they say, through any engine."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import numpy as np

from trimtab.engine.client import EngineClient
from trimtab.engine.contract import ModelInfo, Passage
from trimtab.engine.program import Array
from trimtab.vectors import calibrating, gates, layer_fits, states
from trimtab.vectors.errors import BuildError
from trimtab.vectors.layer_fits import LayerFit
from trimtab.vectors.pack import (
    AnchorWords,
    BaseModel,
    Pack,
    PackGate,
    Provenance,
    Similarity,
    TopTokens,
)
from trimtab.vectors.recipe import Recipe
from trimtab.vectors.recipe_files import complete
from trimtab.vectors.top_tokens import top_tokens

MOST_PAIRS = 1000
"""More are not used: probes are as good with fewer, and the Gram matrix grows with the square."""
FEW_PAIRS = 50
FEW_QUESTIONS = 20
GATE_WORTH = 0.8
"""A gate that is right less often than this is none."""
_OTHERS = 60
"""Of the questions of other values, so many stand among the unrelated ones."""
_TOKENS = 12

OnProgress = Callable[[float, str], None]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How packs are built."""

    form: states.Form = "plain"
    """Bare texts, or texts as the user's message in the chat template."""
    positions: states.Positions = "last"
    """The state at the last token, or the mean over all of a text's."""
    accuracy: Annotated[float, msgspec.Meta(ge=0.5, le=1.0)] = 0.9
    """Layers whose held-out accuracy lies above this are good."""
    centred: bool = False
    """Take the mean difference away before the principal component is sought, as repeng does."""
    calibrate: bool = True
    """Measure what each level does."""
    curve: bool = False
    """Tell how accuracy grows with the number of pairs."""
    date: str = ""
    author: str = ""
    tool: str = ""


DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Built:
    """What became of a recipe: a pack, or why there is none."""

    recipe: Recipe
    pack: Pack | None
    failure: str = ""
    accuracies: dict[int, float] = field(default_factory=dict)
    """By layer, on pairs that the probe had not seen."""
    curve: tuple[tuple[int, float], ...] = ()
    """How many pairs, and the accuracy they reach at the best layer."""


@dataclass(slots=True)
class _Work:
    """The job as a whole, told in texts read; the rest is measured by what it costs beside them."""

    total: float
    on_progress: OnProgress
    done: float = 0.0

    def add(self, amount: float, what: str) -> None:
        self.done += amount
        self.on_progress(min(1.0, self.done / self.total), what)


@dataclass(frozen=True, slots=True)
class _Sources:
    """A complete recipe and the questions that its gate learns from."""

    recipe: Recipe
    related: tuple[str, ...]
    unrelated: tuple[str, ...]

    @property
    def gated(self) -> bool:
        return min(len(self.related), len(self.unrelated)) >= FEW_QUESTIONS


async def build(
    engine: EngineClient,
    model: BaseModel,
    recipes: Sequence[Recipe],
    options: Options = DEFAULT,
    *,
    others: Sequence[Recipe] = (),
    known: Sequence[Pack] = (),
    on_progress: OnProgress = lambda _, __: None,
) -> list[Built]:
    """A pack for each recipe. `others` lend questions to the gates, `known` packs are compared with."""
    info = engine.info
    if info is None:
        raise BuildError("No model is loaded.", "Load one.")
    if not info.steerable:
        raise BuildError(
            f"No layer of {info.name} can be read.", "Use another engine or format for this model."
        )
    sources = [_sources(recipe, [*recipes, *others]) for recipe in recipes]
    asked = tuple(dict.fromkeys(text for each in sources for text in (*each.related, *each.unrelated)))
    pairs = sum(2 * min(len(recipe.pairs), MOST_PAIRS) for recipe in recipes)
    levels = len(calibrating.LEVELS) + 1
    measured = levels * (2 * calibrating.PAIRS + calibrating.TEXTS) * len(recipes) if options.calibrate else 0
    work = _Work(1.05 * pairs + 0.8 * len(asked) + measured + 1, on_progress)
    key = f"{model.fingerprint} {model.weights_hash} {model.engine} {model.quantisation}"
    fits = [await _probe(engine, key, info, each.recipe, options, work) for each in sources]
    found_gates = await _gates(engine, key, info, sources, asked, work)
    good = [layer_fits.good_layers(each, info, options.accuracy) for each in fits]
    words = await top_tokens(
        engine,
        {(at, layer): fits[at][layer].unit for at, layers in enumerate(good) for layer in layers},
        _TOKENS,
        lambda part: work.add(part * 0.05 * pairs, "reading what the vectors say"),
    )
    built = []
    for at, (source, fit, layers) in enumerate(zip(sources, fits, good, strict=True)):
        said = tuple(TopTokens(layer=layer, tokens=words[at, layer]) for layer in layers)
        built.append(_pack(model, source, fit, layers, found_gates[at], said, options))
    if options.calibrate:
        share = measured / levels / len(recipes)
        for at, each in enumerate(built):
            if each.pack is None:
                work.add(share * levels, f"{each.recipe.name}: no pack")
                continue
            what = f"{each.recipe.name}: measuring levels"
            pack = await calibrating.calibrate(
                engine, each.pack, sources[at].recipe, functools.partial(work.add, share, what)
            )
            built[at] = dataclasses.replace(each, pack=pack)
    compared = [*known, *(each.pack for each in built if each.pack)]
    on_progress(1.0, "done")
    return [_compared(each, compared) for each in built]


def _sources(recipe: Recipe, others: Sequence[Recipe]) -> _Sources:
    """The recipe with its lists; dilemmas of other values go among the unrelated questions, as many of each."""
    whole = complete(recipe)
    related = whole.questions.of("validation")
    own = set(related) | set(whole.questions.of("test"))
    rng = random.Random(f"gate {recipe.id}")
    family = [
        each
        for each in others
        if each.id != recipe.id and each.group == recipe.group and each.language == recipe.language
    ]
    borrowed: list[str] = []
    if "other values" not in whole.unrelated.validation:
        for other in family:
            listed = [text for text in other.questions.of("validation") if text not in own]
            rng.shuffle(listed)
            borrowed += listed[: -(-_OTHERS // len(family))]
    unrelated = dict.fromkeys(
        text for text in (*whole.unrelated.of("validation"), *borrowed) if text not in own
    )
    return _Sources(whole, related, tuple(unrelated))


async def _probe(
    engine: EngineClient, key: str, info: ModelInfo, recipe: Recipe, options: Options, work: _Work
) -> dict[int, LayerFit]:
    pairs = recipe.pairs[:MOST_PAIRS]
    passages = tuple(Passage(text=text) for pair in pairs for text in (pair.positive, pair.negative))
    wanted = states.Wanted(
        passages=passages, layers=info.steerable, positions=options.positions, form=options.form
    )
    found = await states.read(
        engine, key, wanted, lambda count: work.add(count, f"{recipe.name}: reading pairs")
    )
    fits = {}
    for layer in info.steerable:
        fits[layer] = layer_fits.fit_layer(found.at(layer), centred=options.centred, keep_gram=options.curve)
    found.remove()
    return fits


async def _gates(
    engine: EngineClient,
    key: str,
    info: ModelInfo,
    sources: Sequence[_Sources],
    asked: tuple[str, ...],
    work: _Work,
) -> list[gates.GateFit | None]:
    """Every recipe's gate, from one reading of all questions."""
    if not any(source.gated for source in sources):
        return [None] * len(sources)
    layers = gates.candidates(info.steerable, info.layers)
    wanted = states.Wanted(passages=tuple(Passage(text=text) for text in asked), layers=layers)
    found = await states.read(engine, key, wanted, lambda count: work.add(0.8 * count, "reading questions"))
    whole = {layer: found.at(layer) for layer in layers}
    place = {text: at for at, text in enumerate(asked)}
    out: list[gates.GateFit | None] = []
    for source in sources:
        if not source.gated:
            out.append(None)
            continue
        rows = [place[text] for text in (*source.related, *source.unrelated)]
        related = np.arange(len(rows)) < len(source.related)
        out.append(gates.fit_gate({layer: each[rows] for layer, each in whole.items()}, related))
    found.remove()
    return out


def _pack(
    model: BaseModel,
    source: _Sources,
    fits: dict[int, LayerFit],
    good: tuple[int, ...],
    gate: gates.GateFit | None,
    said: tuple[TopTokens, ...],
    options: Options,
) -> Built:
    recipe = source.recipe
    accuracies = {layer: fit.accuracy for layer, fit in fits.items()}
    curve = layer_fits.best(fits).curve() if options.curve else ()
    if not good:
        top = max(accuracies, key=lambda layer: accuracies[layer])
        failure = (
            f"No layer of {model.name} separates {recipe.name}: the best, layer {top}, is right about "
            f"{accuracies[top]:.0%} of held-out texts, and {options.accuracy:.0%} are wanted. "
            f"{_advice(recipe, top, accuracies)}"
        )
        return Built(recipe, None, failure, accuracies, curve)
    warnings = _warnings(source, gate, accuracies, good)
    pack = Pack(
        value=recipe.id,
        name=recipe.name,
        meaning=recipe.meaning,
        method="probe",
        model=model,
        recipe_hash=recipe.digest,
        form=options.form,
        positions=options.positions,
        layers=tuple(fit.layer(number) for number, fit in fits.items()),
        good=good,
        level=layer_fits.LEVEL,
        gate=_gate(gate),
        anchors=AnchorWords(positive=recipe.anchors.positive, negative=recipe.anchors.negative),
        top_tokens=said,
        warnings=warnings,
        provenance=Provenance(
            tool=options.tool, date=options.date, author=options.author, licence=recipe.licence
        ),
    )
    return Built(recipe, pack, "", accuracies, curve)


def _gate(gate: gates.GateFit | None) -> PackGate | None:
    if gate is None or gate.accuracy < GATE_WORTH:
        return None
    return PackGate(
        weight=Array(gate.weight),
        bias=gate.bias,
        layer=gate.layer,
        threshold=gate.threshold,
        accuracy=gate.accuracy,
    )


def _advice(recipe: Recipe, top: int, accuracies: dict[int, float]) -> str:
    if len(recipe.pairs) < FEW_PAIRS:
        return f"The recipe has {len(recipe.pairs)} pairs: write more, a hundred or so."
    if accuracies[top] >= 0.75:
        return f"Accept weaker layers with --accuracy {np.floor(accuracies[top] * 50) / 50:g}, or write clearer pairs."
    return (
        "This model may not tell it apart; a larger one may. trimtab recipe check says what ails the pairs."
    )


def _warnings(
    source: _Sources, gate: gates.GateFit | None, accuracies: dict[int, float], good: tuple[int, ...]
) -> tuple[str, ...]:
    recipe, out = source.recipe, []
    if len(recipe.pairs) < FEW_PAIRS:
        out.append(f"Built from {len(recipe.pairs)} pairs; a hundred make probes that hold better.")
    if len(recipe.pairs) > MOST_PAIRS:
        out.append(f"Of {len(recipe.pairs)} pairs the first {MOST_PAIRS} were used.")
    if not source.gated:
        out.append(
            f"It has no gate, for want of questions ({len(source.related)} related, {len(source.unrelated)} "
            f"unrelated; {FEW_QUESTIONS} of each are the least): steering acts on every question."
        )
    elif gate is not None and gate.accuracy < GATE_WORTH:
        out.append(
            f"It has no gate: no layer tells related questions from others (right about {gate.accuracy:.0%}); "
            "steering acts on every question."
        )
    if max(accuracies[layer] for layer in good) < 0.8:
        out.append("Its probes are weak: levels are rough.")
    return tuple(out)


def _compared(built: Built, packs: Sequence[Pack]) -> Built:
    """With the similarity to every other value's direction, layer by layer where both are good."""
    pack = built.pack
    if pack is None:
        return built
    latest = {each.value: each for each in packs if each.value != pack.value and each.method == "probe"}
    found = [
        Similarity(value=other.value, layer=layer, cosine=float(np.clip(_cosine(pack, other, layer), -1, 1)))
        for other in latest.values()
        for layer in sorted(set(pack.good) & set(other.good))
    ]
    return dataclasses.replace(built, pack=msgspec.structs.replace(pack, similarities=tuple(found)))


def _cosine(one: Pack, other: Pack, layer: int) -> float:
    left, right = one.by_layer[layer].probe, other.by_layer[layer].probe
    assert left is not None and right is not None
    return float(left.unit.values.astype(np.float64) @ right.unit.values.astype(np.float64))
