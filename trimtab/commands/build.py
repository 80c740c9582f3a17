"""`trimtab build`: packs from recipes, for one model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from trimtab.commands.model_options import model_options

if TYPE_CHECKING:
    from trimtab.engine.contract import LoadRequest
    from trimtab.vectors.building import Built, Options
    from trimtab.vectors.library import Library


@click.command(
    "build",
    epilog="\b\nExamples:\n  trimtab build --all\n  trimtab build security.toml power --model qwen2.5-3b-q4_k_m.gguf",
)
@click.argument("recipes", nargs=-1, metavar="FILE_OR_ID...")
@click.option("--all", "every", is_flag=True, help="Build every recipe in the model's language.")
@model_options
@click.option(
    "--form",
    type=click.Choice(["plain", "chat"]),
    default="plain",
    show_default=True,
    help="Read the pairs as bare text, or as a user's message.",
)
@click.option(
    "--positions",
    type=click.Choice(["last", "mean"]),
    default="last",
    show_default=True,
    help="Read the state at a text's last token, or the mean over all.",
)
@click.option(
    "--accuracy",
    type=click.FloatRange(0.5, 1.0),
    default=0.9,
    show_default=True,
    help="Steer at layers whose probes are right more often than this.",
)
@click.option("--centred", is_flag=True, help="Centre the differences before their principal component.")
@click.option("--learning-curve", is_flag=True, help="Show how accuracy grows with the number of pairs.")
@click.option("--language", default="", metavar="CODE", help="Of the recipes. [default: the model's]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="A folder for the packs, instead of the library."
)
@click.option("--author", default="", help="Who made the packs, if you want to share them.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@click.pass_context
def command(
    context: click.Context,
    recipes: tuple[str, ...],
    every: bool,
    request: LoadRequest,
    form: Literal["plain", "chat"],
    positions: Literal["last", "mean"],
    accuracy: float,
    centred: bool,
    learning_curve: bool,
    language: str,
    out: Path | None,
    author: str,
    as_json: bool,
) -> None:
    """Build packs from recipes, for one model.

    Each pair of a recipe is read by the model; probes learn where its states tell the two sides apart. The packs go
    to the library, where the chat finds them. A build that was stopped goes on where it was when run again.
    """
    from datetime import UTC, datetime

    from trimtab import __version__
    from trimtab.vectors.build_report import plain, render
    from trimtab.vectors.building import Options

    if not recipes and not every:
        raise click.UsageError("Name recipes, or say --all. `trimtab recipe list` shows what there is.")
    options = Options(
        form=form,
        positions=positions,
        accuracy=accuracy,
        centred=centred,
        curve=learning_curve,
        date=datetime.now(UTC).date().isoformat(),
        author=author,
        tool=f"trimtab {__version__}",
    )
    built = asyncio.run(_build(request, recipes, every, language, options, out, quiet=as_json))
    if as_json:
        click.echo(json.dumps([plain(each, place) for each, place in built], indent=2))
    else:
        click.echo("\n\n".join(render(each, place) for each, place in built))
    context.exit(0 if all(each.pack for each, _ in built) else 1)


async def _build(
    request: LoadRequest,
    names: tuple[str, ...],
    every: bool,
    language: str,
    options: Options,
    out: Path | None,
    *,
    quiet: bool,
) -> list[tuple[Built, str]]:
    from trimtab.commands.progress import Progress
    from trimtab.engine.client import EngineClient
    from trimtab.engine.identity import identify
    from trimtab.vectors import building, recipe_choice
    from trimtab.vectors.library import Library
    from trimtab.vectors.pack import BaseModel

    identity = identify(request.path)
    speaks = language or recipe_choice.language_of(identity)
    chosen = recipe_choice.chosen(names, every, speaks)
    library = Library()
    async with EngineClient.start() as engine:
        info = await engine.load(request)
        model = BaseModel.of(identity, engine=info.engine)
        with Progress(quiet=quiet) as progress:
            built = await building.build(
                engine,
                model,
                chosen,
                options,
                others=recipe_choice.family(chosen),
                known=[each.pack for each in library.entries(model.fingerprint) if each.pack],
                on_progress=progress,
            )
    return [(each, _saved(each, library, out)) for each in built]


def _saved(built: Built, library: Library, out: Path | None) -> str:
    """Where the pack lies now; an older one of the same value and model makes room."""
    from trimtab.vectors.pack_files import write_atomically
    from trimtab.vectors.pack_writing import to_bytes

    if built.pack is None:
        return ""
    if out is None:
        return str(library.add(built.pack, replace=True).path)
    place = out / f"{built.pack.value}.gguf"
    write_atomically(place, to_bytes(built.pack))
    return str(place)
