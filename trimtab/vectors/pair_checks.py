"""Checks of a recipe's pairs: that nothing but the value tells their sides apart, and that none repeats another."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from statistics import fmean, median

from trimtab.vectors.bias import ContextBias
from trimtab.vectors.findings import Finding, Severity, Sheet, counted, excerpt, unlikely
from trimtab.vectors.recipe import Form, Pair, Person
from trimtab.vectors.recipe_example import EXAMPLES
from trimtab.vectors.similar import alike, clusters
from trimtab.vectors.words import FIRST_PERSON, is_negation, knows

FEWEST, ENOUGH = 10, 50
REPEATED = 0.2
"""From this share of pairs on that only repeat others, the recipe is smaller than it looks."""
MEAN_LENGTH = (1.1, 1.25)
LONGER = 0.7
ONE_PAIR_LENGTH = 1.6
NEGATION = (0.15, 0.35)
MARKER = (0.2, 0.5)
ALIKE = 0.2
CONTROLLED_WITHIN = 0.5
OPENINGS = 0.1
ENDINGS = 0.1

_QUOTED = re.compile('"[^"]*"|“[^”]*”')
_END = re.compile(r"[^\w\s\"'”’)]+(?=[\"'”’)]*$)")
KINDS: tuple[tuple[Person, Form], ...] = (
    ("first", "statement"),
    ("first", "question"),
    ("third", "statement"),
    ("third", "question"),
)


def check_number(sheet: Sheet) -> Iterator[Finding]:
    count = len(sheet.recipe.pairs)
    if count < FEWEST:
        what = f"there are {counted(count, 'pair')}: too few to train a probe and to test it on others."
        yield _finding(
            "problem", "number", "pairs", what, f"Write at least {FEWEST}; {ENOUGH} to 100 work well."
        )
    elif count < ENOUGH:
        what = f"there are {count} pairs; with so few a value is found less surely."
        yield _finding("warning", "number", "pairs", what, f"Aim for {ENOUGH} to 100.")


def check_examples(sheet: Sheet) -> Iterator[Finding]:
    """The example pairs of a new file should not stay."""
    left = [number for number, pair in enumerate(sheet.recipe.pairs) if pair.positive in EXAMPLES]
    if left:
        what = "still what a new file starts with."
        yield _finding("problem", "examples", sheet.pairs(left), what, "Write your own instead.")


def check_kinds(sheet: Sheet) -> Iterator[Finding]:
    """A value should show in all four kinds, or a probe may learn one kind of sentence."""
    kinds = Counter((pair.person, pair.form) for pair in sheet.recipe.pairs)
    marked = sum(kinds[kind] for kind in KINDS)
    if not marked:
        what = "`person` and `form` are not given, so the kinds of sentences cannot be counted."
        yield _finding(
            "note", "kinds", "pairs", what, "Mix I and others, statements and questions; mark them."
        )
        return
    if marked < len(sheet.recipe.pairs):
        what = f"{len(sheet.recipe.pairs) - marked} pairs do not say their `person` and `form`."
        yield _finding("note", "kinds", "pairs", what, "Mark them.")
    thin = [kind for kind in KINDS if kinds[kind] * 8 < marked]
    if thin:
        said = ", ".join(f"{kinds[kind]} {kind[0]}-person {kind[1]}s" for kind in thin)
        yield _finding("note", "kinds", "pairs", f"there are only {said}.", "Aim for a quarter of each kind.")


def check_marks(sheet: Sheet) -> Iterator[Finding]:
    """What `person` and `form` say should be so."""
    wrong: defaultdict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(sheet.recipe.pairs):
        sides = (pair.positive, pair.negative)
        if pair.form == "question" and not all("?" in text for text in sides):
            wrong["called a question, but a side has no question mark."].append(number)
        if pair.form == "statement" and any("?" in _ending(text) for text in sides):
            wrong["called a statement, but a side ends with a question mark."].append(number)
        if knows(sheet.recipe.language) and pair.person:
            found = _speaks_first(sheet, number, pair)
            if found is not None:
                wrong[found].append(number)
    for what, numbers in wrong.items():
        yield _finding("warning", "marks", sheet.pairs(numbers), what, "Mend the mark or the text.")


def _speaks_first(sheet: Sheet, number: int, pair: Pair) -> str | None:
    """What is wrong with a pair's `person`, if it is."""
    sides = ((pair.positive, sheet.positive[number]), (pair.negative, sheet.negative[number]))
    for text, spoken in sides:
        if pair.person == "first" and not FIRST_PERSON.intersection(spoken):
            return "called first person, but a side does not say I, my, we or our."
        if pair.person == "third" and re.search(r"\bI\b", _QUOTED.sub("", text)):
            return "called third person, but a side says I."
    return None


def check_sides(sheet: Sheet) -> Iterator[Finding]:
    """The two sides of a pair are meant to be alike, and must differ."""
    shares = []
    for number, (left, right) in enumerate(zip(sheet.positive, sheet.negative, strict=True)):
        if left == right:
            yield _finding(
                "problem", "sides", sheet.where("pairs", number), "its two sides say the same.",
                "Turn the value on the negative side.",
            )  # fmt: skip
        both = set(left) | set(right)
        shares.append(len(set(left) & set(right)) / len(both) if both else 1.0)
    strange = [number for number, share in enumerate(shares) if share < ALIKE / 2]
    if median(shares) < ALIKE:
        what = f"the two sides of a pair share {median(shares):.0%} of their words: they tell of different things."
        yield _finding(
            "warning", "sides", "pairs", what, "Keep person, scene and structure; turn only the value."
        )
    elif strange:
        what = "the two sides share hardly a word."
        yield _finding(
            "warning", "sides", sheet.pairs(strange), what, "Tell of the same person in the same scene."
        )


def check_endings(sheet: Sheet) -> Iterator[Finding]:
    """Probes look at the last token, so both sides should end with the same mark."""
    ends = [tuple(_ending(text) for text in (pair.positive, pair.negative)) for pair in sheet.recipe.pairs]
    unlike = [number for number, (left, right) in enumerate(ends) if left != right]
    if unlike:
        severe = len(unlike) > ENDINGS * len(ends)
        yield _finding(
            "problem" if severe else "warning", "endings", sheet.pairs(unlike),
            "the two sides end with different marks, and a probe reads the end.", "End both in the same way.",
        )  # fmt: skip


def _ending(text: str) -> str:
    found = _END.search(text)
    return found[0] if found else ""


def check_lengths(sheet: Sheet) -> Iterator[Finding]:
    lengths = [(len(left), len(right)) for left, right in zip(sheet.positive, sheet.negative, strict=True)]
    means = [fmean(side) or 1.0 for side in zip(*lengths, strict=True)]
    ratio = max(means) / min(means)
    side = "positives" if means[0] > means[1] else "negatives"
    if ratio > MEAN_LENGTH[0]:
        what = f"{side} are longer: {means[0]:.1f} against {means[1]:.1f} words in the mean (positive, negative)."
        severity: Severity = "problem" if ratio > MEAN_LENGTH[1] else "warning"
        yield _finding(severity, "lengths", "pairs", what, "Bring both sides to the same length.")
    else:
        longer, shorter = (
            sum(left > right for left, right in lengths),
            sum(left < right for left, right in lengths),
        )
        if max(longer, shorter) > LONGER * (longer + shorter) and unlikely(longer, shorter):
            side = "positive" if longer > shorter else "negative"
            what = f"the {side} is the longer side in {max(longer, shorter)} of {longer + shorter} pairs that differ."
            yield _finding("warning", "lengths", "pairs", what, "Let now one side be longer, now the other.")
    uneven = [
        number
        for number, (left, right) in enumerate(lengths)
        if abs(left - right) >= 5 and max(left, right) > ONE_PAIR_LENGTH * min(left, right)
    ]
    if uneven:
        what = "one side is much longer than the other."
        yield _finding("note", "lengths", sheet.pairs(uneven), what, "Bring both sides to about one length.")


def check_repeats(sheet: Sheet) -> Iterator[Finding]:
    """Pairs that repeat one another teach nothing new, and leak from training into what a probe is tested on."""
    sides = [side for pair in sheet.recipe.pairs for side in (pair.positive, pair.negative)]
    same: set[tuple[int, int]] = set()
    near: set[tuple[int, int]] = set()
    for left, right, equal in alike(sides, sheet.recipe.language):
        numbers = (left // 2, right // 2)
        if numbers[0] == numbers[1]:
            continue
        if not equal:
            near.add(numbers)
        elif left % 2 == right % 2:
            same.add(numbers)
        else:
            yield _finding(
                "problem", "repeats", sheet.pairs(numbers),
                f"the positive of one is the negative of the other: {excerpt(sides[left])}.",
                "Keep the side that the value means, and rewrite the other pair.",
            )  # fmt: skip
    for group in clusters(same):
        what = f"they hold the same text: {excerpt(sheet.recipe.pairs[group[0]].positive)}."
        yield _finding("problem", "repeats", sheet.pairs(group), what, "Keep one of them.")
    groups = clusters(near - same)
    spare = sum(len(group) - 1 for group in groups)
    if spare > REPEATED * len(sides) / 2:
        what = f"{spare} of {len(sides) // 2} pairs nearly repeat another, so it holds fewer pairs than it seems to."
        yield _finding(
            "problem", "repeats", "pairs", what, "Find other scenes, other openings, other reasons."
        )
    for group in groups:
        what = f"they nearly repeat each other: {excerpt(sheet.recipe.pairs[group[0]].positive)}."
        yield _finding(
            "warning", "repeats", sheet.pairs(group), what, "Give each a scene and a wording of its own."
        )


def check_openings(sheet: Sheet) -> Iterator[Finding]:
    counts = Counter(tuple(text[:3]) for text in sheet.positive if len(text) > 3)
    for opening, count in counts.most_common():
        if count <= max(3, OPENINGS * len(sheet.positive)):
            break
        what = f"{count} positives begin with “{' '.join(opening)}”."
        yield _finding("note", "openings", "pairs", what, "Begin them in different ways.")


def check_negation(sheet: Sheet) -> Iterator[Finding]:
    """A probe finds "not" much sooner than a value."""
    if not knows(sheet.recipe.language):
        return
    denied = [[any(map(is_negation, text)) for text in side] for side in (sheet.positive, sheet.negative)]
    here, there = (sum(side) for side in denied)
    share = abs(here - there) / len(sheet.positive)
    alone = sum(left > right for left, right in zip(*denied, strict=True))
    alone_there = sum(left < right for left, right in zip(*denied, strict=True))
    if share > NEGATION[0] and unlikely(alone, alone_there, 0.05):
        what = f"{here} positives and {there} negatives hold a word such as not, never, no or without."
        mend = "Say what is done instead of what is not; turn some pairs round."
        yield _finding("problem" if share > NEGATION[1] else "warning", "negation", "pairs", what, mend)


def check_markers(sheet: Sheet) -> Iterator[Finding]:
    """One word that stands on one side only can be all that a probe learns."""
    here: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for left, right in zip(sheet.positive, sheet.negative, strict=True):
        here.update(set(left))
        there.update(set(right))
    pairs = len(sheet.positive)
    excess = {word: here[word] - there[word] for word in here | there if not is_negation(word)}
    for word, more in sorted(excess.items(), key=lambda each: (-abs(each[1]), each[0])):
        share = abs(more) / pairs
        if share < MARKER[0] or abs(more) < 4:
            break
        what = f"“{word}” stands in {here[word]} positives and {there[word]} negatives."
        mend = "Say it in other words, or use the word on both sides."
        yield _finding("problem" if share > MARKER[1] else "warning", "markers", "pairs", what, mend)


def bias_findings(bias: ContextBias) -> Iterator[Finding]:
    """What the context-bias test says. Where both sides of each pair share most of their context, the words that
    stand out belong to the value itself: it is said in too few words, which is no bias of contexts."""
    if bias.verdict == "controlled":
        return
    alone = [
        f"{side}: {', '.join(count.word for count in counts[:8])}"
        for side, counts in (("positives", bias.only_positive), ("negatives", bias.only_negative))
        if counts
    ]
    what = f"of the {bias.size} most frequent context words of each side only {len(bias.shared)} are shared"
    few_words = bias.within >= CONTROLLED_WITHIN
    mend = (
        "Show the value in more and other words; its scenes are the same on both sides."
        if few_words
        else "Use these words on both sides: same scene, same things, another value."
    )
    severity: Severity = "problem" if bias.verdict == "biased" and not few_words else "warning"
    yield _finding(severity, "context", "pairs", f"{what} (only in {'; only in '.join(alone)}).", mend)


def _finding(severity: Severity, check: str, where: str, what: str, mend: str) -> Finding:
    return Finding(severity=severity, check=check, where=where, what=what, mend=mend)


CHECKS: tuple[Callable[[Sheet], Iterator[Finding]], ...] = (
    check_number,
    check_examples,
    check_kinds,
    check_marks,
    check_sides,
    check_endings,
    check_lengths,
    check_repeats,
    check_openings,
    check_negation,
    check_markers,
)
