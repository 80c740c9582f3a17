"""How much memory a context takes, and which would fit."""

from __future__ import annotations

from trimtab.engine.llama.model_file import Dimensions
from trimtab.engine.memory import giga
from trimtab.errors import ModelError

_USUAL_CONTEXT = 8192
_LEAST_CONTEXT = 512
_STEP = 256


def choose_context(wanted: int | None, size: Dimensions, *, batch: int, exact: bool, room: int | None) -> int:
    """The context asked for, or the usual one as far as it fits into `room` bytes; refuses what cannot fit."""
    if wanted is not None and not 16 <= wanted <= 1 << 30:
        raise ModelError(
            f"A context of {wanted:,} tokens cannot be.", f"This model was trained for {size.context:,}."
        )
    fitting = None if room is None else _fitting(size, room, batch=batch, exact=exact)
    if wanted is None:
        usual = min(size.context, _USUAL_CONTEXT)
        wanted = usual if fitting is None else min(usual, max(fitting, _LEAST_CONTEXT))
    if room is None or fitting is None or fitting >= wanted:
        return wanted
    need = context_bytes(size, wanted, batch=batch, exact=exact)
    hint = (
        f"Ask for a context of {fitting:,} or less."
        if fitting >= min(_LEAST_CONTEXT, wanted)
        else "Close other programs, or choose a smaller model or quantisation."
    )
    raise ModelError(
        f"A context of {wanted:,} tokens needs {giga(need)} beside the model's weights, "
        f"and {giga(max(room, 0))} is free.",
        hint,
    )


def context_bytes(size: Dimensions, context: int, *, batch: int, exact: bool) -> int:
    """About what a context of this length takes beside the weights."""
    per_token, fixed = _costs(size, batch, exact)
    return per_token * context + fixed


def _fitting(size: Dimensions, room: int, *, batch: int, exact: bool) -> int:
    per_token, fixed = _costs(size, batch, exact)
    return max(0, (room - fixed) // max(1, per_token)) // _STEP * _STEP


def _costs(size: Dimensions, batch: int, exact: bool) -> tuple[int, int]:
    """What one position of the cache takes, and what is taken once."""
    per_token = size.cache_values * (4 if exact else 2)
    if exact:
        # Without flash attention the scores of a whole batch against the whole cache are laid out.
        per_token += 4 * batch * size.heads
    fixed = 4 * batch * (size.vocabulary // 8 + 4 * size.width + 2 * size.inner) + 4 * size.vocabulary
    return per_token, fixed
