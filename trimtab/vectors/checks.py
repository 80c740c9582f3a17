"""Checks a recipe: what it holds, what is wrong or weak about it, and how to mend that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Literal

import msgspec

from trimtab.vectors import list_checks, pair_checks
from trimtab.vectors.bias import ContextBias, context_bias
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.findings import SEVERITIES, Finding, Severity, Sheet
from trimtab.vectors.recipe import Recipe, UnrelatedList
from trimtab.vectors.recipe_files import find_unrelated
from trimtab.vectors.recipe_reading import describe
from trimtab.vectors.toml_places import Places

Verdict = Literal["passes", "passes with warnings", "fails"]
MOST_ALIKE = 12
_VERDICTS: dict[Severity, Verdict] = {"problem": "fails", "warning": "passes with warnings", "note": "passes"}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe holds."""

    pairs: int
    kinds: dict[str, int]
    """By person and form: "first-person statement"; "unmarked" where neither is given."""
    words: tuple[float, float]
    """A text's mean length on the positive and on the negative side."""
    anchors: tuple[int, int]
    validation: int
    test: int
    scenes: int
    unrelated: int
    """With the shared lists that it includes."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found; `counts` and `bias` are missing where the file could not be read."""

    name: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    digest: str = ""
    counts: Counts | None = None
    bias: ContextBias | None = None

    @property
    def passes(self) -> bool:
        return self.verdict != "fails"


def check(recipe: Recipe, name: str = "", places: Places | None = None) -> Report:
    """Every check of one recipe, the gravest findings first; `places` lets them name lines."""
    shared, missing = _included(recipe, places)
    sheet = Sheet(recipe, places, shared)
    bias = context_bias(
        [pair.positive for pair in recipe.pairs], [pair.negative for pair in recipe.pairs], recipe.language
    )
    found = chain(
        *(_first(one(sheet)) for one in pair_checks.CHECKS),
        pair_checks.bias_findings(bias),
        *(_first(one(sheet)) for one in list_checks.CHECKS),
        missing,
    )
    report = Report(
        name=name or recipe.id,
        verdict="passes",
        findings=(),
        digest=recipe.digest,
        counts=_counts(sheet),
        bias=bias,
    )
    return with_findings(report, found)


def refused(error: RecipeError, name: str) -> Report:
    """The report about a recipe that cannot be read."""
    faults = error.faults or ()
    findings = [
        Finding(severity="problem", check="reading", where=fault.where, what=fault.what, mend=fault.mend)
        for fault in faults
    ] or [Finding(severity="problem", check="reading", where="", what=error.what, mend=error.hint)]
    return Report(name=name, verdict="fails", findings=tuple(findings))


def check_name(recipe: Recipe, path: Path) -> list[Finding]:
    """A recipe is found by its file's name, so that should be its id."""
    if path.stem == recipe.id:
        return []
    return [
        Finding(
            severity="warning", check="name", where="id",
            what=f"the id is {recipe.id}, so it is not found in this file by that name.",
            mend=f"Name the file {recipe.id}.toml, or change the id.",
        )
    ]  # fmt: skip


def with_findings(report: Report, more: Iterable[Finding]) -> Report:
    """The report with further findings, the gravest first, judged anew."""
    findings = sorted((*report.findings, *more), key=lambda each: SEVERITIES.index(each.severity))
    worst = findings[0].severity if findings else "note"
    return msgspec.structs.replace(report, findings=tuple(findings), verdict=_VERDICTS[worst])


def _first(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first findings of each severity, and how many more there are: who mends those will mend the rest."""
    seen: Counter[Severity] = Counter()
    last: dict[Severity, Finding] = {}
    for finding in findings:
        seen[finding.severity] += 1
        last[finding.severity] = finding
        if seen[finding.severity] <= MOST_ALIKE:
            yield finding
    for severity, finding in last.items():
        if seen[severity] > MOST_ALIKE:
            what = f"{seen[severity] - MOST_ALIKE} more like these."
            yield msgspec.structs.replace(finding, where="", what=what, mend="")


def _included(recipe: Recipe, places: Places | None) -> tuple[tuple[UnrelatedList, ...], list[Finding]]:
    """The shared lists that a recipe includes, and which of them are not there."""
    shared, missing = [], []
    for at, name in enumerate(recipe.unrelated.include):
        try:
            shared.append(find_unrelated(name))
        except RecipeError as error:
            where = describe(("unrelated", "include", at), places)
            missing.append(
                Finding(severity="problem", check="unrelated", where=where, what=error.what, mend=error.hint)
            )
    return tuple(shared), missing


def _counts(sheet: Sheet) -> Counts:
    recipe = sheet.recipe
    kinds = Counter(
        f"{pair.person}-person {pair.form}" if pair.person and pair.form else "unmarked"
        for pair in recipe.pairs
    )
    positive, negative = (fmean(map(len, side)) for side in (sheet.positive, sheet.negative))
    return Counts(
        pairs=len(recipe.pairs),
        kinds=dict(sorted(kinds.items())),
        words=(round(positive, 2), round(negative, 2)),
        anchors=(len(recipe.anchors.positive), len(recipe.anchors.negative)),
        validation=len(recipe.questions.of("validation")),
        test=len(recipe.questions.of("test")),
        scenes=len({*recipe.questions.validation, *recipe.questions.test}),
        unrelated=sum(1 for lists in (recipe.unrelated, *sheet.shared) for _ in lists.each()),
    )
