"""Muon for the matrices of a transformer's blocks, Adam for all else, as one optimiser.

Muon's step is the momentum with all its singular values made nearly equal, by a short Newton-Schulz iteration: what the
gradient rarely asks for is learnt as fast as what it always asks for.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_ROUNDS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial that each round applies to the singular values: steep at nought, near one from there on."""
_MOMENTUM = 0.95
_BETAS = (0.9, 0.95)
_EPS = 1e-9


class Muon(torch.optim.Optimizer):
    """`matrices` by Muon, `others` by Adam; only matrices decay."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        rate: float,
        other_rate: float,
        decay: float = 0.1,
    ) -> None:
        super().__init__([{"params": list(matrices)}, {"params": list(others)}], {})
        self._rates = (rate, other_rate)
        self._decay = decay
        self._part = 1.0

    def scale(self, part: float) -> None:
        """Sets both rates to a part of their full ones."""
        self._part = part

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; gradients are given, so there is nothing to call."""
        matrices, others = (
            [parameter for parameter in group["params"] if parameter.grad is not None]
            for group in self.param_groups
        )
        self._muon(matrices, self._rates[0] * self._part)
        self._adam(others, self._rates[1] * self._part)

    def _muon(self, parameters: list[Tensor], rate: float) -> None:
        alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            alike[parameter.shape].append(parameter)
        for shape, group in alike.items():
            ahead = torch.stack([self._ahead(parameter) for parameter in group])
            # As long as a step of Adam's: 0.2 a weight, root mean square.
            steps = orthogonal(ahead).float() * (0.2 * math.sqrt(max(shape)))
            for parameter, step in zip(group, steps, strict=True):
                parameter.mul_(1 - rate * self._decay).sub_(step, alpha=rate)

    def _ahead(self, parameter: Tensor) -> Tensor:
        """The momentum, looking one step ahead."""
        grad = parameter.grad
        assert grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(grad, 1 - _MOMENTUM)
        return torch.lerp(grad, state["momentum"], _MOMENTUM)

    def _adam(self, parameters: list[Tensor], rate: float) -> None:
        first, second = _BETAS
        for parameter in parameters:
            grad = parameter.grad
            assert grad is not None
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            state["step"] += 1
            count = float(state["step"])
            state["exp_avg"].lerp_(grad, 1 - first)
            state["exp_avg_sq"].mul_(second).addcmul_(grad, grad, value=1 - second)
            size = (state["exp_avg_sq"] / (1 - second**count)).sqrt_().add_(_EPS)
            parameter.addcdiv_(state["exp_avg"], size, value=-rate / (1 - first**count))


def orthogonal(stack: Tensor) -> Tensor:
    """Each matrix of a stack with all singular values near one."""
    x = stack.to(torch.bfloat16)
    wide = x.shape[1] <= x.shape[2]
    if not wide:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
