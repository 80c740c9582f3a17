"""`trimtab plugins`: what this installation can do beyond its core, and what of it cannot be used."""

from __future__ import annotations

import click


@click.group("plugins", epilog="\b\nExamples:\n  trimtab plugins list\n  trimtab plugins list --json")
def command() -> None:
    """Show the plugins: methods, engines, importers, judges and recipes, built in or installed."""


@command.command(
    "list", epilog="\b\nExamples:\n  trimtab plugins list\n  trimtab plugins list --json | jq .skipped"
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def list_(context: click.Context, as_json: bool) -> None:
    """List what every plugin brings. Those that cannot be used are named with the reason.

    Ends with exit code 1 if there is one.
    """
    from trimtab.plugins.listing import listing, render, to_json
    from trimtab.plugins.manager import Plugins

    found = listing(Plugins.discover())
    click.echo(to_json(found) if as_json else render(found))
    context.exit(1 if found.skipped else 0)
