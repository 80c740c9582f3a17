"""The command line: `trimtab`, and for each command a module in `trimtab.commands`, imported when used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import click

from trimtab import __version__
from trimtab.errors import TrimtabError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what the arguments say and ends the process with its exit code."""
    application.main(args=None if arguments is None else list(arguments), prog_name="trimtab")


@dataclass(frozen=True)
class Entry:
    """A command as the help lists it before its module is imported."""

    name: str
    summary: str

    @property
    def module(self) -> str:
        """Holds the click command under the name `command`."""
        return f"trimtab.commands.{self.name}"


COMMANDS = (
    Entry("anchors", "Choose anchor words from preference data, and keep them as an anchor pack."),
    Entry("ask", "Ask one question and print the answer, steered as the dials say."),
    Entry("build", "Build packs from recipes, for one model."),
    Entry("doctor", "Check this installation and say what to do about what is wrong."),
    Entry("model", "List, inspect and pull models: GGUF files and folders of safetensors."),
    Entry("pack", "List, inspect, import, export, verify and remove packs: values compiled for a model."),
    Entry(
        "plugins", "Show the plugins: methods, engines, importers, judges and recipes, built in or installed."
    ),
    Entry("recipe", "Write, check, list and show recipes: the readable sources of values."),
    Entry(
        "train", "Train on preference pairs: an adapter that makes the model prefer what people preferred."
    ),
    Entry("worker", "Run an engine for a client at the other end of stdin and stdout."),
)


class Application(click.Group):
    """Finds commands by name without importing them, and shows errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = next((entry for entry in COMMANDS if entry.name == cmd_name), None)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        command = importlib.import_module(entry.module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.summary) for entry in COMMANDS])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TrimtabError as error:
            if ctx.params["debug"]:
                raise
            raise Failure(error) from error


class Failure(click.ClickException):
    """An error that the user can do something about, as one line on stderr."""

    def __init__(self, error: TrimtabError) -> None:
        from trimtab.engine.text import clean

        super().__init__(" ".join(clean(str(error)).split()))

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"trimtab: {self.message}", file=file, err=file is None)


@click.group(
    cls=Application,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  trimtab doctor\n  trimtab --debug doctor --json",
)
@click.version_option(__version__, message="trimtab %(version)s")
@click.option(
    "--debug",
    is_flag=True,
    default=lambda: os.environ.get("TRIMTAB_DEBUG", "") not in ("", "0"),
    help="Show the traceback of an error (as TRIMTAB_DEBUG=1 does).",
)
@click.pass_context
def application(context: click.Context, debug: bool) -> None:
    """Chat with a language model on your own machine, and steer what it values while it speaks."""
    del debug  # read by `Application.invoke`
    if context.invoked_subcommand is None:
        chat()


def chat() -> None:
    """Opens the app."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TrimtabError("The chat needs a terminal.", "trimtab --help shows what works without one.")
    from trimtab.tui.app import run

    run()
