"""Checks recipes by id or path, alone and together; what cannot be read gets a report too."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.engine.text import clean_line
from trimtab.vectors.checks import Report, check, check_name, refused, with_findings
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.findings import Finding, Sheet
from trimtab.vectors.list_checks import check_together
from trimtab.vectors.recipe_files import locate
from trimtab.vectors.recipe_reading import file_text
from trimtab.vectors.toml_places import places

TOGETHER = "together"
"""The name of the report about what several recipes share."""


def check_all(names: Sequence[str], language: str = "") -> list[Report]:
    """A report for each recipe, and one for all of them together where they share what they should not."""
    reports: list[Report] = []
    sheets: list[tuple[str, Sheet]] = []
    for name in dict.fromkeys(names):
        shown = clean_line(name)
        try:
            found = locate(name, language)
            lines = places(file_text(found.place.path), shown)
        except RecipeError as error:
            reports.append(refused(error, shown))
            continue
        report = check(found.recipe, shown, lines)
        reports.append(with_findings(report, check_name(found.recipe, found.place.path)))
        sheets.append((shown, Sheet(found.recipe, lines)))
    if len(sheets) > 1:
        shared: tuple[Finding, ...] = tuple(check_together(sheets))
        if shared:
            reports.append(with_findings(Report(name=TOGETHER, verdict="passes", findings=()), shared))
    return reports
