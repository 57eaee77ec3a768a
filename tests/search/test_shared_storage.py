"""One study, two tuners: what each sees of the other, and what a lost answer comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from amp_tuner.search.proposal import Objectives, Proposal
from amp_tuner.search.shared_storage import SharedStorage
from amp_tuner.search.study import TuningStudy
from amp_tuner.shared.address import Address
from amp_tuner.shared.link import Link
from tests.search.painted_space import PaintedSpace

SPACE = PaintedSpace().space
GOOD = Objectives(1.2, 0.001, -1.0)
LEASE = {"member": "first"}


class Tuner:
    """One tuner of the study."""

    def __init__(self, address: Address, member: str, rank: int) -> None:
        self.link = Link(address, patience_s=1.0)
        self.storage = SharedStorage(address, self.link, member)
        self.study = TuningStudy(self.storage, "night", SPACE, "random", seed=7, rank=rank)

    def ask(self) -> Proposal:
        """A proposal that is in the database."""
        proposal = self.study.ask(LEASE)
        self.study.keep()
        return proposal


@pytest.fixture
def tuners(address: Address) -> Iterator[tuple[Tuner, Tuner]]:
    both = Tuner(address, "first", 0), Tuner(address, "second", 1)
    yield both
    for tuner in both:
        tuner.study.close()
        tuner.link.close()


def stored(address: Address) -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself reads."""
    storage = optuna.storages.RDBStorage(address.url.render_as_string(hide_password=False))
    return optuna.load_study(study_name="night", storage=storage).get_trials()


def test_what_one_tuner_tells_optuna_and_the_other_tuner_read(
    address: Address, tuners: tuple[Tuner, Tuner]
) -> None:
    first, second = tuners
    proposal = first.ask()
    second.study.refresh()
    assert second.study.running()[proposal.number].proposal.parameters == proposal.parameters
    assert second.study.running()[proposal.number].lease == LEASE
    first.study.tell(proposal.number, GOOD, {"graph_id": "a"})
    second.study.refresh()
    assert second.study.running() == {}
    (trial,) = stored(address)
    assert trial.params == proposal.parameters
    assert trial.values == [1.2, 0.001]
    assert trial.user_attrs["graph_id"] == "a"
    assert trial.constraints == {"accuracy": -1.0}


def test_tuners_propose_different_settings_and_keep_numbers_apart(
    tuners: tuple[Tuner, Tuner],
) -> None:
    first, second = tuners
    proposals = [first.ask(), second.ask()]
    assert [proposal.number for proposal in proposals] == [0, 1]
    assert proposals[0].parameters != proposals[1].parameters


def test_the_first_tuner_proposes_what_it_would_alone(
    tmp_path: Path, tuners: tuple[Tuner, Tuner]
) -> None:
    from amp_tuner.search.journal import OneWriterStorage

    alone = TuningStudy(OneWriterStorage(tmp_path / "journal"), "night", SPACE, "random", seed=7)
    first, _ = tuners
    assert first.ask().parameters == alone.ask({}).parameters


def test_an_anchor_waits_in_its_tuners_memory(
    address: Address, tuners: tuple[Tuner, Tuner]
) -> None:
    first, second = tuners
    parameters = {name: choices[0] for name, choices in SPACE.choices().items()}
    first.study.enqueue(parameters, "FP32")
    assert stored(address) == []
    assert second.study.waiting() == 0
    proposal = first.ask()
    assert (proposal.anchor, proposal.parameters) == ("FP32", parameters)
    second.study.refresh()
    assert second.study.anchors() == {"FP32"}
    assert [trial.state for trial in stored(address)] == [TrialState.RUNNING]


def test_a_trial_is_taken_over_with_what_was_proposed(
    address: Address, tuners: tuple[Tuner, Tuner]
) -> None:
    first, second = tuners
    proposal = first.ask()
    first.study.begin(proposal.number, {"deaths": 0})
    second.study.refresh()
    assert second.study.running()[0].begun == {"deaths": 0}
    assert second.study.adopt(0, {"member": "second"}) == proposal
    second.study.tell(0, GOOD, {})
    assert [trial.state for trial in stored(address)] == [TrialState.COMPLETE]
    # Whoever was taken for dead and comes back late changes nothing.
    first.study.tell(0, Objectives(9.9, 0.0, -1.0), {})
    assert [trial.values for trial in stored(address)] == [[1.2, 0.001]]


def test_whoever_tells_an_end_second_changes_nothing_of_the_trial(
    address: Address, tuners: tuple[Tuner, Tuner]
) -> None:
    first, second = tuners
    numbers = [first.ask().number for _ in range(2)]
    second.study.refresh()
    for number in numbers:
        second.study.adopt(number, {"member": "second"})
        second.study.tell(number, GOOD, {"graph_id": "theirs"})
        first.study.tell(number, Objectives(9.9, 0.0, -1.0), {"graph_id": "late"})
    for trial in stored(address):
        assert trial.values == [1.2, 0.001]
        assert trial.user_attrs["graph_id"] == "theirs"
        assert trial.user_attrs["lease"] == {"member": "second"}


def test_a_trial_whose_tuner_died_while_it_was_proposed_is_ended(
    address: Address, tuners: tuple[Tuner, Tuner]
) -> None:
    first, second = tuners
    first.study.ask(LEASE)
    second.study.refresh()
    assert second.study.adopt(0, {"member": "second"}) is None
    (trial,) = stored(address)
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["cause"] == "interrupted"


LOST: dict[str, Callable[[Tuner], Any]] = {
    "_create_new_trial": lambda tuner: tuner.ask(),
    "set_trial_state_values": lambda tuner: tuner.study.tell(tuner.ask().number, GOOD, {}),
}


@pytest.mark.parametrize("method", LOST)
def test_what_was_done_although_its_answer_was_lost_is_not_done_twice(
    address: Address,
    tuners: tuple[Tuner, Tuner],
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = tuners
    real = getattr(first.storage._rdb, method)
    calls: list[int] = []

    def answer_lost(*words: Any, **named: Any) -> Any:
        calls.append(1)
        answer = real(*words, **named)
        if len(calls) == 1:
            raise OperationalError("", {}, Exception("server closed the connection"))
        return answer

    monkeypatch.setattr(first.storage._rdb, method, answer_lost)
    LOST[method](first)
    assert calls
    assert len(stored(address)) == 1


def test_a_proposal_is_few_statements(tuners: tuple[Tuner, Tuner]) -> None:
    first, _ = tuners
    statements: list[str] = []
    event.listen(
        first.storage._rdb.engine,
        "before_cursor_execute",
        lambda *words: statements.append(words[2]),
    )
    first.ask()
    assert len(SPACE.choices()) > 5
    assert len(statements) < 25
