"""`trimtab worker`: an engine for a client at the other end of stdin and stdout, here or through ssh."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "worker",
    epilog="\b\nExamples:\n  ssh box trimtab worker\n  trimtab worker --log worker.log < requests > answers",
)
@click.option("--log", type=click.Path(path_type=Path), help="Write the log to this file and nowhere else.")
@click.option("--files", type=click.Path(path_type=Path), help="Keep uploaded adapters in this folder.")
@click.option("--engine", metavar="MODULE:FACTORY", help="What makes the engine, for engine plugins.")
def command(log: Path | None, files: Path | None, engine: str | None) -> None:
    """Run an engine for a client at the other end of stdin and stdout.

    Trimtab starts one by itself; run it by hand only at the far end of a connection, where it turns another
    machine into an engine for this one.
    """
    from trimtab.engine.worker import main

    given = {"--log": log, "--files": files, "--engine": engine}
    main([part for name, value in given.items() if value is not None for part in (name, str(value))])
