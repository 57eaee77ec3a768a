from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.config.load import check_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.measure.cores import usable_cores
from amp_tuner.target.core_claims import claimed, own_cores

#: Numbers that no machine has, so that tests beside this one claim others.
SETS = [f"{core}" for core in (os.getpid() % 4000 + 4000, os.getpid() % 1000 + 8500)]
ANOTHER = """
import sys
from amp_tuner.target.core_claims import claimed

with claimed(sys.argv[1:]) as cores:
    print(cores[0], flush=True)
    sys.stdin.read()
"""


def study(**target: Any) -> StudyConfig:
    plain = {"name": "n", "model": {"path": "m"}, "data": {"path": "d"}, "target": target}
    return check_study(plain, Path("/s/study.yaml"), check_files=False)


def test_a_member_and_all_it_starts_are_pinned_to_a_set_that_is_free() -> None:
    own = usable_cores()
    core = str(max(own))
    with claimed(SETS[:1]), own_cores(study(cores=[SETS[0], core])) as mine:
        assert mine.worker_cores == (int(core),)
        assert usable_cores() == {int(core)}
    assert usable_cores() == own


@pytest.mark.parametrize(
    "target",
    [
        {"fleet": {"share_cores": True}},
        {"runtime": "roofline", "device": "gpu", "data_types": ["float16"], "profile": "t4.yaml"},
    ],
)
def test_where_nothing_is_timed_or_sharing_is_accepted_nothing_is_claimed(
    target: dict[str, Any],
) -> None:
    config = study(**target)
    with own_cores(config) as one, own_cores(config) as other:
        assert one is other is config


def test_each_worker_has_the_first_set_that_is_free() -> None:
    with claimed(SETS) as first, claimed(SETS) as second:
        assert [first, second] == [(int(SETS[0]),), (int(SETS[1]),)]
    with claimed(SETS) as again:
        assert again == first


def test_where_no_set_is_free_the_process_that_has_it_is_named() -> None:
    with claimed(SETS[:1]), pytest.raises(InputError) as caught, claimed(SETS[:1]):
        pass
    (problem,) = caught.value.problems
    assert problem.where == "$.target.cores"
    assert f"{SETS[0]}: process {os.getpid()} has core {SETS[0]}" in problem.message
    assert "two workers on one physical core would disturb each other" in problem.message


def test_a_refused_claim_keeps_no_core() -> None:
    both = ",".join(SETS)
    with claimed(SETS[1:]), pytest.raises(InputError), claimed([both]):
        pass
    with claimed([both]) as cores:
        assert cores == tuple(map(int, SETS))


def test_hyper_threads_of_a_physical_core_have_one_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = frozenset(map(int, SETS))
    monkeypatch.setattr("amp_tuner.target.core_claims.sharing", lambda _: pair)
    with claimed(SETS[:1]), pytest.raises(InputError) as caught, claimed(SETS[1:]):
        pass
    assert f"process {os.getpid()} has core {SETS[1]} (hyper-threads of one" in str(caught.value)


def test_without_cores_one_worker_has_the_machine_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "amp_tuner.target.core_claims.usable_cores", lambda: frozenset(map(int, SETS))
    )
    with claimed(SETS[:1]), pytest.raises(InputError) as caught, claimed(None):
        pass
    assert "no cores are pinned" in str(caught.value)
    assert f"process {os.getpid()} has workers on this machine" in str(caught.value)
    with claimed(None) as cores:
        assert cores is None


def test_the_cores_of_a_process_that_was_killed_are_free() -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", ANOTHER, *SETS[:1]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    with other:
        assert other.stdout.readline().decode().strip() == SETS[0]
        with pytest.raises(InputError, match=f"process {other.pid} has core"), claimed(SETS[:1]):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with claimed(SETS[:1]) as cores:
            assert cores == (int(SETS[0]),)
