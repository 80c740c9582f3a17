"""What a training run is asked to do, and what the papers' settings leave to the size of the model."""

from __future__ import annotations

import math
from typing import Literal, get_args

import msgspec

from trimtab.training.errors import TrainingError

Method = Literal["sft", "hir", "dpo", "lorra", "lorra-pref", "rahf-scit", "rahf-dual"]
METHODS: tuple[Method, ...] = get_args(Method)
Tuning = Literal["full", "lora"]
SMALL = 300_000_000
"""Up to so many parameters a model is tuned whole, and at rates that suit small ones."""


class Layers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every `step`-th block from `start` up to but not with `stop`, counted from 0."""

    start: int
    stop: int
    step: int = 1

    def __post_init__(self) -> None:
        if self.start < 0 or self.step < 1 or self.stop <= self.start:
            raise TrainingError(
                f"Layers {self.start},{self.stop},{self.step} are none.", "Give them as start,stop,step."
            )

    @property
    def blocks(self) -> tuple[int, ...]:
        return tuple(range(self.start, self.stop, self.step))


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what comes out; what is None is settled once the model is known."""

    method: Method
    seed: int = 0
    first_share: float = 0.5
    """The share of the training prompts that step one and the methods without a step two learn from."""
    held_share: float = 0.05
    """The share of the prompts kept for validation, where the data bring none of their own."""
    longest_prompt: int = 256
    """Pairs with longer prompts are left out, as in the paper."""
    longest: int = 768
    """Where a text is cut."""
    good: str = ""
    """What p+ says; empty takes the paper's words."""
    bad: str = ""

    tune: Tuning | None = None
    """How step one, and the methods without a step two, change the model."""
    rate: float | None = None
    epochs: float | None = None
    batch: int | None = None
    likelihood: Literal["sum", "mean"] = "sum"
    """log pi(r|p,q): the sum over the response's tokens as in Eq. 1, or their mean as in the authors' code."""
    supervised: float = 1.0
    """The weight of Eq. 1's supervised term, which appendix B.3 drops (0)."""
    smoothing: float = 0.0
    """The share of the opposite label in Eq. 1's second term (0.2 in the authors' code)."""
    beta: float = 0.1
    """How strongly DPO is held to its reference."""
    reference: Literal["preferred", "base"] = "preferred"
    """What DPO starts from and is held to: the model tuned on chosen responses (B.3), or the base."""

    rank: int | None = None
    lora_alpha: float = 16.0
    dropout: float = 0.05
    targets: Literal["all", "attention", "qv"] = "all"
    """Which linear layers of a block are adapted; the authors' code takes q and v."""
    fit_rate: float | None = None
    fit_steps: int | None = None
    fit_batch: int | None = None
    layers: Layers | None = None
    alpha: float = 5.0
    """How many times the pattern's difference is added."""
    fit: Literal["norm", "mse"] = "norm"
    """Eq. 6 as printed and coded, the norm of a token's miss; or its mean square, as the prose says."""
    stimuli: Literal["both", "chosen", "rejected", "random"] | None = None
    """Which responses patterns are collected on."""
    tokens: int | None = None
    """How many of a response's first tokens are read; 0 reads all."""
    lead: bool = False
    """Read the position that predicts the first token too."""
    instructions: Literal["contrast", "positive", "none"] = "contrast"
    """What stands before the prompt where patterns are collected: p+ and p- (section 3.2), p+ twice, nothing."""
    instructed: bool = False
    """Fit the adapter behind p+, instead of for prompts without any instruction."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("first_share", 0.0, 1.0), ("held_share", 0.0, 0.5), ("longest_prompt", 1, 1 << 20),
            ("longest", 2, 1 << 20), ("rate", 0.0, 1.0), ("epochs", 0.0, 1e4), ("batch", 1, 1 << 16),
            ("supervised", 0.0, 1e6), ("smoothing", 0.0, 0.5), ("beta", 0.0, 1e3), ("rank", 1, 4096),
            ("lora_alpha", 0.0, 1e6), ("dropout", 0.0, 0.9), ("fit_rate", 0.0, 1.0), ("fit_steps", 1, 1 << 24),
            ("fit_batch", 1, 1 << 16), ("alpha", -1e3, 1e3), ("tokens", 0, 1 << 20),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise TrainingError(f"{name} lies between {low:g} and {high:g}, not at {value}.")


class Settled(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options with nothing left open."""

    tune: Tuning
    rate: float
    epochs: float
    batch: int
    rank: int
    fit_rate: float
    fit_steps: int
    fit_batch: int
    layers: Layers
    stimuli: Literal["both", "chosen", "rejected", "random"]
    tokens: int


def settle(options: Options, *, parameters: int, blocks: int) -> Settled:
    """The options with the papers' settings for large models and ours for small ones filled in."""
    small = parameters <= SMALL
    tune = options.tune or ("full" if small and options.method != "dpo" else "lora")
    dual = options.method == "rahf-dual"
    defaults = {
        "tune": tune,
        "rate": ({"full": 3e-4, "lora": 2e-3}[tune] if small else 2e-5),
        "epochs": 2.0 if options.method in ("hir", "rahf-scit") else 3.0,
        "batch": 16 if small else 128 if options.method in ("sft", "dpo", "rahf-dual") else 64,
        "rank": 16 if options.method == "dpo" else 8,
        "fit_rate": 2e-3 if small else 9e-6 if dual else 3e-4,
        "fit_steps": 600 if small else 2500 if dual else 450,
        "fit_batch": 16 if small else 8 if dual else 64,
        "layers": _middle(blocks),
        "stimuli": "chosen" if options.method == "lorra-pref" else "both",
        "tokens": 64 if dual else 0,
    }
    given = msgspec.structs.asdict(options)
    settled = Settled(**{**given, **{name: value for name, value in defaults.items() if given[name] is None}})
    if settled.layers.blocks[-1] >= blocks:
        raise TrainingError(
            f"There is no layer {settled.layers.blocks[-1]}: the model has 0 to {blocks - 1}.",
            "Give others as start,stop,step.",
        )
    return settled


def _middle(blocks: int) -> Layers:
    """(10, 20, 2) of 32, scaled."""
    start = math.floor(blocks * 10 / 32)
    return Layers(start, max(start + 1, math.ceil(blocks * 20 / 32)), max(1, round(blocks / 16)))
