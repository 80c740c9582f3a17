"""Whether a pack fits a model: told by name where it does not."""

from __future__ import annotations

from trimtab.engine.identity import ModelIdentity
from trimtab.vectors.pack import BaseModel, Pack
from trimtab.vectors.pack_errors import PackError


def check_fit(pack: Pack, model: ModelIdentity, *, anyway: bool = False) -> tuple[str, ...]:
    """Warnings about using the pack with this model; raises where it was made for another one.

    With `anyway` the user knows better, and only what cannot work at all is refused: another width, fewer layers.
    """
    own = pack.model
    if own.width != model.width or own.layers > model.layers:
        raise PackError(
            f"The pack {pack.value} was made for {_describe(own)}; {_describe(model)} has another shape.",
            "Build it for this model: trimtab build",
        )
    if own.fingerprint != model.fingerprint:
        told = f"The pack {pack.value} was made for {_describe(own)}, not for {_describe(model)}"
        if not anyway:
            raise PackError(
                f"{told}: {_difference(own, model)}.",
                "Build it for this model, or pass --anyway if you know that it fits.",
            )
        return (f"{told}: what it does here was never measured.",)
    if own.weights_hash and model.weights_hash and own.weights_hash != model.weights_hash:
        made_with, these = own.quantisation or own.name, model.quantisation or model.name
        warning = f"The pack {pack.value} was made with other weights ({made_with}) than these ({these})"
        return (f"{warning}: its calibration may be off.",)
    return ()


def _describe(model: BaseModel | ModelIdentity) -> str:
    shape = f"{model.architecture}, {model.layers} layers, {model.width} wide"
    return f"{model.name or 'a model without a name'} ({shape}, {model.fingerprint[:8]})"


def _difference(one: BaseModel, other: ModelIdentity) -> str:
    if one.layers != other.layers:
        return f"it has {other.layers} layers instead of {one.layers}"
    if one.vocabulary_hash != other.vocabulary_hash:
        return "its vocabulary is another"
    return "its architecture is another"
