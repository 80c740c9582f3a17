"""Adapters while they are trained: nothing at first, one at a time, and no factor without a slope."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.tiny import TinyModel
from tests.training.support import task
from trimtab.errors import Unsupported
from trimtab.training.options import Layers, Options, settle
from trimtab.training.pairs import Pair
from trimtab.training.torch.lora import Targets
from trimtab.training.torch.network import Network, Place
from trimtab.training.torch.objectives import Fit, Voice

CPU = Place(torch.device("cpu"))
TOKENS = torch.tensor([[1, 40, 41, 42, 60, 61]])


def network_of(model: TinyModel, targets: Targets = "all") -> Network:
    return Network(model.safetensors, CPU, targets, frozen=True)


def logits(network: Network) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network.anatomy.model(TOKENS, use_cache=False).logits
    return found


def add(network: Network, name: str, blocks: int = 4, *, filled: bool = False) -> None:
    network.adapters.add(name, blocks=blocks, rank=4, alpha=8.0, dropout=0.0, seed=1)
    if filled:
        for key, factor in network.adapters.factors(name).items():
            if key.endswith(".b"):
                factor.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))


def test_a_new_adapter_changes_nothing_and_a_filled_one_only_where_it_acts(tiny_llama: TinyModel) -> None:
    network = network_of(tiny_llama)
    plain = logits(network)
    add(network, "new")
    torch.testing.assert_close(logits(network), plain, rtol=0, atol=0)
    add(network, "filled", filled=True)
    assert (logits(network) - plain).abs().max() > 1e-2
    with network.adapters.acting(None):
        torch.testing.assert_close(logits(network), plain, rtol=0, atol=0)
    with network.adapters.acting("new"):
        torch.testing.assert_close(logits(network), plain, rtol=0, atol=0)
    assert (logits(network) - plain).abs().max() > 1e-2


@pytest.mark.parametrize(("targets", "layers"), [("all", 7), ("attention", 4), ("qv", 2)])
def test_the_layers_asked_for_are_adapted(tiny_llama: TinyModel, targets: Targets, layers: int) -> None:
    network = network_of(tiny_llama, targets)
    add(network, "some", blocks=3)
    assert len(network.adapters.factors("some")) == 3 * layers * 2


def test_a_family_that_keeps_q_and_v_in_one_says_so(tiny_model: Callable[[str], TinyModel]) -> None:
    with pytest.raises(Unsupported, match="--targets qv"):
        network_of(tiny_model("phi3"), "qv")


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_every_factor_of_a_fitted_adapter_gets_a_slope_and_no_other_weight(
    tiny_model: Callable[[str], TinyModel], architecture: str
) -> None:
    network = network_of(tiny_model(architecture))
    blocks = Layers(0, 2)
    options = settle(
        Options(method="lorra", layers=blocks, good="Be good.", bad="Be bad.", dropout=0.0),
        parameters=1,
        blocks=len(network.anatomy.layers),
    )
    add(network, "learnt", blocks=2, filled=True)
    factors = network.adapters.factors("learnt")
    network.learn(list(factors.values()))
    objective = Fit(network, options, "learnt", Voice(network), Voice(network))
    encoder = network.encoder(256, 768)
    each, _ = objective.losses(objective.examples(task().pairs[:4], encoder))
    each.sum().backward()  # type: ignore[no-untyped-call]
    encoder.close()
    assert all(factor.grad is not None and factor.grad.abs().max() > 0 for factor in factors.values())
    learnt = {id(factor) for factor in factors.values()}
    assert not [
        name for name, each in network.weights().items() if each.requires_grad and id(each) not in learnt
    ]


def test_patterns_are_read_behind_the_two_instructions(tiny_llama: TinyModel) -> None:
    network = network_of(tiny_llama)
    encoder = network.encoder(256, 768)
    pair = task().pairs[0]

    def prompts(**changes: object) -> list[tuple[int, ...]]:
        options = settle(
            Options(method="lorra", good="Be good.", bad="Be bad.", **changes),  # type: ignore[arg-type]
            parameters=1,
            blocks=4,
        )
        fit = Fit(network, options, "none", Voice(network), Voice(network))
        examples = fit.examples([pair], encoder)
        assert all(len({text.response for text in example}) == 1 for example in examples)
        return [text.prompt for text in examples[0]]

    plain = encoder.encode(pair, pair.chosen).prompt
    good, bad = (encoder.encode(pair, pair.chosen, told).prompt for told in ("Be good.", "Be bad."))
    assert prompts() == [plain, good, bad]
    assert prompts(instructions="positive") == [plain, good, good]
    assert prompts(instructions="none", instructed=True) == [good, plain, plain]
    encoder.close()


def test_dual_reads_the_first_64_tokens_of_a_response_and_no_more(tiny_llama: TinyModel) -> None:
    network = network_of(tiny_llama)
    encoder = network.encoder(256, 768)
    options = settle(Options(method="rahf-dual", good="Be good.", bad="Be bad."), parameters=1, blocks=4)
    fit = Fit(network, options, "none", Voice(network), Voice(network))
    long = " and the sea was rising" * 10
    found = []
    for end in ("late", "early"):
        pair = Pair(f"yes{long} {end}", f"no{long} {end}", task().pairs[0].prompt)
        assert len(encoder.encode(pair, pair.chosen).response) > 64
        examples = fit.examples([pair], encoder)
        assert all(len(text.response) == 64 for example in examples for text in example)
        with torch.no_grad():
            _, said = Voice(network).states([plain for plain, _, _ in examples], options)
            found.append(fit.losses(examples)[0])
        assert said.sum(1).tolist() == [64, 64]
    encoder.close()
    assert torch.equal(found[0], found[1])
