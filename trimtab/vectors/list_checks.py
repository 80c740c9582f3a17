"""Checks of a recipe's anchor words, its questions and the questions that do not touch it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trimtab.vectors.findings import Finding, Severity, Sheet, counted, excerpt
from trimtab.vectors.similar import alike
from trimtab.vectors.words import GRAMMAR_WORDS, knows, words

FEW_ANCHORS = 3
FEW_QUESTIONS = 20
FEW_SCENES = 5


def check_anchors(sheet: Sheet) -> Iterator[Finding]:
    """Anchors are single words of one side, and no words that every sentence needs."""
    anchors = sheet.recipe.anchors
    if not anchors:
        what = "there are none, so this value cannot be steered by words."
        yield _finding("note", "anchors", "anchors", what, "Give 6 to 12 common words a side.")
        return
    sides = {"positive": anchors.positive, "negative": anchors.negative}
    lowered = {side: [word.lower() for word in listed] for side, listed in sides.items()}
    for side, listed in lowered.items():
        where = sheet.where("anchors", side)
        if len(listed) < FEW_ANCHORS:
            what = f"there are only {len(listed)} {side} anchors."
            yield _finding("warning", "anchors", where, what, "Give 6 to 12 common words.")
        for word in sorted(word for word, count in Counter(listed).items() if count > 1):
            yield _finding("warning", "anchors", where, f"“{word}” is there twice.", "Name each word once.")
        yield from _unusable(listed, where, sheet.recipe.language)
    for word in sorted(set(lowered["positive"]) & set(lowered["negative"])):
        where = sheet.where("anchors", "negative", lowered["negative"].index(word))
        yield _finding(
            "problem", "anchors", where, f"“{word}” is on both sides.", "Take it from one of them."
        )


def _unusable(listed: Sequence[str], where: str, language: str) -> Iterator[Finding]:
    for word in dict.fromkeys(listed):
        if words(word) != [word]:
            what = f"“{word}” is no single word."
            yield _finding(
                "problem", "anchors", where, what, "Anchors are plain words of letters: no hyphens, no signs."
            )
        elif knows(language) and (word in GRAMMAR_WORDS):
            what = f"“{word}” stands in any text: steering toward it or away from it spoils every sentence."
            yield _finding("problem", "anchors", where, what, "Choose words that speak of the value.")


def check_lists(sheet: Sheet) -> Iterator[Finding]:
    """There should be enough questions, from several scenes, in both lists."""
    questions = sheet.recipe.questions
    for split, scenes in (("validation", questions.validation), ("test", questions.test)):
        where = sheet.where("questions", split)
        count = sum(map(len, scenes.values()))
        if not count:
            what = "there are none: " + (
                "thresholds and strengths cannot be set."
                if split == "validation"
                else "no figures can be reported."
            )
            yield _finding(
                "warning", "questions", where, what, "Write dilemmas that touch the value, ten at least."
            )
        elif count < FEW_QUESTIONS:
            what = f"there are only {counted(count, 'question')}."
            yield _finding("note", "questions", where, what, "Aim for 50 in each list.")
        elif len(scenes) < FEW_SCENES:
            what = f"they come from {counted(len(scenes), 'scene')} only."
            yield _finding("note", "questions", where, what, "Aim for ten scenes of life.")
    alone = set(questions.validation) ^ set(questions.test)
    if questions.validation and questions.test and alone:
        what = f"only one of the two lists has questions about {', '.join(sorted(alone))}."
        yield _finding("note", "questions", "questions", what, "Give both lists the same scenes.")
    unrelated = sheet.recipe.unrelated
    if not unrelated and not unrelated.include:
        what = "there are no unrelated questions, so no gate can be built: all talk would be steered."
        yield _finding(
            "note", "unrelated", "unrelated", what, 'Write include = ["common"] under [unrelated].'
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a recipe, the list that it is in, and where it stands."""

    group: str
    where: str
    text: str


def texts_of(sheet: Sheet) -> list[Text]:
    """The positives of all pairs and all questions, with those of shared lists at the end."""
    recipe = sheet.recipe
    out = [Text("pairs", sheet.where("pairs", at), pair.positive) for at, pair in enumerate(recipe.pairs)]
    for name, lists in (("questions", recipe.questions), ("unrelated", recipe.unrelated)):
        out += [
            Text(f"{name}.{split}", sheet.where(name, split, scene, at), text)
            for split, scene, at, text in lists.each()
        ]
    for shared in sheet.shared:
        out += [
            Text("unrelated.shared", f"the shared list {shared.id}, {scene} {at + 1}", text)
            for _, scene, at, text in shared.each()
        ]
    return out


def check_questions(sheet: Sheet) -> Iterator[Finding]:
    """No question stands in two lists, none twice in one, and none tells a pair's scene."""
    every = texts_of(sheet)
    for left, right, same in alike([each.text for each in every], sheet.recipe.language):
        one, other = every[left], every[right]
        if one.group == other.group and one.group in ("pairs", "unrelated.shared"):
            continue  # pairs have a check of their own, and a shared list is not this recipe's to mend
        severity, why = _clash(one.group, other.group, same)
        yield _finding(
            severity, "repeats", f"{one.where} and {other.where}",
            f"they are {'' if same else 'nearly '}the same: {excerpt(one.text)}.{why}",
            "Ask something else in one of them.",
        )  # fmt: skip


def _clash(one: str, other: str, same: bool) -> tuple[Severity, str]:
    """How bad it is that two lists share a question, and why.

    Unrelated questions may well come close to related ones, which teaches a gate to tell them apart.
    """
    kinds = {one.partition(".")[0], other.partition(".")[0]}
    if one == other or kinds == {"unrelated"}:
        return ("warning" if same else "note"), ""
    if kinds == {"questions"}:
        return ("problem" if same else "warning"), " What is tuned on one list cannot be tested on it."
    if kinds == {"questions", "unrelated"}:
        return ("problem" if same else "note"), " A question touches the value or does not."
    return (
        "warning" if same or "questions" in kinds else "note"
    ), " What was learned from should not be asked."


def check_together(sheets: Sequence[tuple[str, Sheet]]) -> Iterator[Finding]:
    """What several recipes of one language share and should not: tuned questions that another one tests, pairs."""
    by_language: defaultdict[str, list[tuple[str, Sheet]]] = defaultdict(list)
    for name, sheet in sheets:
        by_language[sheet.recipe.language.partition("-")[0]].append((name, sheet))
    for language, group in by_language.items():
        every = [(name, text) for name, sheet in group for text in texts_of(sheet)]
        for left, right, same in alike([text.text for _, text in every], language):
            (name, one), (name2, other) = every[left], every[right]
            groups = {one.group, other.group}
            if name == name2 or groups not in ({"questions.validation", "questions.test"}, {"pairs"}):
                continue
            why = "" if groups == {"pairs"} else " What is tuned on one list cannot be tested on it."
            yield _finding(
                "warning" if same else "note", "repeats", f"{name}, {one.where} and {name2}, {other.where}",
                f"they are {'' if same else 'nearly '}the same: {excerpt(one.text)}.{why}",
                "Write another one for one of the two recipes.",
            )  # fmt: skip


def _finding(severity: Severity, check: str, where: str, what: str, mend: str) -> Finding:
    return Finding(severity=severity, check=check, where=where, what=what, mend=mend)


CHECKS: tuple[Callable[[Sheet], Iterator[Finding]], ...] = (check_anchors, check_lists, check_questions)
