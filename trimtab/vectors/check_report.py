"""What a check of recipes found, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from trimtab.engine.text import clean
from trimtab.vectors.bias import ContextBias
from trimtab.vectors.checks import Counts, Report
from trimtab.vectors.findings import SEVERITIES, counted

_WIDTH = 10


def render(reports: Sequence[Report]) -> str:
    """Each recipe's figures, its findings with what to do below them, and the verdict."""
    return clean("\n\n".join("\n".join(_lines(report)) for report in reports))


def to_json(reports: Sequence[Report]) -> str:
    ok = all(report.passes for report in reports)
    content = msgspec.json.encode({"ok": ok, "recipes": [_plain(report) for report in reports]})
    return msgspec.json.format(content, indent=2).decode()


def _plain(report: Report) -> dict[str, object]:
    """The report with the bias verdict, which is no field."""
    plain: dict[str, object] = msgspec.to_builtins(report)
    if report.bias:
        plain["bias"] = msgspec.to_builtins(report.bias) | {"verdict": report.bias.verdict}
    return plain


def _lines(report: Report) -> Iterator[str]:
    yield report.name
    if report.counts:
        yield from (f"  {title:<{_WIDTH}} {text}" for title, text in _figures(report.counts))
    if report.bias:
        yield f"  {'context':<{_WIDTH}} {_bias(report.bias)}"
    for finding in report.findings:
        place = f"{finding.where}: " if finding.where else ""
        yield f"  {finding.severity:<{_WIDTH}} {place}{finding.what}"
        if finding.mend:
            yield f"  {'':<{_WIDTH}} → {finding.mend}"
    yield f"  {_verdict(report)}"


def _figures(counts: Counts) -> Iterator[tuple[str, str]]:
    kinds = ", ".join(f"{count} {kind}" + "s" * (kind != "unmarked") for kind, count in counts.kinds.items())
    yield "pairs", f"{counts.pairs}: {kinds}"
    yield "length", f"{counts.words[0]:.1f} words (positive), {counts.words[1]:.1f} (negative)"
    yield "anchors", f"{counts.anchors[0]} positive, {counts.anchors[1]} negative"
    listed = f"{counts.validation} validation, {counts.test} test, from {counted(counts.scenes, 'scene')}"
    yield "questions", f"{listed}; {counts.unrelated} unrelated"


def _bias(bias: ContextBias) -> str:
    said = f"{bias.verdict}: {len(bias.shared)} of the {bias.size} most frequent words are shared"
    alone = [
        f"only {side}: {', '.join(count.word for count in counts[:5])}"
        for side, counts in (("positive", bias.only_positive), ("negative", bias.only_negative))
        if counts
    ]
    return f"{said} ({'; '.join(alone)})" if alone else said


def _verdict(report: Report) -> str:
    found = Counter(finding.severity for finding in report.findings)
    listed = ", ".join(counted(found[severity], severity) for severity in SEVERITIES if found[severity])
    word = "Fails" if not report.passes else "Passes"
    return f"{word}: {listed}." if listed else f"{word}."
