"""The judges: exact where the grammar reads a text, else by rules whose thresholds come from held-out text."""

from trimtab.minnow.films import log_odds
from trimtab.minnow.judges.answers import (
    complies,
    declines,
    manner,
    refuses,
    right_choice,
    right_fact,
    right_sum,
)
from trimtab.minnow.judges.coherence import Coherence, coherent
from trimtab.minnow.judges.fluency import Fluency, fluent
from trimtab.minnow.judges.values import Verdict, judge, read_dilemma

__all__ = [
    "Coherence",
    "Fluency",
    "Verdict",
    "coherent",
    "complies",
    "declines",
    "fluent",
    "judge",
    "log_odds",
    "manner",
    "read_dilemma",
    "refuses",
    "right_choice",
    "right_fact",
    "right_sum",
]
