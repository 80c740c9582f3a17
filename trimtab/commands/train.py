"""`trimtab train`: RAHF, and the recipes it is compared with, on preference pairs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.training.options import METHODS, Layers

if TYPE_CHECKING:
    from trimtab.training.pairs import Data
    from trimtab.training.progress import Standing

_POSITIVE = click.IntRange(min=1)


def _layers(_context: click.Context, _option: click.Parameter, value: str | None) -> Layers | None:
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter("Give start,stop,step, as 10,20,2.")
    return Layers(*(int(part) for part in parts))


@click.command(
    "train",
    epilog="\b\nExamples:\n  trimtab train rahf-scit --data minnow:answers --out polite"
    "\n  trimtab train rahf-dual --model qwen2.5-0.5b --data pairs.jsonl --out helpful --layers 8,16,2",
)
@click.argument("method", type=click.Choice(METHODS))
@click.option("--model", metavar="DIR", help="A folder of safetensors. [default: the built-in base]")
@click.option(
    "--data",
    required=True,
    metavar="FILE",
    help="Preference pairs as JSON Lines; minnow:answers or minnow:reviews writes some (minnow:answers:2000).",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder for all that is made.")
@click.option(
    "--step-one", type=click.Path(path_type=Path), help="Take step one from this earlier run's folder."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 512), help="[default: the processor's cores less one]")
@click.option("--device", help="cpu, cuda or cuda:1. [default: cuda where there is a card]")
@click.option("--precision", type=click.Choice(["f32", "bf16"]), help="[default: bf16 on a card, else f32]")
@click.option(
    "--at-once", "size", type=_POSITIVE, default=8, show_default=True, help="Examples in memory at once."
)
@click.option("--tune", type=click.Choice(["full", "lora"]), help="Step one, SFT, HIR and DPO change this.")
@click.option("--rate", type=float, help="Their learning rate.")
@click.option("--epochs", type=float, help="How often they see each example.")
@click.option("--batch", type=_POSITIVE, help="Their examples a step.")
@click.option(
    "--first-share", type=float, default=0.5, show_default=True, help="Of the prompts, for step one."
)
@click.option("--held-share", type=float, default=0.05, show_default=True, help="For validation.")
@click.option("--longest-prompt", type=_POSITIVE, default=256, show_default=True, help="Tokens; others go.")
@click.option("--longest", type=_POSITIVE, default=768, show_default=True, help="Tokens; texts are cut.")
@click.option(
    "--good", default="", help="What p+ says. [default: the paper's words, minnow's own for minnow]"
)
@click.option("--bad", default="", help="What p- says.")
@click.option(
    "--likelihood",
    type=click.Choice(["sum", "mean"]),
    default="sum",
    show_default=True,
    help="P of Eq. 1: summed over a response's tokens, or their mean.",
)
@click.option(
    "--supervised", type=float, default=1.0, show_default=True, help="Weight of Eq. 1's first term."
)
@click.option("--smoothing", type=float, default=0.0, show_default=True, help="Of Eq. 1's second term.")
@click.option("--beta", type=float, default=0.1, show_default=True, help="DPO's.")
@click.option(
    "--reference",
    type=click.Choice(["preferred", "base"]),
    default="preferred",
    show_default=True,
    help="What DPO starts from.",
)
@click.option("--rank", type=_POSITIVE, help="Of adapters. [default: 8; 16 for DPO]")
@click.option("--lora-alpha", type=float, default=16.0, show_default=True)
@click.option("--dropout", type=float, default=0.05, show_default=True, help="Within adapters.")
@click.option(
    "--targets",
    type=click.Choice(["all", "attention", "qv"]),
    default="all",
    show_default=True,
    help="Which linear layers are adapted.",
)
@click.option("--fit-rate", type=float, help="Step two's learning rate.")
@click.option("--fit-steps", type=_POSITIVE, help="Step two's steps.")
@click.option("--fit-batch", type=_POSITIVE, help="Step two's examples a step.")
@click.option(
    "--layers",
    callback=_layers,
    metavar="START,STOP,STEP",
    help="Blocks whose outputs are fitted. [default: 10,20,2 of 32, scaled]",
)
@click.option("--alpha", type=float, default=5.0, show_default=True, help="How far along the pattern.")
@click.option(
    "--fit",
    type=click.Choice(["norm", "mse"]),
    default="norm",
    show_default=True,
    help="Eq. 6: the norm as printed, or the mean square.",
)
@click.option(
    "--stimuli",
    type=click.Choice(["both", "chosen", "rejected", "random"]),
    help="Which responses patterns are read on. [default: both; chosen for lorra-pref]",
)
@click.option(
    "--tokens", type=click.IntRange(0), help="First tokens read; 0 for all. [default: 0; 64 for rahf-dual]"
)
@click.option("--lead", is_flag=True, help="Read the position that predicts the first token too.")
@click.option(
    "--instructions",
    type=click.Choice(["contrast", "positive", "none"]),
    default="contrast",
    show_default=True,
    help="Before the prompt where patterns are read: p+ and p-, p+ twice, nothing.",
)
@click.option("--instructed", is_flag=True, help="Fit the adapter behind p+.")
@click.option("--json", "as_json", is_flag=True, help="Print what came out as JSON.")
def command(
    method: Any,
    model: str | None,
    data: str,
    out: Path,
    step_one: Path | None,
    size: int,
    threads: int | None,
    device: str | None,
    precision: Any,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train on preference pairs: an adapter that makes the model prefer what people preferred.

    rahf-scit and rahf-dual teach copies of the model what is preferred, and fit an adapter to the difference in
    their states. The others are what they are compared with. A run that was stopped goes on with the same command.
    """
    import msgspec

    from trimtab.training.options import Options
    from trimtab.training.request import Request, train

    request = Request(
        model=_folder(model),
        data=_data(data, settings["seed"]),
        options=Options(method=method, **settings),
        out=out,
        step_one=step_one,
        size=size,
        threads=threads,
        device=device,
        precision=precision,
    )
    with _stopping() as stopped:
        outcome = train(request, lambda standing: click.echo(_line(standing), err=True), stopped)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(outcome), indent=2).decode())
        return
    for path in outcome.written:
        click.echo(f"Wrote {path}")
    if outcome.remark:
        click.echo(outcome.remark)


def _folder(model: str | None) -> Path:
    if model is not None:
        return Path(model).expanduser()
    from trimtab.minnow import files

    return files.path("safetensors", "minnow-base")


def _data(name: str, seed: int) -> Data:
    from trimtab.training import minnow_pairs
    from trimtab.training.pair_files import read_pairs

    if name.startswith(minnow_pairs.PREFIX):
        return minnow_pairs.minnow_pairs(name, seed)
    return read_pairs(Path(name).expanduser())


@contextmanager
def _stopping() -> Iterator[Any]:
    """Ctrl+C and SIGTERM let the step end and the place be kept; a second one ends at once."""
    asked = threading.Event()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: Any) -> None:
        asked.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def _line(standing: Standing) -> str:
    from trimtab.commands.progress import duration

    place = f"{standing.number}/{standing.stages} {standing.stage}"
    told = f"{place}  step {standing.step}/{standing.steps}  loss {standing.loss:.4f}"
    told += f"  {standing.measured} {standing.measure:.3f}"
    if standing.validation is not None:
        told += f"  validation {standing.validation:.4f}"
    return told if standing.step == standing.steps else f"{told}  {duration(standing.seconds_left)} left"
