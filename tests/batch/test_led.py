"""Which of several studies a worker is sent to: that which somebody leads, as the databases say."""

from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.batch.led import LedStudies
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.shared.ledger import LEAD, Ledger, SharedStudy
from amp_tuner.shared.members import Membership
from amp_tuner.study.fleet import open_database
from tests.batch.test_night import _study
from tests.postgres import PASSWORD, Server


@pytest.fixture(scope="module")
def storage(server: Server) -> str:
    server.execute("CREATE DATABASE led")
    return server.address("led")


@pytest.fixture
def studies(
    storage: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> list[StudyConfig]:
    """Two of one database."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    name = f"s{abs(hash(request.node.name))}"
    made = [_study(tmp_path, f"{name}-{letter}", {}) for letter in "ab"]
    return [study.model_copy(update={"storage": storage}) for study in made]


class Leader:
    """Who leads a study, as `amp-tune run` does."""

    def __init__(self, study: StudyConfig) -> None:
        database = open_database(study)
        assert database is not None
        self.ledger = Ledger(database.link, study.name, "leader")
        self.ledger.found_or_made(SharedStudy(study.identity(), {}))
        self.membership = Membership(database.link, study.name, "leader", 3600.0)
        self.membership.enter({})
        self.ledger.end(None)
        assert self.ledger.claim(LEAD)


def test_each_study_is_joined_once_when_it_is_led(studies: list[StudyConfig]) -> None:
    first, second = studies
    led = LedStudies(studies)
    # Whoever leads a batch may have begun with any of them.
    later = Leader(second)
    turns = led.each(60.0)
    assert next(turns) is second
    assert led.left == [first]
    later.ledger.end("all trials are measured")
    Leader(first)
    assert next(turns) is first
    assert list(turns) == led.left == []


def test_a_worker_waits_so_long_for_who_leads(studies: list[StudyConfig]) -> None:
    first, second = studies
    # Its search is over, and it needs nobody; the other one's leader has gone.
    Leader(first).ledger.end("all trials are measured")
    Leader(second).membership.leave()
    led = LedStudies(studies)
    assert list(led.each(0.5)) == []
    assert led.left == [second]


def test_every_study_that_cannot_be_joined_is_told_at_once(studies: list[StudyConfig]) -> None:
    first, second = studies
    nowhere = second.model_copy(update={"storage": f"{second.storage}-gone"})
    with pytest.raises(InputError) as refused:
        LedStudies([first.model_copy(update={"storage": None}), nowhere])
    alone, gone = map(str, refused.value.problems)
    assert alone.startswith(f"{first.study_file}: $.storage: found nothing (null)")
    assert gone.startswith(f"{second.study_file}: $.storage: cannot use the postgresql database")
