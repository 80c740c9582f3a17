"""Whole runs on a tiny model: they learn, are stopped and taken up, and keep their data apart."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import TinyModel
from tests.training.support import run, stop_after, task
from trimtab.errors import Cancelled
from trimtab.training.errors import TrainingError
from trimtab.training.options import METHODS, Method
from trimtab.training.pairs import Data
from trimtab.training.progress import Standing


def adapter(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_every_stage_of_every_method_learns(tiny_llama: TinyModel, tmp_path: Path, method: Method) -> None:
    seen: list[Standing] = []
    outcome = run(tiny_llama, tmp_path, method=method, report=seen.append)
    for name, told in outcome.stages.items():
        validations = [each["validation"] for each in told]
        assert validations[-1] < validations[0] - 0.01, name
        assert all(math.isfinite(each["loss"]) for each in told)
    ended = [each for each in seen if each.step == each.steps]
    assert [each.number for each in ended] == list(range(1, len(outcome.stages) + 1))
    assert all(Path(path).exists() for path in outcome.written)
    assert json.loads((tmp_path / "run.json").read_text())["options"]["method"] == method


def test_steps_learn_from_disjoint_prompts_and_say_which(tiny_llama: TinyModel, tmp_path: Path) -> None:
    outcome = run(tiny_llama, tmp_path, method="rahf-scit", epochs=0.5, fit_steps=1)
    assert outcome.pairs == {"one": 18, "two": 18, "held": 4}
    assert len(set(outcome.data.values())) == 3


@pytest.mark.parametrize("calls", [2, 9])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    tiny_llama: TinyModel, tmp_path: Path, calls: int
) -> None:
    settings: dict[str, Any] = {"method": "rahf-scit", "epochs": 1.0, "fit_steps": 4}
    run(tiny_llama, tmp_path / "whole", **settings)
    stops = 0
    while not (tmp_path / "parts" / "run.json").exists():
        with contextlib.suppress(Cancelled):
            run(tiny_llama, tmp_path / "parts", stopped=stop_after(calls), **settings)
        stops += 1
    assert stops >= 2
    assert adapter(tmp_path / "parts") == adapter(tmp_path / "whole")
    assert (tmp_path / "parts/adapter.gguf").read_bytes() == (tmp_path / "whole/adapter.gguf").read_bytes()
    assert not list(tmp_path.rglob("*.checkpoint.safetensors"))


def test_dpo_goes_on_from_the_reference_it_began_with(tiny_llama: TinyModel, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"method": "dpo", "epochs": 1.0}
    run(tiny_llama, tmp_path / "whole", **settings)
    # Two steps of the first stage, each asked about twice and once more at its end, then into the second.
    with pytest.raises(Cancelled, match="'dpo'"):
        run(tiny_llama, tmp_path / "parts", stopped=stop_after(6), **settings)
    run(tiny_llama, tmp_path / "parts", **settings)
    assert adapter(tmp_path / "parts") == adapter(tmp_path / "whole")


def test_the_seed_decides_what_comes_out(tiny_llama: TinyModel, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        run(tiny_llama, tmp_path / name, method="lorra", fit_steps=2, seed=seed)
    assert adapter(tmp_path / "first") == adapter(tmp_path / "again")
    assert adapter(tmp_path / "first") != adapter(tmp_path / "other")


def test_how_many_go_through_at_once_changes_only_the_rounding(tiny_llama: TinyModel, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"method": "rahf-scit", "epochs": 1.0, "fit_steps": 3, "dropout": 0.0}
    whole = run(tiny_llama, tmp_path / "whole", request={"size": 8}, **settings)
    bits = run(tiny_llama, tmp_path / "bits", request={"size": 3}, **settings)
    for name in whole.stages:
        for one, other in zip(whole.stages[name], bits.stages[name], strict=True):
            assert one["validation"] == pytest.approx(other["validation"], rel=1e-3)


def test_only_the_first_tokens_of_responses_matter_where_only_they_are_read(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    data = task()
    longer = Data(
        tuple(
            dataclasses.replace(pair, chosen=f"{pair.chosen}, they say", rejected=f"{pair.rejected}, oh")
            for pair in data.pairs
        ),
        good=data.good,
        bad=data.bad,
    )
    settings: dict[str, Any] = {"method": "lorra", "fit_steps": 2}
    for name, given, tokens in (("few", data, 3), ("few+", longer, 3), ("all", data, 0), ("all+", longer, 0)):
        run(tiny_llama, tmp_path / name, data=given, tokens=tokens, **settings)
    assert adapter(tmp_path / "few") == adapter(tmp_path / "few+")
    assert adapter(tmp_path / "all") != adapter(tmp_path / "all+")


def test_step_one_can_be_taken_from_an_earlier_run(tiny_llama: TinyModel, tmp_path: Path) -> None:
    quick: dict[str, Any] = {"epochs": 0.5, "fit_steps": 2}
    run(tiny_llama, tmp_path / "first", method="rahf-scit", **quick)
    given: dict[str, Any] = {"step_one": tmp_path / "first"}
    seen: list[Standing] = []
    run(
        tiny_llama,
        tmp_path / "more",
        method="rahf-scit",
        alpha=2.0,
        report=seen.append,
        request=given,
        **quick,
    )
    assert {each.stage for each in seen} == {"fit"}
    run(tiny_llama, tmp_path / "fresh", method="rahf-scit", alpha=2.0, **quick)
    assert adapter(tmp_path / "more") == adapter(tmp_path / "fresh")
    with pytest.raises(TrainingError, match="another supervised"):
        run(tiny_llama, tmp_path / "else", method="rahf-scit", supervised=0.0, request=given, **quick)
    with pytest.raises(TrainingError, match="no stage 'preferred'"):
        run(tiny_llama, tmp_path / "dual", method="rahf-dual", request=given, **quick)


def test_a_folder_of_another_run_is_left_alone(tiny_llama: TinyModel, tmp_path: Path) -> None:
    run(tiny_llama, tmp_path, method="lorra", fit_steps=1)
    before = adapter(tmp_path)
    with pytest.raises(TrainingError, match="another alpha"):
        run(tiny_llama, tmp_path, method="lorra", fit_steps=1, alpha=1.0)
    with pytest.raises(TrainingError, match="another data"):
        run(tiny_llama, tmp_path, method="lorra", fit_steps=1, data=task(things=4))
    assert adapter(tmp_path) == before


def test_a_run_that_began_elsewhere_is_another_run(tiny_llama: TinyModel, tmp_path: Path) -> None:
    run(tiny_llama, tmp_path, method="dpo", epochs=0.5)
    with pytest.raises(TrainingError, match="another start"):
        run(tiny_llama, tmp_path, method="dpo", epochs=0.5, reference="base")


def test_step_one_by_adapters_shares_one_model(tiny_llama: TinyModel, tmp_path: Path) -> None:
    outcome = run(tiny_llama, tmp_path, method="rahf-dual", tune="lora")
    told = outcome.stages["fit"]
    assert told[-1]["validation"] < told[0]["validation"]
    assert not (tmp_path / "model").exists()


def test_a_damaged_checkpoint_is_named(tiny_llama: TinyModel, tmp_path: Path) -> None:
    place = tmp_path / "stages" / "fit.checkpoint.safetensors"
    place.parent.mkdir()
    place.write_bytes(b"no")
    with pytest.raises(TrainingError, match="no checkpoint") as caught:
        run(tiny_llama, tmp_path, method="lorra", fit_steps=1)
    assert str(place) in str(caught.value)


def test_a_part_without_pairs_is_told(tiny_llama: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No pairs are left for the stage 'fit'"):
        run(tiny_llama, tmp_path, method="lorra", first_share=1.0)
