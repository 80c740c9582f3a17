"""Phrases bend as English does."""

from __future__ import annotations

import pytest

from trimtab.minnow.inflect import Form, Person, phrase


@pytest.mark.parametrize(
    ("text", "form", "person", "bent"),
    [
        ("paint my own mask", "past", "she", "painted her own mask"),
        ("make up my own mind", "present", "he", "makes up his own mind"),
        ("make up my own mind", "present", "I", "make up my own mind"),
        ("ask for myself", "base", "you", "ask for yourself"),
        ("make the others chop for me", "ing", "she", "making the others chop for her"),
        ("be the captain", "past", "you", "were the captain"),
        ("be the captain", "present", "I", "am the captain"),
        ("lie on a warm beach", "past", "he", "lay on a warm beach"),
        ("lie on a warm beach", "ing", "he", "lying on a warm beach"),
        ("plan the day", "ing", "he", "planning the day"),
        ("plan the day", "past", "he", "planned the day"),
        ("carry bags", "present", "she", "carries bags"),
        ("carry bags", "past", "she", "carried bags"),
        ("play the guitar", "past", "she", "played the guitar"),
        ("wash the dishes", "present", "she", "washes the dishes"),
        ("never refuse a treat", "present", "he", "never refuses a treat"),
        ("prefer a soft bed", "past", "he", "preferred a soft bed"),
        ("practice scales", "ing", "he", "practicing scales"),
    ],
)
def test_a_phrase_bends(text: str, form: Form, person: Person, bent: str) -> None:
    assert phrase(text, form, person) == bent
