"""`trimtab ask`: one question, one steered answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from trimtab.commands.model_options import model_options

if TYPE_CHECKING:
    from trimtab.engine.contract import LoadRequest


@click.command(
    "ask",
    epilog="\b\nExamples:\n"
    '  trimtab ask "Should I keep the steady job or join the circus?" --dial security=3 --explain\n'
    '  git diff | trimtab ask "Review this:" - --anchors "+ kind clear - harsh" --max-tokens 200',
)
@click.argument("text", nargs=-1)
@model_options
@click.option(
    "--dial",
    "dials",
    multiple=True,
    metavar="VALUE=LEVEL[:STRENGTH[:GATE]]",
    help="Steer a value: its level (below 0: the opposite), how much of it is done (1), and the threshold of its "
    "gate (own, none, or 0 to 1). May be given for several values.",
)
@click.option(
    "--method", default="", metavar="NAME", help="What steers the dials, such as caa. [default: conva]"
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A further setting of the method, such as layers=4-9; anchors.NAME=VALUE is one of the anchors.",
)
@click.option(
    "--anchors",
    default="",
    metavar="WORDS",
    help='Steer by words: "+ good best - bad awful", or @NAME of an anchor pack.',
)
@click.option(
    "--anchors-strength",
    type=click.FloatRange(0, 1000),
    default=4.0,
    show_default=True,
    help="By how many logits the words are moved apart.",
)
@click.option(
    "--adapter", "adapters", multiple=True, metavar="PATH[:SCALE]", help="Put a LoRA adapter in place."
)
@click.option("--vector", "vectors", multiple=True, metavar="PATH[:SCALE]", help="Add a control vector.")
@click.option(
    "--classifier", metavar="DIR", help="Let this text classifier decide which questions the dials steer."
)
@click.option("--preface", default="", metavar="TEXT", help="Say this before the question.")
@click.option("--system", default="", metavar="TEXT", help="The system prompt.")
@click.option("--raw", is_flag=True, help="Go on with the text as it stands, without a chat template.")
@click.option(
    "--temperature", type=click.FloatRange(0, 100), default=0.8, show_default=True, help="0 is greedy."
)
@click.option("--top-k", type=click.IntRange(0), default=40, show_default=True, help="0 keeps all.")
@click.option("--top-p", type=click.FloatRange(0, 1), default=0.95, show_default=True)
@click.option("--min-p", type=click.FloatRange(0, 1), default=0.05, show_default=True)
@click.option("--repeat-penalty", type=click.FloatRange(0.01, 100), default=1.0, show_default=True)
@click.option("--max-tokens", type=click.IntRange(1), help="[default: until the model ends]")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="The same seed, the same answer.")
@click.option("--explain", is_flag=True, help="Say afterwards what was done, layer by layer. Goes to stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print one object with the text and the receipt.")
@click.option(
    "--events", is_flag=True, help="Print every event as a line of JSON, the receipt with the last."
)
@click.pass_context
def command(
    context: click.Context,
    text: tuple[str, ...],
    request: LoadRequest,
    dials: tuple[str, ...],
    method: str,
    settings: tuple[str, ...],
    anchors: str,
    anchors_strength: float,
    adapters: tuple[str, ...],
    vectors: tuple[str, ...],
    classifier: str | None,
    preface: str,
    system: str,
    raw: bool,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repeat_penalty: float,
    max_tokens: int | None,
    stop: tuple[str, ...],
    seed: int | None,
    explain: bool,
    as_json: bool,
    events: bool,
) -> None:
    """Ask one question and print the answer, steered as the dials say.

    Without TEXT the question is read from standard input; a - among the words stands for it. Nothing but the answer
    goes to standard output. Ctrl-C ends the answer and keeps what was said.
    """
    from trimtab.chat.desk import AnchorDial, Desk, PrefaceDial
    from trimtab.chat.dial_text import parse_dial, parse_file
    from trimtab.commands.asking import Question, ask
    from trimtab.commands.interruption import STATUS
    from trimtab.commands.showing import EventLines, JsonObject, PlainText, Shows
    from trimtab.engine.contract import Sampling

    if as_json and events:
        raise click.UsageError("Choose one of --json and --events.")
    if raw and system:
        raise click.UsageError("A raw text has no system prompt: leave --system or --raw out.")
    ours = tuple(each for each in settings if not each.startswith("anchors."))
    theirs = tuple(each.removeprefix("anchors.") for each in settings if each.startswith("anchors."))
    desk = Desk(
        dials=tuple(parse_dial(each, method, ours) for each in dials),
        anchors=AnchorDial(text=anchors, strength=anchors_strength, options=theirs),
        adapters=tuple(map(parse_file, adapters)),
        vectors=tuple(map(parse_file, vectors)),
        preface=PrefaceDial(text=preface),
        classifier=parse_file(classifier) if classifier else None,
    )
    if (method or ours) and not dials:
        raise click.UsageError("--method and --set say how dials steer: give one with --dial.")
    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repeat_penalty=repeat_penalty,
        max_tokens=max_tokens,
        stop=stop,
        seed=seed,
    )
    question = Question(_said(text), system, desk, sampling, raw)
    show: Shows = EventLines() if events else JsonObject() if as_json else PlainText(explain=explain)
    try:
        ended = asyncio.run(ask(request, question, show))
    except (KeyboardInterrupt, asyncio.CancelledError):
        context.exit(STATUS)  # before anything was said, or not to wait any longer
    context.exit(STATUS if ended == "cancelled" else 0)


def _said(words: tuple[str, ...]) -> str:
    """The words as given, with standard input where it is asked for or where there are none."""
    import sys

    from trimtab.chat.cleaning import text as cleaned

    if not words and sys.stdin.isatty():
        raise click.UsageError('Ask something: trimtab ask "Should I go?", or pipe a text into it.')
    wanted = not words or "-" in words
    piped = sys.stdin.buffer.read().decode("utf-8", "replace").strip("\r\n") if wanted else ""
    parts = [piped] if not words else [f"\n\n{piped}\n\n" if word == "-" else word for word in words]
    said = cleaned(" ".join(parts)).strip()
    if not said:
        raise click.UsageError("There is nothing to answer: the text is empty.")
    return said
