"""What the papers say is what a run does where nothing else is asked for."""

from __future__ import annotations

import pytest

from trimtab.engine.contract import Message
from trimtab.training.errors import TrainingError
from trimtab.training.instructions import BAD, GOOD, instruct
from trimtab.training.options import METHODS, Layers, Method, Options, settle
from trimtab.training.pairs import Data
from trimtab.training.plan import BASE, stages
from trimtab.training.request import complete

SEVEN_B = {"parameters": 7_000_000_000, "blocks": 32}
MINNOW = {"parameters": 7_000_000, "blocks": 8}


def test_a_model_of_the_papers_size_gets_the_papers_settings() -> None:
    scit = settle(Options(method="rahf-scit"), **SEVEN_B)
    assert scit.layers == Layers(10, 20, 2)
    assert (scit.alpha, scit.rank, scit.lora_alpha, scit.dropout) == (5.0, 8, 16.0, 0.05)
    assert (scit.fit_rate, scit.fit_steps, scit.fit_batch, scit.tokens) == (3e-4, 450, 64, 0)
    assert (scit.rate, scit.epochs) == (2e-5, 2.0)
    dual = settle(Options(method="rahf-dual"), **SEVEN_B)
    assert (dual.fit_rate, dual.fit_steps, dual.fit_batch, dual.tokens) == (9e-6, 2500, 8, 64)
    dpo = settle(Options(method="dpo"), **SEVEN_B)
    assert (dpo.tune, dpo.rank, dpo.rate, dpo.epochs, dpo.batch, dpo.beta) == (
        "lora",
        16,
        2e-5,
        3.0,
        128,
        0.1,
    )


def test_small_models_are_tuned_whole_and_large_ones_by_adapters() -> None:
    assert settle(Options(method="rahf-scit"), **MINNOW).tune == "full"
    assert settle(Options(method="rahf-scit"), **SEVEN_B).tune == "lora"
    assert settle(Options(method="rahf-scit", tune="full"), **SEVEN_B).tune == "full"


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 8, 12, 24, 80])
def test_every_model_has_middle_layers(blocks: int) -> None:
    layers = settle(Options(method="lorra"), parameters=1, blocks=blocks).layers.blocks
    assert layers and layers[0] >= 0 and layers[-1] < blocks


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("sft", ["preferred one chosen base"]),
        ("hir", ["contrast one contrast base"]),
        ("dpo", ["preferred one chosen base", "dpo one dpo preferred"]),
        ("lorra", ["fit two fit base"]),
        ("lorra-pref", ["fit two fit base"]),
        ("rahf-scit", ["contrast one contrast base", "fit two fit base"]),
        ("rahf-dual", ["preferred one chosen base", "dispreferred one rejected base", "fit two fit base"]),
    ],
)
def test_a_method_is_its_stages(method: Method, expected: list[str]) -> None:
    plan = stages(settle(Options(method=method), **MINNOW))
    assert [f"{each.name} {each.part} {each.aim} {each.start}" for each in plan] == expected


def test_patterns_come_from_step_one_or_from_the_base_where_there_is_none() -> None:
    teachers = {method: stages(settle(Options(method=method), **MINNOW))[-1].teachers for method in METHODS}
    assert teachers["rahf-scit"] == ("contrast", "contrast")
    assert teachers["rahf-dual"] == ("preferred", "dispreferred")
    assert teachers["lorra"] == teachers["lorra-pref"] == (BASE, BASE)


def test_lorra_pref_reads_patterns_on_preferred_responses_only() -> None:
    assert settle(Options(method="lorra-pref"), **MINNOW).stimuli == "chosen"
    assert settle(Options(method="lorra"), **MINNOW).stimuli == "both"


def test_instructions_are_those_given_then_the_datas_then_the_papers() -> None:
    options, data = Options(method="hir"), Data((), good="Be kind.", bad="Be rude.")
    assert complete(options, Data(())).good == GOOD and complete(options, Data(())).bad == BAD
    assert complete(options, data).good == "Be kind."
    assert complete(Options(method="hir", bad="Be mean."), data).bad == "Be mean."


def test_an_instruction_stands_in_front_of_the_system_prompt() -> None:
    asked = Message(role="user", content="well?")
    system = Message(role="system", content="Be brief.")
    assert instruct((asked,), "Be good.") == (Message(role="system", content="Be good."), asked)
    assert instruct((system, asked), "Be good.")[0].content == "Be good.\n\nBe brief."
    assert instruct((asked,), "") == (asked,)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(TrainingError, match="dropout"):
        Options(method="sft", dropout=1.5)
    with pytest.raises(TrainingError, match="Layers 4,4,1"):
        Layers(4, 4)
    with pytest.raises(TrainingError, match="no layer 9"):
        settle(Options(method="lorra", layers=Layers(9, 10)), **MINNOW)
