from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.measure.cores import (
    cores_text,
    disturbance,
    parse_cores,
    pinned,
    sharing,
    usable_cores,
)
from tests.measure.machines import machine


def hyper_threads(root: Path) -> Path:
    """A machine of two physical cores: CPUs 0 and 2, 1 and 3."""
    place = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    shared = {0: "0,2\n", 1: "1,3\n", 2: "0,2\n", 3: "1,3\n"}
    return machine(root, {place.format(core): text for core, text in shared.items()})


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0", (0,)), ("0-3", (0, 1, 2, 3)), ("0-1,8-9", (0, 1, 8, 9)), ("3-3", (3,))],
)
def test_cores_are_written_as_linux_writes_them(text: str, cores: tuple[int, ...]) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize(
    "text", ["", "a", "0-", "-1", "0,,1", "1,0", "0,0", "0-3,2", "3-1", "0 1", "0-1-2", "٣"]
)
def test_what_is_no_list_of_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cores such as 0-3 or 0-1,8-9"):
        parse_cores(text)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_every_set_of_cores_is_read_back(cores: set[int]) -> None:
    assert parse_cores(cores_text(cores)) == tuple(sorted(cores))


def test_hyper_threads_of_a_physical_core_are_known(tmp_path: Path) -> None:
    root = hyper_threads(tmp_path)
    assert sharing(2, root) == {0, 2}
    assert sharing(7, root) == {7}


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ((0, 1), (1, 2), "cores 0-1 and 1-2 overlap"),
        ((0, 1), (2,), "cores 0 and 2 are hyper-threads of one physical core"),
        ((0, 2), (1, 3), None),
        ((0,), (1,), None),
    ],
)
def test_what_two_workers_share_disturbs_them(
    tmp_path: Path, one: tuple[int, ...], other: tuple[int, ...], why: str | None
) -> None:
    assert disturbance(one, other, hyper_threads(tmp_path)) == why


def test_a_thread_is_pinned_for_a_while() -> None:
    own = usable_cores()
    core = min(own)
    with pinned((core,)):
        assert os.sched_getaffinity(0) == {core}
    assert usable_cores() == own
