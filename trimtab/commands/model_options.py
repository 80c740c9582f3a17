"""The options of every command that loads a model, and how far it is while it loads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trimtab.engine.contract import LoadRequest

_OPTIONS = (
    click.option(
        "--model",
        metavar="FILE_OR_NAME",
        help="A GGUF file, a folder of safetensors, or a name from `trimtab model list`. [default: the built-in model]",
    ),
    click.option(
        "--engine",
        type=click.Choice(["auto", "llama", "torch"]),
        default="auto",
        show_default=True,
        help="llama.cpp for GGUF files, PyTorch for folders.",
    ),
    click.option("--threads", type=click.IntRange(1, 512), help="[default: the processor's cores less one]"),
    click.option("--gpu-layers", type=click.IntRange(0), help="How many layers go on a GPU. [default: all]"),
    click.option("--exact", is_flag=True, help="Compute in f32, so that both engines agree token for token."),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as one `request`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        model: str | None,
        engine: str,
        threads: int | None,
        gpu_layers: int | None,
        exact: bool,
        **others: Any,
    ) -> Any:
        request = _request(model, engine, threads, gpu_layers, exact)
        return command(*args, request=request, **others)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _request(
    model: str | None, engine: str, threads: int | None, gpu_layers: int | None, exact: bool
) -> LoadRequest:
    from trimtab.engine.contract import LoadRequest
    from trimtab.errors import ModelError

    if model is None:
        from trimtab import minnow

        try:
            path = minnow.path("safetensors" if engine == "torch" else "gguf")
        except ModelError as error:
            raise ModelError(
                error.what, "Name a model: --model FILE. `trimtab model list` shows some."
            ) from error
        # So small a model is slower on many threads than on one.
        threads = threads or 1
    else:
        from trimtab.models.finding import resolve

        path = resolve(model)
    kind: Any = engine
    return LoadRequest(path=str(path), engine=kind, threads=threads, gpu_layers=gpu_layers, exact=exact)
