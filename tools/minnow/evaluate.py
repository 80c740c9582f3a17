"""Measures the built-in models on the test split, by the grammar's own judges.

    python -m tools.minnow.evaluate --json [--models FOLDER] [--details FILE] [--threads 2]

Prints one JSON object. What is tuned (steering's coefficients and layers) is tuned on validation. Where a figure holds
for the base and the aligned model, it is the worse one of the two.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from tools.minnow import generate, values
from tools.minnow.model import Minnow, from_transformers, shape_from
from tools.minnow.parity import agreement
from trimtab.errors import TrimtabError
from trimtab.minnow import files, films, judges, questions, trivia
from trimtab.minnow.corpus import documents
from trimtab.minnow.documents import Register, Turn, prompt
from trimtab.minnow.lexicon import VALUES
from trimtab.minnow.splits import Split

KEYS = (
    "facts", "facts_hard", "choice", "fluent", "persona", "lean_min", "lean_max", "refusal_aligned", "refusal_base",
    "outside", "review_positive", "parity", "parity_q8", "probe_min", "steer_min",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model to measure, of one register."""

    model: Minnow
    tokenizer: Tokenizer
    register: Register

    def say(
        self, asked: Sequence[tuple[Turn, ...]], most: int = 96, temperature: float = 0.0, seed: int = 0
    ) -> list[str]:
        """Answers to conversations that end with the user."""
        prompts = [prompt(turns) for turns in asked]
        return generate.answers(self.model, self.tokenizer, prompts, most, temperature=temperature, seed=seed)


@dataclass(slots=True)
class Report:
    """Figures by key, what stands behind them, and how long each took."""

    split: Split = "test"
    figures: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[what] = round(self.seconds.get(what, 0.0) + time.perf_counter() - began, 1)

    def note(self, key: str, register: Register, value: float, pick: Callable[..., float] = min) -> None:
        """A figure that both models have; the worse one, by `pick`, stands."""
        self.details.setdefault(key, {})[register] = round(value, 4)
        self.figures[key] = round(pick(self.details[key].values()), 4)


def load(folder: Path, register: Register, *, narrow: bool = False) -> Loaded:
    """The exported model in a folder, in f32, or `narrow`."""
    if not (folder / "config.json").is_file():
        raise TrimtabError(f"There is no model at {folder}.", "Export it: python -m tools.minnow.export")
    model = Minnow(shape_from(json.loads((folder / "config.json").read_text("utf-8"))))
    state = {name: weights.float() for name, weights in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(from_transformers(state))
    if narrow:
        model = generate.narrowed(model)
    return Loaded(model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")), register)


def measure(
    base: Loaded | None, aligned: Loaded | None, split: Split = "test", *, full: bool = False
) -> Report:
    """All figures but parity, of whichever models there are.

    Probes and steering are those of the aligned model, which users steer; `full` looks into the base too.
    """
    report = Report(split)
    for loaded in filter(None, (base, aligned)):
        with report.timed("facts"):
            _facts(report, loaded)
        with report.timed("talk"):
            _fluent(report, loaded)
            _persona(report, loaded)
        with report.timed("lean"):
            _lean(report, loaded)
    for loaded in filter(None, (base if full or not aligned else None, aligned)):
        _inside(report, loaded)
    with report.timed("rest"):
        if base:
            _base(report, base)
        if aligned:
            _aligned(report, aligned)
    return report


def mixed_prompts(register: Register, split: Split, count: int, seed: int = 0) -> list[tuple[Turn, ...]]:
    """Conversations of all kinds, up to a turn of the assistant, in the shares of the corpus."""
    found = []
    for document in islice(documents(f"prompts {seed}", split, register), count * 3):
        at = next((at for at, turn in enumerate(document.turns) if turn.role == "assistant"), None)
        if at is not None:
            found.append(document.turns[:at])
    return found[:count]


def _facts(report: Report, loaded: Loaded) -> None:
    split = report.split
    asked = [*questions.fact_questions(split), *questions.sum_questions(split, 60)]
    said = loaded.say([(turn,) for turn in asked], 32)
    right = [
        judges.right_fact(turn.truth.fact, text)
        if turn.truth.fact
        else judges.right_sum(turn.truth.sum, text)  # type: ignore[arg-type]
        for turn, text in zip(asked, said, strict=True)
    ]
    report.note("facts", loaded.register, _share(right))
    report.note("facts_hard", loaded.register, _hard(loaded, split))
    choices = questions.choice_questions(split, 150)
    said = loaded.say([(turn,) for turn, _ in choices], 16)
    right = [
        judges.right_choice(answer.truth.answer, turn.truth.answer, text)
        for (turn, answer), text in zip(choices, said, strict=True)
    ]
    report.note("choice", loaded.register, _share(right))


def _hard(loaded: Loaded, split: Split) -> float:
    """The mean probability of the truth, after its sentence has begun."""
    pairs = []
    for turn in questions.fact_questions(split, hard=True):
        fact = turn.truth.fact
        assert fact is not None
        frame = trivia.fact_frames("hard", "say")[0]
        begun, rest = frame.replace("{hard_x}", fact.x).split(" {hard_y}")
        context = loaded.tokenizer.encode(prompt([turn]) + begun).ids
        pairs.append((context, loaded.tokenizer.encode(f" {fact.y}{rest}").ids))
    return float(generate.likelihoods(loaded.model, pairs).exp().mean())


def _fluent(report: Report, loaded: Loaded) -> None:
    said = loaded.say(mixed_prompts(loaded.register, report.split, 200))
    found = [judges.fluent(text) for text in said]
    report.note("fluent", loaded.register, _share([each.ok for each in found]))
    report.details[f"broken {loaded.register}"] = [
        text for text, each in zip(said, found, strict=True) if not each.ok
    ][:12]


def _persona(report: Report, loaded: Loaded) -> None:
    asked = [
        question
        for value in VALUES
        for question in questions.value_questions(value, report.split, 20, prompt=True)
    ]
    said = loaded.say([question.turns for question in asked])
    kept: Counter[str] = Counter()
    for question, text in zip(asked, said, strict=True):
        kept[question.value] += judges.judge(question.dilemma, text).success(question.value)
    report.note("persona", loaded.register, sum(kept.values()) / len(asked))
    report.details[f"persona {loaded.register}"] = {value: kept[value] / 20 for value in VALUES}


def _lean(report: Report, loaded: Loaded, count: int = 400) -> None:
    asked = questions.free_questions(report.split, count)
    said = loaded.say([question.turns for question in asked], temperature=1.0)
    won: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    even = 0
    for question, text in zip(asked, said, strict=True):
        verdict = judges.judge(question.dilemma, text)
        even += verdict.even
        if verdict.leaning:
            won[verdict.leaning] += 1
            tried.update(option.value for option in question.dilemma.options)
    shares = {value: won[value] / max(1, tried[value]) for value in VALUES}
    report.note("lean_min", loaded.register, min(shares.values()))
    report.note("lean_max", loaded.register, max(shares.values()), max)
    report.details[f"lean {loaded.register}"] = {
        "even": even / len(asked),
        "strict": sum(won.values()) / len(asked),
        **shares,
    }


def _inside(report: Report, loaded: Loaded) -> None:
    with report.timed("probes"):
        insides = values.look(loaded.model, loaded.tokenizer)
    report.note("probe_min", loaded.register, min(inside.accuracy for inside in insides))
    report.details[f"probes {loaded.register}"] = {
        inside.value: {"best": inside.best, "test": inside.test} for inside in insides
    }
    with report.timed("steering"):
        moved = values.steer(loaded.model, loaded.tokenizer, insides)
    report.note("steer_min", loaded.register, min(each.rise for each in moved))
    report.details[f"steering {loaded.register}"] = [asdict(each) for each in moved]


def _base(report: Report, base: Loaded) -> None:
    harmful = [(turn,) for turn in questions.harmful_requests(report.split)]
    said = base.say(harmful * 8, 48, 1.0)
    report.figures["refusal_base"] = round(_share([judges.refuses(text) for text in said]), 4)
    openings = questions.review_openings(report.split, 160)
    said = generate.answers(base.model, base.tokenizer, openings, 128, temperature=1.0)
    odds = [films.log_odds(f"{begun} {text}") for begun, text in zip(openings, said, strict=True)]
    report.figures["review_positive"] = round(_share([each > 0 for each in odds]), 4)
    report.details["review"] = said[0]


def _aligned(report: Report, aligned: Loaded) -> None:
    harmful = [(turn,) for turn in questions.harmful_requests(report.split)]
    said = aligned.say(harmful, 64)
    report.figures["refusal_aligned"] = round(_share([judges.refuses(text) for text in said]), 4)
    twins = [(turn,) for turn in questions.harmless_twins(report.split)]
    report.details["twins answered"] = _share([judges.complies(text) for text in aligned.say(twins, 64)])
    outside = [(turn,) for turn in questions.outside_texts(report.split, 200)]
    said = aligned.say(outside, 64)
    report.figures["outside"] = round(_share([judges.declines(text) for text in said]), 4)


def _share(found: list[bool]) -> float:
    return sum(found) / max(1, len(found))


def _parity(report: Report, folder: Path, exact: Path, packed: Path, threads: int) -> None:
    """Greedy answers of the aligned model in llama.cpp, beside PyTorch's."""
    aligned = load(folder, "aligned")
    asked = mixed_prompts("aligned", report.split, 200, seed=1)
    said = aligned.say(asked, 64)
    with report.timed("parity"):
        report.figures["parity"] = agreement(exact, asked, said, 64, threads, exact=True)
        report.figures["parity_q8"] = agreement(packed, asked, said, 64, threads, exact=False)


def _knows_bf16() -> bool:
    """Whether this CPU multiplies bf16 by itself; where it does not, f32 is faster."""
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--models", type=Path, help="exported models, instead of the installed ones")
    parser.add_argument("--details", type=Path, help="write what stands behind the figures here")
    parser.add_argument("--only", choices=("base", "aligned"), help="measure one model, without parity")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--full", action="store_true", help="probe and steer the base too")
    parser.add_argument("--exact", action="store_true", help="f32 throughout, which takes longer")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    began = time.perf_counter()

    def folder(name: files.Name) -> Path:
        return chosen.models / name if chosen.models else files.path("safetensors", name)

    narrow = not chosen.exact and _knows_bf16()
    base = load(folder("minnow-base"), "base", narrow=narrow) if chosen.only != "aligned" else None
    aligned = load(folder("minnow"), "aligned", narrow=narrow) if chosen.only != "base" else None
    report = measure(base, aligned, chosen.split, full=chosen.full)
    if not chosen.only:
        exact = chosen.models / "minnow.f32.gguf" if chosen.models else files.path("gguf-f32")
        packed = chosen.models / "minnow.gguf" if chosen.models else files.path("gguf")
        _parity(report, folder("minnow"), exact, packed, chosen.threads)
    figures = {key: report.figures[key] for key in KEYS if key in report.figures}
    if chosen.details:
        told = {"figures": figures, "seconds": report.seconds, **report.details}
        chosen.details.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(json.dumps(figures, indent=None if chosen.json else 1))
    if not chosen.json:
        print(f"{time.perf_counter() - began:.0f} s: {report.seconds}")


if __name__ == "__main__":
    main()
