"""How many cores are counted, and how many threads that makes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trimtab.engine.cores import choose_threads, physical_cores


def test_no_more_cores_are_counted_than_there_are() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be kept to one core")
def test_a_process_kept_to_one_core_counts_one() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from trimtab.engine.cores import physical_cores; print(physical_cores())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(answer.stdout) == 1


def test_the_threads_asked_for_are_taken() -> None:
    assert choose_threads(3, 10, small=100) == 3


def test_a_small_model_gets_one_thread() -> None:
    assert choose_threads(None, 99, small=100) == 1


def test_a_larger_model_leaves_one_core_to_others() -> None:
    assert choose_threads(None, 100, small=100) == max(1, physical_cores() - 1)
