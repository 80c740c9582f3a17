"""The words of a text, and which of them carry no context: function words, negations, first persons."""

from __future__ import annotations

import re

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+(?:['’](?:(?![{_UNSPACED}])[^\W_])+)*")
_ENDINGS = re.compile(r"['’](?:s|ll|ve|re|d|m)$")
_STEM = re.compile(r"(?<=[^\W\d_]{3})(?:ingly|edly|ings|ing|ies|ied|ed|es|ly|s|e|y)$")

ENGLISH = ("en", "minnow")
"""Languages whose function words are known here; minnow speaks a small English."""

_FUNCTION = """
a about above across after again against ago ahead all almost along already also although always am among an
and another any anybody anyone anything anyway anywhere apart are around as aside at away back be became
because become becomes been before behind being below beneath beside besides between beyond both but by came
can cannot come comes coming could did do does doing done down during each either else elsewhere enough etc
even ever every everybody everyone everything everywhere except few for from further gave get gets getting
give given gives giving go goes going gone got had has have having he hence her here hers herself him himself
his how however i if in indeed inside instead into is it its itself just keep keeps kept last later least
less let lets like likely long made make makes making many may maybe me might mine more moreover most mostly
much must my myself near nearly need needs neither never nevertheless next no nobody none nor not nothing now
nowhere of off often on once one ones only onto or other others otherwise ought our ours ourselves out
four five six seven eight nine ten
outside over own perhaps please put puts quite rather really said same saw say saying says see seem seemed
seems seen several shall she should since so some somebody someone something sometimes somewhere soon still
such take taken takes taking tell tells than that the their theirs them themselves then there therefore these
they thing things this those though three through throughout thus till to together told too took toward
towards two under unless until up upon us use used uses using usually very want wanted wants was way ways we
well went were what whatever when whenever where whereas wherever whether which whichever while who whoever
whole whom whose why will with within without won would yes yet you your yours yourself yourselves
"""
_GRAMMAR = """
a an the this that these those i me my we us our you your he him his she her it its they them their who whom whose
what which and or but nor if as than because of to in on at by for from with into about over under after before am
is are was were be been being do does did have has had will would can could shall should may might must not there
"""
_NEGATIVE = "no not never none nobody nothing nowhere neither nor without cannot hardly scarcely refuse refuses refused"
_FIRST = "i me my mine myself we us our ours ourselves"

FUNCTION_WORDS = frozenset(_FUNCTION.split())
"""English words that stand in any text, whatever it is about: articles, pronouns, auxiliaries, the plainest verbs."""
GRAMMAR_WORDS = frozenset(_GRAMMAR.split())
"""Those of them that no sentence can do without: moving a model toward one of them spoils its grammar."""
NEGATIONS = frozenset(_NEGATIVE.split())
FIRST_PERSON = frozenset(_FIRST.split())


def words(text: str) -> list[str]:
    """The words and numbers in lower case, in order; "Anna's" is read as "anna", "we'll" as "we".

    Of scripts without spaces each sign is taken for a word.
    """
    return [_ENDINGS.sub("", word).replace("’", "'") for word in _WORD.findall(text.lower())]


def is_negation(word: str) -> bool:
    return word in NEGATIONS or word.endswith("n't")


def is_context(word: str, language: str) -> bool:
    """Whether a word tells what a text is about: no function word, and not one or two plain letters."""
    if len(word) < 3 and word.isascii():
        return False
    return not (knows(language) and (word in FUNCTION_WORDS or word.endswith("n't")))


def knows(language: str) -> bool:
    """Whether the function words of a language are known here."""
    return language.partition("-")[0].lower() in ENGLISH


def stem(word: str) -> str:
    """A rough stem, so that "locks", "locked" and "locking" are one word."""
    return _STEM.sub("", word)
