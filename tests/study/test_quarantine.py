"""How often a setting may end the worker, and what of that is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amp_tuner.errors import InputError
from amp_tuner.study.quarantine import Key, Quarantine

KEY = Key("a1b2", onednn=True)
SETTING = {"data_type": "bfloat16", "moves": {"Sum": "allow"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quarantine.json"


def test_one_death_is_forgiven_and_the_second_is_not(path: Path) -> None:
    quarantine = Quarantine(path)
    quarantine.died(KEY, 5, SETTING, "SIGKILL")
    assert quarantine.verdict(KEY) is None
    quarantine.died(KEY, 9, SETTING, "SIGSEGV")
    verdict = quarantine.verdict(KEY)
    assert verdict == (
        "this setting ended the worker twice: SIGKILL (trial 5) and SIGSEGV (trial 9)"
    )


def test_deaths_of_another_graph_or_switch_do_not_count(path: Path) -> None:
    quarantine = Quarantine(path)
    for other in (
        Key("c3d4", onednn=True),
        Key("a1b2", onednn=False),
        Key("a1b2", None, tf32=True),
    ):
        quarantine.died(other, 5, SETTING, "SIGSEGV")
        quarantine.died(other, 5, SETTING, "SIGSEGV")
    assert quarantine.verdict(KEY) is None


def test_the_count_is_on_the_disk_after_each_death(path: Path) -> None:
    for number in (5, 9):
        Quarantine(path).died(KEY, number, SETTING, "SIGSEGV")
    assert Quarantine(path).verdict(KEY) is not None
    (setting,) = json.loads(path.read_text())["settings"]
    assert (setting["graph_id"], setting["onednn"]) == ("a1b2", True)
    assert setting["deaths"][1] == {"trial": 9, "cause": "SIGSEGV", "setting": SETTING}


def test_deaths_of_before_there_was_another_switch_still_count(path: Path) -> None:
    deaths = [{"trial": number, "cause": "SIGSEGV", "setting": SETTING} for number in (5, 9)]
    entry = {"graph_id": "a1b2", "onednn": True, "deaths": deaths}
    path.write_text(json.dumps({"format": 1, "settings": [entry]}))
    assert Quarantine(path).verdict(KEY) is not None


@pytest.mark.parametrize("key", [KEY, Key("a1b2", onednn=None, tf32=True)])
def test_what_ran_when_the_tuner_was_killed_counts_once(path: Path, key: Key) -> None:
    begun = {**Quarantine(path).about_to_run(key), "setting": SETTING}
    # Through the journal, as a resumed study reads it.
    begun = json.loads(json.dumps(begun))
    Quarantine(path).died_with_the_tuner(5, begun)
    Quarantine(path).died_with_the_tuner(5, begun)
    assert Quarantine(path).verdict(key) is None
    again = {**Quarantine(path).about_to_run(key), "setting": SETTING}
    Quarantine(path).died_with_the_tuner(9, again)
    assert Quarantine(path).verdict(key) is not None


def test_a_death_that_was_counted_before_the_tuner_was_killed_is_not_counted_again(
    path: Path,
) -> None:
    quarantine = Quarantine(path)
    begun = {**quarantine.about_to_run(KEY), "setting": SETTING}
    quarantine.died(KEY, 5, SETTING, "SIGSEGV")
    Quarantine(path).died_with_the_tuner(5, begun)
    assert Quarantine(path).verdict(KEY) is None


def test_a_newer_format_is_refused_by_name(path: Path) -> None:
    path.write_text(json.dumps({"format": 2, "settings": []}))
    with pytest.raises(InputError, match="format 2 is unknown"):
        Quarantine(path)
