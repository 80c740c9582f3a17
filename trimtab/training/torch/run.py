"""A whole run: its stages one after another, each taken up where it was, and what comes out at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from trimtab.engine.contract import LoadRequest
from trimtab.engine.cores import choose_threads
from trimtab.engine.identity import identify
from trimtab.engine.torch.resources import choose_device
from trimtab.training.errors import TrainingError
from trimtab.training.options import Settled, settle
from trimtab.training.pairs import Parts, part
from trimtab.training.plan import BASE, Aim, Stage, stages
from trimtab.training.progress import Report
from trimtab.training.request import Outcome, Request, complete
from trimtab.training.torch import checkpoints, export, loop
from trimtab.training.torch.examples import Encoder
from trimtab.training.torch.network import Network, Place
from trimtab.training.torch.objectives import Contrast, Fit, Likely, Objective, Preference, Voice

_HELD = 200
"""How many examples validation looks at."""
_ALWAYS = ("seed", "longest_prompt", "longest")
_FIRST = ("rate", "epochs", "batch", "likelihood")
_SETTINGS: dict[Aim, tuple[str, ...]] = {
    "chosen": _FIRST,
    "rejected": _FIRST,
    "contrast": (*_FIRST, "good", "bad", "supervised", "smoothing"),
    "dpo": ("rate", "epochs", "batch", "beta"),
    "fit": (
        "fit_rate", "fit_steps", "fit_batch", "layers", "alpha", "fit", "stimuli", "tokens", "lead", "instructions",
        "instructed", "good", "bad",
    ),
}  # fmt: skip
_LORA = ("rank", "lora_alpha", "dropout", "targets")
"""Which options decide what a stage learns."""
_LEARNT = "learnt"
"""The adapter that a stage trains, where it trains one."""


@dataclass(slots=True)
class Run:
    """A run under way."""

    request: Request
    options: Settled
    place: Place
    parts: Parts
    model: str
    """The hash of a sample of the base's weights."""
    report: Report
    stopped: Callable[[], bool]
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: int = 0


def train(request: Request, report: Report, stopped: Callable[[], bool]) -> Outcome:
    """Runs what is left of the stages and writes what they make."""
    device = choose_device(LoadRequest(path=str(request.model), device=request.device))
    half = device.type == "cuda" if request.precision is None else request.precision == "bf16"
    place = Place(device, half)
    found = Network(request.model, place, "all", frozen=True)
    torch.set_num_threads(choose_threads(request.threads, found.parameters, small=0))
    options = settle(
        complete(request.options, request.data),
        parameters=found.parameters,
        blocks=len(found.anatomy.layers),
    )
    encoder = found.encoder(options.longest_prompt, options.longest)
    del found  # each stage opens its own
    try:
        return _train(request, options, place, encoder, report, stopped)
    finally:
        encoder.close()


def _train(
    request: Request,
    options: Settled,
    place: Place,
    encoder: Encoder,
    report: Report,
    stopped: Callable[[], bool],
) -> Outcome:
    fitting = dataclasses.replace(
        request.data,
        pairs=tuple(pair for pair in request.data.pairs if encoder.fits(pair)),
        held=tuple(pair for pair in request.data.held if encoder.fits(pair)),
    )
    parts = part(fitting, seed=options.seed, first_share=options.first_share, held_share=options.held_share)
    run = Run(
        request, options, place, parts, identify(request.model).weights_hash, report, stopped,
        left_out=len(request.data.pairs) - len(fitting.pairs),
    )  # fmt: skip
    plan = stages(options)
    for number, stage in enumerate(plan, 1):
        _stage(run, stage, number, len(plan), encoder)
    return _finish(run, plan[-1])


def _stage(run: Run, stage: Stage, number: int, count: int, encoder: Encoder) -> None:
    """Trains a stage, unless it is there already."""
    facts = _facts(run, stage)
    checkpoint = _place(run.request.out, f"{stage.name}.checkpoint")
    if _result(run, stage, facts) is not None:
        checkpoint.unlink(missing_ok=True)
        return
    if checkpoint.is_file():
        saved = checkpoints.load(checkpoint)
        if _apart(saved.facts, facts):
            raise _another(checkpoint, saved.facts, facts)
    network, parameters = _opened(run, stage)
    objective = _objective(run, stage, network)
    examples = objective.examples(getattr(run.parts, stage.part), encoder)
    if not examples:
        raise TrainingError(
            f"No pairs are left for the stage {stage.name!r}.", "Give more pairs, or another --first-share."
        )
    held = objective.examples(run.parts.held[:_HELD], encoder)[:_HELD]
    if isinstance(objective, Preference):
        objective.refer([*examples, *held], run.request.size)
    work = loop.Work(
        stage, number, count, network, objective, parameters, examples, held, run.options.seed,
        run.request.size, facts, checkpoint, run.report, run.stopped,
    )  # fmt: skip
    loop.run(work)
    checkpoints.save(
        _place(run.request.out, stage.name), parameters, None, facts=facts, step=0, told=work.told
    )
    run.told[stage.name] = work.told
    checkpoint.unlink(missing_ok=True)


def _opened(run: Run, stage: Stage) -> tuple[Network, Mapping[str, nn.Parameter]]:
    """A network at the stage's start, and what of it learns."""
    lora = stage.tune == "lora"
    network = Network(run.request.model, run.place, run.options.targets, frozen=lora)
    if lora:
        blocks = run.options.layers.blocks[-1] + 1 if stage.aim == "fit" else len(network.anatomy.layers)
        _add(run, network, _LEARNT, blocks)
        if stage.start != BASE:
            network.adapters.load(_LEARNT, _weights(run, stage.start))
        parameters: Mapping[str, nn.Parameter] = network.adapters.factors(_LEARNT)
    else:
        if stage.start != BASE:
            network.load(_weights(run, stage.start))
        parameters = network.weights()
    network.learn(list(parameters.values()))
    return network, parameters


def _objective(run: Run, stage: Stage, network: Network) -> Objective:
    match stage.aim:
        case "chosen" | "rejected":
            return Likely(network, run.options, stage.aim)
        case "contrast":
            return Contrast(network, run.options)
        case "dpo":
            return Preference(network, run.options)
        case "fit":
            good, bad = stage.teachers
            first = _teacher(run, good, network)
            second = first if bad == good else _teacher(run, bad, network)
            return Fit(network, run.options, _LEARNT, first, second)


def _teacher(run: Run, name: str, network: Network) -> Voice:
    """The model of an earlier stage, to be listened to: as an adapter on the same network, or a network of its own."""
    if name == BASE:
        return Voice(network)
    if run.options.tune == "lora":
        _add(run, network, name, len(network.anatomy.layers))
        network.adapters.load(name, _weights(run, name))
        network.learn(list(network.adapters.factors(_LEARNT).values()))
        return Voice(network, name)
    teacher = Network(run.request.model, run.place, run.options.targets, frozen=True)
    teacher.load(_weights(run, name))
    return Voice(teacher)


def _add(run: Run, network: Network, name: str, blocks: int) -> None:
    options = run.options
    network.adapters.add(
        name,
        blocks=blocks,
        rank=options.rank,
        alpha=options.lora_alpha,
        dropout=options.dropout,
        seed=options.seed,
    )


def _facts(run: Run, stage: Stage) -> dict[str, Any]:
    """Everything that decides what a stage learns."""
    given = msgspec.to_builtins(run.options)
    names = (*_ALWAYS, *_SETTINGS[stage.aim], *(_LORA if stage.tune == "lora" else ()))
    settings = {name: given[name] for name in names}
    before = {name for name in (stage.start, *stage.teachers) if name != BASE}
    digests = run.parts.digests()
    return {
        "start": stage.start,
        "teachers": list(stage.teachers),
        "tuning": stage.tune,
        "settings": settings,
        "data": digests[stage.part],
        "model": run.model,
        "after": {each.name: _facts(run, each) for each in stages(run.options) if each.name in before},
    }


def _result(run: Run, stage: Stage, facts: Mapping[str, Any]) -> checkpoints.Saved | None:
    """What the stage learnt, in this run's folder or in the one that step one is taken from."""
    own = _place(run.request.out, stage.name)
    if own.is_file():
        saved = checkpoints.load(own)
        if _apart(saved.facts, facts):
            raise _another(own, saved.facts, facts)
    elif run.request.step_one is not None and stage.part == "one":
        given = _place(run.request.step_one, stage.name)
        if not given.is_file():
            raise TrainingError(
                f"There is no stage {stage.name!r} in {run.request.step_one}.", "Leave --step-one out."
            )
        saved = checkpoints.load(given)
        if _apart(saved.facts, facts):
            raise _another(given, saved.facts, facts)
    else:
        return None
    run.told[stage.name] = saved.told
    return saved


def _weights(run: Run, name: str) -> dict[str, torch.Tensor]:
    stage = next(each for each in stages(run.options) if each.name == name)
    saved = _result(run, stage, _facts(run, stage))
    assert saved is not None
    return saved.weights()


def _place(folder: Path, name: str) -> Path:
    return folder / "stages" / f"{name}.safetensors"


def _finish(run: Run, last: Stage) -> Outcome:
    out = run.request.out
    written: list[Path] = []
    remark = ""
    network, parameters = _opened(run, last)
    saved = _weights(run, last.name)
    if last.tune == "lora":
        network.adapters.load(_LEARNT, saved)
        written.append(export.write_peft(network, _LEARNT, run.options, out / "adapter"))
        made = export.write_gguf(network, _LEARNT, run.options, out / "adapter.gguf")
        if made is None:
            remark = "llama.cpp's own convert_lora_to_gguf.py makes a GGUF adapter of this model's family."
        else:
            written.append(made)
    else:
        network.load(saved)
        written.append(export.write_model(network, run.request.model, out / "model"))
    del parameters
    outcome = Outcome(
        options=run.options,
        pairs={name: len(getattr(run.parts, name)) for name in ("one", "two", "held")},
        left_out=run.left_out,
        data=run.parts.digests(),
        model=run.model,
        stages=run.told,
        written=tuple(str(path) for path in written),
        remark=remark,
    )
    checkpoints.write(out / "run.json", lambda fresh: fresh.write_bytes(_told(outcome)))
    return outcome


def _told(outcome: Outcome) -> bytes:
    return msgspec.json.format(msgspec.json.encode(outcome), indent=2) + b"\n"


def _apart(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first thing in which two runs differ, empty if none."""
    for key in {**wanted, **saved}:
        ours, theirs = wanted.get(key), saved.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            inner = _apart(theirs, ours)
            if inner:
                return inner
        elif ours != theirs:
            return key
    return ""


def _another(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> TrainingError:
    return TrainingError(
        f"{path} comes from a run with another {_apart(saved, wanted).replace('_', ' ')}.",
        "Give another --out, or remove it.",
    )
