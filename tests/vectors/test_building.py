"""Packs built by either engine steer, say what could not be done, and go on where a stopped build was."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.tiny import TinyModel
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import ActivationRequest, LoadRequest, Passage
from trimtab.engine.identity import identify
from trimtab.vectors import building, states
from trimtab.vectors.building import Built, Options
from trimtab.vectors.errors import BuildError
from trimtab.vectors.pack import BaseModel
from trimtab.vectors.pack_reading import from_bytes
from trimtab.vectors.pack_writing import to_bytes
from trimtab.vectors.recipe import Anchors, Lists, Pair, Recipe, Unrelated

CALM = ["calm", "quiet", "safe", "steady", "slow", "gentle", "soft", "still"]
WILD = ["wild", "loud", "risky", "sudden", "quick", "rough", "hard", "restless"]
THINGS = [
    "river",
    "street",
    "garden",
    "market",
    "winter",
    "morning",
    "journey",
    "letter",
    "window",
    "kitchen",
]


def recipe(pairs: int = 40, questions: int = 30, name: str = "calm") -> Recipe:
    rng = random.Random(name)
    made = [
        Pair(
            positive=f"The {thing} of the {rng.choice(THINGS)} was {rng.choice(CALM)}",
            negative=f"The {thing} of the {rng.choice(THINGS)} was {rng.choice(WILD)}",
        )
        for thing in (rng.choice(THINGS) for _ in range(pairs))
    ]
    related = tuple(
        f"Is the {rng.choice(THINGS)} number {n} {rng.choice(CALM + WILD)}" for n in range(questions)
    )
    unrelated = tuple(
        f"How many letters has the {rng.choice(THINGS)} of {n} and {n + 3}" for n in range(questions)
    )
    return Recipe(
        id=name,
        name=name.title(),
        meaning="Things are quiet.",
        pairs=tuple(made),
        anchors=Anchors(positive=("calm",), negative=("wild",)),
        questions=Lists(validation={"all": related}),
        unrelated=Unrelated(validation={"all": unrelated}),
    )


async def built(
    path: Path, *recipes: Recipe, options: Options | None = None, **others: object
) -> list[Built]:
    async with EngineClient.start() as engine:
        info = await engine.load(LoadRequest(path=str(path), threads=1, exact=True))
        model = BaseModel.of(identify(path), engine=info.engine)
        chosen = options or Options(accuracy=0.7, date="2026-01-01")
        return await building.build(engine, model, recipes, chosen, **others)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))


async def test_both_engines_build_the_same_pack(tiny_llama: TinyModel) -> None:
    [ours] = await built(tiny_llama.gguf, recipe())
    [theirs] = await built(tiny_llama.safetensors, recipe())
    assert ours.pack and theirs.pack
    assert ours.pack.good == theirs.pack.good
    assert ours.pack.model.fingerprint == theirs.pack.model.fingerprint
    for one, other in zip(ours.pack.layers, theirs.pack.layers, strict=True):
        assert one.probe and other.probe
        assert one.probe.unit.values @ other.probe.unit.values > 0.999
        assert one.probe.norm == pytest.approx(other.probe.norm, rel=0.01)


async def test_a_probe_is_what_scikit_learn_finds_in_the_same_states(tiny_llama: TinyModel) -> None:
    asked = recipe()
    [made] = await built(tiny_llama.gguf, asked)
    async with EngineClient.start() as engine:
        info = await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, exact=True))
        passages = tuple(
            Passage(text=text) for pair in asked.pairs for text in (pair.positive, pair.negative)
        )
        found = await engine.activations(ActivationRequest(passages=passages, layers=info.steerable))
    assert made.pack
    for at, layer in enumerate(made.pack.layers):
        oracle = LogisticRegression(tol=1e-10, max_iter=20_000).fit(
            found[:, at], np.arange(len(passages)) % 2 == 0
        )
        assert layer.probe
        weight = layer.probe.unit.values * layer.probe.norm
        assert np.linalg.norm(weight - oracle.coef_[0]) < 1e-3 * np.linalg.norm(oracle.coef_[0])


async def test_the_same_recipe_gives_the_same_bytes(tiny_llama: TinyModel) -> None:
    [one] = await built(tiny_llama.gguf, recipe())
    [other] = await built(tiny_llama.gguf, recipe())
    assert one.pack and other.pack
    content = to_bytes(one.pack)
    assert content == to_bytes(other.pack)
    assert from_bytes(content, "calm") == one.pack


async def test_what_no_layer_separates_is_said_and_not_packed(tiny_llama: TinyModel) -> None:
    words = [f"The {thing} was {word}" for thing in THINGS for word in CALM]
    random.Random(0).shuffle(words)
    alike = tuple(
        Pair(positive=one, negative=other) for one, other in zip(words[::2], words[1::2], strict=True)
    )
    blind = Recipe(id="nothing", name="Nothing", meaning="Nothing.", pairs=alike)
    [made] = await built(tiny_llama.gguf, blind, options=Options(accuracy=0.9, calibrate=False))
    assert made.pack is None
    assert "No layer of" in made.failure and "90%" in made.failure


async def test_several_values_know_how_alike_they_are(tiny_llama: TinyModel) -> None:
    one, other = await built(tiny_llama.gguf, recipe(name="calm"), recipe(name="quiet"))
    assert one.pack and other.pack
    found = {each.layer: each.cosine for each in one.pack.similarities if each.value == "quiet"}
    assert set(found) == set(one.pack.good) & set(other.pack.good)
    assert all(-1 <= cosine <= 1 for cosine in found.values())
    assert {each.layer: each.cosine for each in other.pack.similarities} == found


async def test_a_recipe_without_questions_has_no_gate_and_says_so(tiny_llama: TinyModel) -> None:
    [made] = await built(tiny_llama.gguf, recipe(questions=3))
    assert made.pack and made.pack.gate is None
    assert any("no gate" in warning for warning in made.pack.warnings)


async def test_few_pairs_are_warned_of(tiny_llama: TinyModel) -> None:
    [made] = await built(tiny_llama.gguf, recipe(pairs=20))
    assert made.pack and any("20 pairs" in warning for warning in made.pack.warnings)


async def test_levels_are_measured_from_none_to_five(tiny_llama: TinyModel) -> None:
    [made] = await built(tiny_llama.gguf, recipe())
    assert made.pack and made.pack.calibration
    points = made.pack.calibration.points
    assert [point.level for point in points] == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert points[0].quality.score == 1.0
    shifts = [point.shift for point in points]
    assert shifts == sorted(shifts)


async def test_a_level_that_moves_nothing_is_not_recommended(tiny_llama: TinyModel) -> None:
    turned = [
        Pair(positive=f"{pair.positive} indeed", negative=f"{pair.negative} indeed")
        for pair in recipe().pairs
    ]
    packs = [
        made.pack
        for pairs in (recipe().pairs, tuple(turned))
        for made in await built(
            tiny_llama.gguf,
            Recipe(
                **{field: getattr(recipe(), field) for field in Recipe.__struct_fields__} | {"pairs": pairs}
            ),
            options=Options(accuracy=0.5),
        )
    ]
    for pack in packs:
        assert pack and pack.calibration
        scores = [point.value.score for point in pack.calibration.points]
        told = any("No level made" in warning for warning in pack.warnings)
        assert told == (max(scores) <= scores[0])
        assert not (told and pack.recommended)


async def test_a_learning_curve_ends_with_all_pairs(tiny_llama: TinyModel) -> None:
    options = Options(accuracy=0.7, curve=True, calibrate=False)
    [made] = await built(tiny_llama.gguf, recipe(), options=options)
    assert [count for count, _ in made.curve] == [5, 10, 20, 40]
    assert all(0 <= accuracy <= 1 for _, accuracy in made.curve)


async def test_progress_rises_to_the_end(tiny_llama: TinyModel) -> None:
    told: list[tuple[float, str]] = []
    await built(tiny_llama.gguf, recipe(), on_progress=lambda part, what: told.append((part, what)))
    parts = [part for part, _ in told]
    assert parts == sorted(parts) and parts[-1] == 1.0 and len(parts) > 8


async def test_a_stopped_reading_goes_on_where_it_was(tiny_llama: TinyModel, tmp_path: Path) -> None:
    wanted = states.Wanted(passages=tuple(Passage(text=f"Text {n}") for n in range(100)), layers=(0, 1))
    async with EngineClient.start() as engine:
        await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, exact=True))
        counted: list[int] = []

        def stop(count: int) -> None:
            counted.append(count)
            if sum(counted) >= 64:
                raise KeyboardInterrupt

        folder = tmp_path / "states"
        folder.mkdir()
        with pytest.raises(KeyboardInterrupt):
            await states.read(engine, "model", wanted, stop, folder)
        again: list[int] = []
        found = await states.read(engine, "model", wanted, again.append, folder)
        whole = await engine.activations(ActivationRequest(passages=wanted.passages, layers=wanted.layers))
        assert again[0] == 64 and sum(again) == 100
        assert np.allclose(found.at(1), whole[:, 1], atol=1e-5)
        found.remove()
        assert not list(folder.iterdir())


async def test_no_room_for_the_states_is_said(tiny_llama: TinyModel, tmp_path: Path) -> None:
    wanted = states.Wanted(passages=(Passage(text="Text"),), layers=(0,))
    async with EngineClient.start() as engine:
        await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1))
        with pytest.raises(BuildError, match="cannot be written"):
            await states.read(engine, "model", wanted, folder=tmp_path / "missing")
