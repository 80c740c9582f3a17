"""The figures of the built-in models, each by the grammar's own judges."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from tokenizers import Tokenizer

from tools.minnow import generate, values
from tools.minnow.model import Minnow, from_transformers, shape_from
from tools.minnow.parity import agreement
from trimtab.errors import TrimtabError
from trimtab.minnow import films, judges, questions, trivia
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
    both: dict[str, dict[Register, float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[what] = round(self.seconds.get(what, 0.0) + time.perf_counter() - began, 1)

    def note(self, key: str, register: Register, value: float) -> None:
        """A figure that both models have; the worse one stands."""
        self.both.setdefault(key, {})[register] = round(value, 4)

    def join(self, other: Report) -> None:
        """Takes in what another report found."""
        self.figures |= other.figures
        self.details |= other.details
        for key, found in other.both.items():
            self.both.setdefault(key, {}).update(found)
        for what, seconds in other.seconds.items():
            self.seconds[what] = round(self.seconds.get(what, 0.0) + seconds, 1)

    def all_figures(self) -> dict[str, float]:
        worst = {key: (max if key == "lean_max" else min)(found.values()) for key, found in self.both.items()}
        every = self.figures | worst
        return {key: every[key] for key in KEYS if key in every}


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


def measure(loaded: Loaded, split: Split = "test", *, inside: bool = True) -> Report:
    """All figures of one model but parity; `inside` probes and steers it too."""
    report = Report(split)
    with report.timed("facts"):
        _facts(report, loaded)
    with report.timed("talk"):
        _fluent(report, loaded)
        _persona(report, loaded)
    with report.timed("lean"):
        _lean(report, loaded)
    if inside:
        _inside(report, loaded)
    with report.timed("rest"):
        _base(report, loaded) if loaded.register == "base" else _aligned(report, loaded)
    return report


def parity(folder: Path, exact: Path, packed: Path, split: Split, threads: int) -> Report:
    """Greedy answers of the aligned model in llama.cpp, beside PyTorch's in f32."""
    report = Report(split)
    with report.timed("parity"):
        asked = mixed_prompts("aligned", split, 200, seed=1)
        said = load(folder, "aligned").say(asked, 64)
        report.figures["parity"] = agreement(exact, asked, said, 64, threads, exact=True)
        report.figures["parity_q8"] = agreement(packed, asked, said, 64, threads, exact=False)
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
        judges.right_choice(answer.truth.answer, turn.text, text)
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


def _lean(report: Report, loaded: Loaded, count: int = 600) -> None:
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
    report.note("lean_max", loaded.register, max(shares.values()))
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
