"""The unembedding as a linear map: what a change of the final state does to the logits."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from trimtab.engine.contract import FloatArray
from trimtab.engine.torch.families import Anatomy

_ROWS = 16_384
"""How many rows are turned into f32 at once."""


@torch.inference_mode()
def through_head(anatomy: Anatomy, direction: FloatArray) -> FloatArray:
    """What adding `direction` to the normed state adds to the logits, before any soft cap, in f32."""
    head, weight = anatomy.head, anatomy.weight
    vector = torch.from_numpy(np.ascontiguousarray(direction, dtype=np.float32)).to(weight.device)
    if type(head) is nn.Linear:
        made = torch.cat([rows.float() @ vector for rows in torch.split(weight, _ROWS)])
    else:
        both = torch.stack([vector, torch.zeros_like(vector)]).to(weight.dtype)
        with_it, without = head(both).float()
        made = with_it - without
    found: FloatArray = (made * anatomy.scale).cpu().numpy()
    return found


@torch.inference_mode()
def bias_of(anatomy: Anatomy) -> FloatArray | None:
    """The constant that the head adds to the logits, or None."""
    bias = anatomy.bias
    if bias is None:
        return None
    found: FloatArray = (bias.float() * anatomy.scale).cpu().numpy().copy()
    return found
