"""What the doctor found, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trimtab.doctor.checks import Finding
from trimtab.doctor.facts import Facts
from trimtab.engine.text import clean

_WIDTH = 10


def render(findings: Sequence[Finding]) -> str:
    """One line for each check, with what to do below those that want something done."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<8} {finding.name:<{_WIDTH}} {finding.what}")
        lines += [f"{'':<8} {'':<{_WIDTH}} → {step}" for step in finding.steps]
    counts = {level: sum(finding.level == level for finding in findings) for level in ("problem", "note")}
    if counts["problem"]:
        lines.append(f"\n{_count(counts['problem'], 'problem')}, {_count(counts['note'], 'note')}.")
    elif counts["note"]:
        lines.append(f"\nAll works; {_count(counts['note'], 'note')}.")
    else:
        lines.append("\nAll is well.")
    return clean("\n".join(lines))


def to_json(facts: Facts, findings: Sequence[Finding]) -> str:
    ok = all(finding.level != "problem" for finding in findings)
    content = msgspec.json.encode({"ok": ok, "findings": list(findings), "facts": facts})
    return msgspec.json.format(content, indent=2).decode()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
