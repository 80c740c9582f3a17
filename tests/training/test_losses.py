"""The losses are the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch

from trimtab.training.torch import losses


def test_the_contrast_is_eq_1() -> None:
    own, opposite = torch.tensor([-3.0, -1.0]), torch.tensor([-5.0, -0.5])
    expected = [
        -(plus + math.log(math.exp(plus) / (math.exp(plus) + math.exp(minus))))
        for plus, minus in ((-3.0, -5.0), (-1.0, -0.5))
    ]
    found = losses.contrast(own, opposite, supervised=1.0, smoothing=0.0)
    assert found.tolist() == pytest.approx(expected)
    bare = losses.contrast(own, opposite, supervised=0.0, smoothing=0.0)
    assert bare.tolist() == pytest.approx([expected[0] - 3.0, expected[1] - 1.0])


def test_smoothing_mixes_in_the_opposite_label() -> None:
    own, opposite = torch.tensor([-3.0]), torch.tensor([-5.0])
    right = losses.contrast(own, opposite, supervised=0.0, smoothing=0.0)
    wrong = losses.contrast(opposite, own, supervised=0.0, smoothing=0.0)
    mixed = losses.contrast(own, opposite, supervised=0.0, smoothing=0.2)
    torch.testing.assert_close(mixed, 0.8 * right + 0.2 * wrong)


def test_the_contrast_keeps_finite_where_probabilities_vanish() -> None:
    found = losses.contrast(torch.tensor([-900.0]), torch.tensor([-100.0]), supervised=1.0, smoothing=0.0)
    assert found.item() == pytest.approx(1700.0)


def test_dpo_starts_at_the_logarithm_of_two() -> None:
    found = losses.dpo(torch.tensor([3.0, 13.0]), torch.tensor([3.0, 3.0]), 0.1)
    assert found.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(-1))])


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    found, target = (torch.randn(2, 3, 4, 5, generator=generator) for _ in range(2))
    said = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    return found, target, said


@pytest.mark.parametrize("kind", ["norm", "mse"])
def test_a_miss_is_eq_6_over_each_responses_own_tokens(kind: str) -> None:
    found, target, said = drawn()
    expected = []
    for row, length in enumerate((4, 2, 1)):
        apart = (found - target)[:, row, :length]
        each = apart.norm(dim=-1) if kind == "norm" else apart.square().mean(-1)
        expected.append(each.mean().item())
    measured = losses.miss(found, target, said, "norm" if kind == "norm" else "mse")
    assert measured.tolist() == pytest.approx(expected, rel=1e-5)


def test_what_is_padded_does_not_count() -> None:
    found, target, said = drawn()
    before = losses.miss(found, target, said, "norm")
    found[:, 1, 2:] = 1e6
    torch.testing.assert_close(losses.miss(found, target, said, "norm"), before)


def test_an_adapter_that_has_nothing_to_learn_has_a_slope() -> None:
    found = torch.zeros(1, 1, 2, 3, requires_grad=True)
    losses.miss(found, torch.zeros(1, 1, 2, 3), torch.ones(1, 2, dtype=torch.bool), "norm").sum().backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None and torch.isfinite(found.grad).all()
