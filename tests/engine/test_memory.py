"""How much memory is said to be free."""

from __future__ import annotations

import os
import sys

import pytest

from trimtab.engine.memory import available, giga


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell its pages")
def test_less_is_free_than_there_is() -> None:
    free = available()
    assert free is not None
    assert 0 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("amount", "text"), [(12_300_000_000, "12.3 GB"), (4_200_000, "4 MB"), (0, "0 MB")])
def test_amounts_read_as_people_say_them(amount: int, text: str) -> None:
    assert giga(amount) == text
