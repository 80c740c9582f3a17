"""`trimtab recipe`: recipes of values, to be written, checked, listed and shown."""

from __future__ import annotations

from pathlib import Path

import click

_LANGUAGE = click.option(
    "--language", default="", metavar="CODE", help="Prefer recipes in this language (en, minnow)."
)


@click.group(
    "recipe",
    epilog="\b\nExamples:\n  trimtab recipe new patience\n  trimtab recipe check patience security",
)
def command() -> None:
    """Write, check, list and show recipes: the readable sources of values."""


@command.command(
    epilog="\b\nExamples:\n  trimtab recipe new patience\n  trimtab recipe new patience --out patience.toml"
)
@click.argument("id")
@click.option(
    "--out",
    metavar="PATH",
    help="A file or a folder to write to, or - for stdout. [default: your recipes' folder]",
)
def new(id: str, out: str | None) -> None:
    """Write a commented file to start a recipe from.

    Without --out it goes to the folder where recipes are found by their id. The schema beside it lets editors that
    know TOML check the file while it is written.
    """
    from trimtab.vectors.recipe_starting import start, starting_text

    if out == "-":
        click.echo(starting_text(id), nl=False)
        return
    made = start(id, None if out is None else Path(out))
    click.echo(f"Wrote {made.path}")
    for line in made.remarks:
        click.echo(line)
    click.echo(f"Replace its examples, then run: trimtab recipe check {made.name}")


@command.command(
    epilog="\b\nExamples:\n  trimtab recipe check patience.toml\n  trimtab recipe check security power --json"
)
@click.argument("recipes", nargs=-1, required=True, metavar="FILE_OR_ID...")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@_LANGUAGE
@click.pass_context
def check(context: click.Context, recipes: tuple[str, ...], as_json: bool, language: str) -> None:
    """Check recipes and say how to mend them.

    Ends with exit code 1 if one fails: if something in it would spoil what is built from it. Warnings and notes
    do not fail. Recipes named together are also checked for what one tunes on and another tests on.
    """
    from trimtab.vectors.check_report import render, to_json
    from trimtab.vectors.checking import check_all

    reports = check_all(recipes, language)
    click.echo(to_json(reports) if as_json else render(reports))
    context.exit(0 if all(report.passes for report in reports) else 1)


@command.command(
    "list", epilog="\b\nExamples:\n  trimtab recipe list\n  trimtab recipe list --language minnow --json"
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@_LANGUAGE
def list_(as_json: bool, language: str) -> None:
    """List the recipes that are here.

    Yours come first, then the shipped ones, then those in the language of minnow, the built-in model.
    """
    from trimtab.vectors.recipe_listing import listing, render, to_json

    rows = listing(language)
    click.echo(to_json(rows) if as_json else render(rows))


@command.command(
    epilog="\b\nExamples:\n  trimtab recipe show security\n  trimtab recipe show security > my-security.toml"
)
@click.argument("recipe", metavar="FILE_OR_ID")
@click.option("--path", "only_path", is_flag=True, help="Print where its file is instead.")
@_LANGUAGE
def show(recipe: str, only_path: bool, language: str) -> None:
    """Print a recipe as TOML, without the comments of its file."""
    from trimtab.engine.text import clean_line
    from trimtab.vectors.recipe_files import locate

    found = locate(recipe, language)
    if only_path:
        click.echo(clean_line(str(found.place.path)))
    else:
        click.echo(found.recipe.to_toml(), nl=False)
