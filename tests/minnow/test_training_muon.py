"""The optimiser's steps have the shape that they should, and its state is all that it goes on from."""

from __future__ import annotations

import pytest
import torch

from tools.minnow.muon import Muon, orthogonal


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (32, 96), (96, 32)])
def test_a_step_has_singular_values_near_one(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    # Singular values over two decades, as gradients have them.
    left, _ = torch.linalg.qr(torch.randn(3, rows, 32))
    right, _ = torch.linalg.qr(torch.randn(3, columns, 32))
    values = torch.logspace(0, -2, 32)
    stack = left * values @ right.mT
    found = torch.linalg.svdvals(orthogonal(stack).float())[:, :32]
    assert found.min() > 0.4
    assert found.max() < 1.3


def test_a_step_keeps_the_directions_of_the_gradient() -> None:
    torch.manual_seed(0)
    grad = torch.randn(1, 48, 80)
    left, _, right = torch.linalg.svd(grad[0], full_matrices=False)
    exact = left @ right
    found = orthogonal(grad)[0].float()
    assert torch.nn.functional.cosine_similarity(found.flatten(), exact.flatten(), dim=0) > 0.97


def test_matrices_of_one_shape_do_not_mix() -> None:
    torch.manual_seed(0)
    grads = torch.randn(4, 16, 24)
    alone = torch.cat([orthogonal(grad[None]) for grad in grads])
    assert torch.allclose(orthogonal(grads).float(), alone.float(), atol=0.02)


def test_both_halves_reach_a_minimum() -> None:
    torch.manual_seed(0)
    matrix, vector = torch.nn.Parameter(torch.randn(24, 24)), torch.nn.Parameter(torch.randn(24))
    target = torch.randn(24, 24)
    optimizer = Muon([matrix], [vector], rate=0.3, other_rate=0.05, decay=0.0)

    def loss() -> torch.Tensor:
        return ((matrix - target) ** 2).mean() + (vector**2).mean()

    first = float(loss().detach())
    for step in range(200):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.scale(1 - step / 200)
        optimizer.step()
    assert float(loss().detach()) < first / 500


def test_decay_draws_matrices_to_nought_and_leaves_others() -> None:
    matrix, vector = torch.nn.Parameter(torch.eye(8)), torch.nn.Parameter(torch.ones(8))
    optimizer = Muon([matrix], [vector], rate=0.1, other_rate=0.1, decay=0.5)
    matrix.grad, vector.grad = torch.zeros(8, 8), torch.zeros(8)
    optimizer.step()
    assert torch.allclose(matrix, torch.eye(8) * 0.95)
    assert torch.equal(vector, torch.ones(8))
