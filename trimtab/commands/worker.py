"""`trimtab worker`: an engine for a client at the other end of stdin and stdout, here or through ssh."""

from __future__ import annotations

import click

from trimtab.engine.worker import OPTIONS, run


@click.command(
    "worker",
    params=[
        click.Option([option.flag, option.name], metavar=option.metavar, help=option.help)
        for option in OPTIONS
    ],
    epilog="\b\nExamples:\n  ssh box trimtab worker\n  trimtab worker --log worker.log < requests > answers",
)
def command(log: str | None, log_dir: str | None, files: str | None, engine: str | None) -> None:
    """Run an engine for a client at the other end of stdin and stdout.

    Trimtab starts one by itself; run it by hand only at the far end of a connection, where it turns another
    machine into an engine for this one.
    """
    run(log, log_dir, files, engine)
