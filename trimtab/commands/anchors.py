"""`trimtab anchors`: anchor words chosen from preference data."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from trimtab.commands.model_options import model_options

if TYPE_CHECKING:
    from trimtab.chat.desk import Desk
    from trimtab.commands.choosing import Scored
    from trimtab.engine.contract import LoadRequest
    from trimtab.vectors.anchor_file import AnchorPack
    from trimtab.vectors.anchor_selection import Selected

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "anchors",
    epilog="\b\nExamples:\n"
    "  trimtab anchors --pairs hh.jsonl --model llama-2-7b-chat.gguf --reference llama-2-7b.gguf --name kind\n"
    '  trimtab anchors --chosen polite.txt --rejected rude.txt --preface "You are very polite."',
)
@click.option("--chosen", type=_FILE, help="Responses that were preferred: JSON lines, or text, one a line.")
@click.option("--rejected", type=_FILE, help="Responses that were not.")
@click.option("--pairs", type=_FILE, help="JSON lines with both, under the keys chosen and rejected.")
@model_options
@click.option(
    "--reference", metavar="FILE_OR_NAME", help="The model to compare with: one of the same vocabulary."
)
@click.option("--adapter", metavar="PATH[:SCALE]", help="Compare the model with this adapter and without.")
@click.option("--preface", default="", metavar="TEXT", help="Compare the model told this and not told.")
@click.option("--words", type=click.IntRange(1, 100), default=10, show_default=True, help="On each side.")
@click.option(
    "--least", type=click.IntRange(1), default=5, show_default=True, help="How often a word must occur."
)
@click.option("--keep-names", is_flag=True, help="Take names too; needed where all nouns have capitals.")
@click.option("--leave-out", multiple=True, metavar="WORD", help="Never take this word.")
@click.option(
    "--form",
    type=click.Choice(["auto", "plain", "chat"]),
    default="auto",
    show_default=True,
    help="Read the texts in the chat template where both models have the same, or as a plain dialogue.",
)
@click.option("--name", default="", help="What to call the anchor pack. [default: as the file of data]")
@click.option("--out", type=_FILE, help="Where to write it. [default: where @NAME is found]")
@click.option("--json", "as_json", is_flag=True, help="Print what was chosen as JSON.")
def command(
    chosen: Path | None,
    rejected: Path | None,
    pairs: Path | None,
    request: LoadRequest,
    reference: str | None,
    adapter: str | None,
    preface: str,
    words: int,
    least: int,
    keep_names: bool,
    leave_out: tuple[str, ...],
    form: Literal["auto", "plain", "chat"],
    name: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Choose anchor words from preference data, and keep them as an anchor pack.

    Words are taken that the better model says more readily than the reference in chosen responses, and less readily
    in rejected ones (AWOT, Eqs. 6-9). The better model is --model; the reference is another one of the same
    vocabulary, or the same without an adapter or a preface. `trimtab ask --anchors @NAME` steers with them.
    """
    import json

    import msgspec

    from trimtab.chat.desk import Desk, PrefaceDial
    from trimtab.chat.dial_text import parse_file
    from trimtab.commands.choosing import Contrast, contrast
    from trimtab.commands.progress import Progress
    from trimtab.engine.text import clean_line
    from trimtab.models.finding import resolve
    from trimtab.vectors import anchor_file
    from trimtab.vectors.anchor_selection import select
    from trimtab.vectors.preferences import read_side

    if (pairs is None) == (chosen is None) or (chosen is None) != (rejected is None):
        raise click.UsageError("Give the data as --chosen and --rejected, or both in one as --pairs.")
    if bool(reference) == bool(adapter or preface):
        raise click.UsageError("Say what to compare with: --reference, or --adapter or --preface.")
    above, below = pairs or chosen, pairs or rejected
    assert above is not None and below is not None
    desk = Desk(
        adapters=(parse_file(adapter),) if adapter else (),
        preface=PrefaceDial(text=preface),
    )
    other = msgspec.structs.replace(request, path=str(resolve(reference))) if reference else None
    sides = read_side(above, "chosen"), read_side(below, "rejected")
    with Progress(quiet=as_json) as progress:
        scored = asyncio.run(contrast(Contrast(request, other, desk, form), *sides, progress))
    found = select(
        scored.chosen,
        scored.rejected,
        scored.pieces,
        most=words,
        least=least,
        keep_names=keep_names,
        leave_out=leave_out,
    )
    pack = _pack(name or above.stem, found, scored, desk, other, above)
    place = out or anchor_file.folder() / f"{pack.name}{anchor_file.SUFFIX}"
    anchor_file.save(pack, place)
    shown = clean_line(str(place))
    if as_json:
        told = {"path": shown, **msgspec.to_builtins(pack), "left_out": scored.left_out}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(_text(pack, found, scored, shown))


def _pack(
    name: str, found: Selected, scored: Scored, desk: Desk, other: LoadRequest | None, data: Path
) -> AnchorPack:
    from datetime import UTC, datetime

    from trimtab import __version__
    from trimtab.chat.desk import summary
    from trimtab.engine.text import clean_line
    from trimtab.errors import TrimtabError
    from trimtab.vectors.anchor_file import AnchorPack, AnchorWord

    if not found.positive and not found.negative:
        raise TrimtabError(
            "No word occurs often enough and tells the two models apart.",
            "Take more data, or ask for fewer occurrences with --least.",
        )
    positive, negative = (
        tuple(AnchorWord(word=each.word, score=each.score, count=each.count) for each in side)
        for side in (found.positive, found.negative)
    )
    steered = summary(desk)
    return AnchorPack(
        name=re.sub(r"[^\w-]+", "-", name).strip("-")[:60] or "anchors",
        model=f"{scored.info.name}{f' under {steered}' if steered else ''}",
        reference=clean_line(Path(other.path).name) if other else f"{scored.info.name} as it is",
        form=scored.form,
        vocabulary_hash=scored.info.vocabulary_hash,
        data=clean_line(data.name),
        date=datetime.now(UTC).date().isoformat(),
        tool=f"trimtab {__version__}",
        positive=positive,
        negative=negative,
    )


def _text(pack: AnchorPack, found: Selected, scored: Scored, place: str) -> str:
    from trimtab.engine.text import clean_line
    from trimtab.vectors.words import GRAMMAR_WORDS

    rows = [("+", each) for each in pack.positive] + [("-", each) for each in pack.negative]
    width = max(len(each.word) for _, each in rows)
    lines = [
        f"{sign} {each.word:<{width}}  {each.score:+7.3f}  {each.count:>6,} times" for sign, each in rows
    ]
    plain = [each.word for _, each in rows if each.word.casefold() in GRAMMAR_WORDS]
    if plain:
        lines.append(f"\nNo sentence can do without {', '.join(plain)}: consider --leave-out {plain[0]}.")
    if found.names:
        shown = ", ".join(found.names[:8]) + (" …" if len(found.names) > 8 else "")
        lines.append(f"Left out as names: {shown} (--keep-names).")
    if scored.left_out:
        lines.append(f"{scored.left_out} responses do not fit into the window.")
    lines.append(f"\nWrote {place}")
    lines.append(f'Use it: trimtab ask "…" --anchors @{pack.name}')
    return "\n".join(clean_line(line) if line[:1] != "\n" else f"\n{clean_line(line[1:])}" for line in lines)
