"""`trimtab model`: the models on this machine, and others to be fetched."""

from __future__ import annotations

from pathlib import Path

import click

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(
    "model",
    epilog="\b\nExamples:\n  trimtab model list\n  trimtab model pull bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q8_0",
)
def command() -> None:
    """List, inspect and pull models: GGUF files and folders of safetensors."""


@command.command(
    "list", epilog="\b\nExamples:\n  trimtab model list\n  trimtab model list --folder ~/models --json"
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Look there too.",
)
@_JSON
def list_(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the models that are here: built in, pulled, and kept by other programs.

    Looked at are the folders of huggingface_hub, llama.cpp, ollama, LM Studio, Jan and GPT4All. A name from the list
    can be given after --model.
    """
    from trimtab.models.finding import models
    from trimtab.models.report import list_json, list_text

    found = list(models(*folders))
    _show(list_json(found) if as_json else list_text(found))


@command.command(
    epilog="\b\nExamples:\n  trimtab model inspect minnow\n  trimtab model inspect model.gguf --all"
)
@click.argument("model", metavar="FILE_OR_NAME")
@click.option("--all", "whole", is_flag=True, help="Show all of the template and of the metadata.")
@_JSON
def inspect(model: str, whole: bool, as_json: bool) -> None:
    """Show what a model's files tell: size, memory it would take, template, fingerprint, metadata.

    Packs and their model know each other by the fingerprint, which all quantisations of a model share.
    """
    from trimtab.engine.model_facts import facts
    from trimtab.models.finding import resolve
    from trimtab.models.report import inspect_json, inspect_text

    found = facts(resolve(model))
    _show(inspect_json(found) if as_json else inspect_text(found, whole=whole))


@command.command(
    epilog="\b\nExamples:\n  trimtab model pull bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q8_0\n"
    "  trimtab model pull Qwen/Qwen2.5-0.5B-Instruct"
)
@click.argument("repository", metavar="OWNER/NAME[:WHICH]")
@click.option("--revision", default="", help="A branch, tag or commit. [default: main]")
@_JSON
def pull(repository: str, revision: str, as_json: bool) -> None:
    """Fetch a model from a hub of models, through huggingface_hub.

    WHICH is a quantisation such as Q4_K_M, or a file; without it Q4_K_M is taken where there are several. A
    repository without GGUF files is fetched as a folder of safetensors. Pickles are never fetched. What was stopped
    goes on where it was when run again; every file's hash is checked. HF_ENDPOINT names another hub, HF_TOKEN who
    you are.
    """
    import json

    from trimtab.commands.progress import Progress
    from trimtab.engine.text import clean_line
    from trimtab.models.hub import Wanted, look_up
    from trimtab.models.pulling import pull as fetch
    from trimtab.models.report import size

    offer = look_up(Wanted.parse(repository, revision))
    with Progress() as progress:
        path = fetch(offer, progress)
    shown = clean_line(str(path))
    if as_json:
        _show(
            json.dumps({"path": shown, "repository": offer.repo, "commit": offer.commit, "size": offer.size})
        )
    else:
        _show(f"{shown} ({size(offer.size)})\nTry it: trimtab ask --model '{shown}' \"Who are you?\"")


def _show(text: str) -> None:
    import sys

    from trimtab.vectors.pack_plot import legible

    click.echo(legible(text, sys.stdout.encoding))
