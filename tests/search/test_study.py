from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.amp.lists import DESTINATIONS, AmpLists
from amp_tuner.errors import InputError
from amp_tuner.search.samplers import SAMPLERS, check_sampler, make_sampler
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.study import Objectives, TuningStudy, repair_journal

SPACE = SearchSpace(
    data_types=("bfloat16",),
    op_types=("Exp", "GatherV2", "Mul"),
    proposed=DESTINATIONS,
    defaults={"bfloat16": AmpLists(infer=frozenset({"Mul"}), deny=frozenset({"Exp"}))},
)
LEASE: dict[str, Any] = {"host": "here", "pid": 1, "started": 0.0, "expires": 0.0}
ANCHOR = {"data_type": "float32", "list:Exp": "deny", "list:GatherV2": "none", "list:Mul": "infer"}


def opened(folder: Path, sampler: str = "tpe") -> TuningStudy:
    return TuningStudy(folder / "study.journal", "study", SPACE, sampler, seed=7)


def objectives(parameters: dict[str, str]) -> Objectives:
    allowed = sum(place == "allow" for place in parameters.values())
    return Objectives(1.0 + 0.1 * allowed, 0.001 * allowed, 0.001 * allowed - 0.0015)


def run(study: TuningStudy, trials: int) -> list[dict[str, str]]:
    proposals = []
    for _ in range(trials):
        proposal = study.ask(LEASE)
        proposals.append(dict(proposal.parameters))
        study.tell(proposal.number, objectives(proposals[-1]), {"graph_id": "g"})
    return proposals


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_resumed_study_proposes_what_an_uninterrupted_one_does(
    sampler: str, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = run(opened(tmp_path / "whole", sampler), 16)
    parts = [proposal for _ in range(4) for proposal in run(opened(tmp_path / "parts", sampler), 4)]
    assert parts == whole
    assert len({tuple(proposal.items()) for proposal in whole}) > 4


def test_anchors_come_first_and_keep_their_names(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue(ANCHOR, "FP32")
    assert study.waiting() == 1
    proposal = study.ask(LEASE)
    assert (proposal.parameters, proposal.anchor) == (ANCHOR, "FP32")
    assert opened(tmp_path).anchors() == {"FP32"}


def test_a_swept_trial_is_repeated_once_with_the_same_parameters(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue(ANCHOR, "FP32")
    study.ask(LEASE)
    resumed = opened(tmp_path)
    assert list(resumed.running()) == [0]
    assert resumed.sweep(0)
    again = resumed.ask(LEASE)
    assert (again.parameters, again.anchor, again.retry_of) == (ANCHOR, "FP32", 0)
    assert not opened(tmp_path).sweep(again.number)
    assert opened(tmp_path).waiting() == 0


def test_an_interrupted_trial_does_not_change_later_proposals(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = run(opened(tmp_path / "whole"), 14)
    study = opened(tmp_path / "killed")
    before = run(study, 12)
    lost = study.ask(LEASE)
    resumed = opened(tmp_path / "killed")
    resumed.sweep(lost.number)
    assert before + run(resumed, 2) == whole


def test_a_lease_is_kept_with_the_running_trial(tmp_path: Path) -> None:
    study = opened(tmp_path)
    number = study.ask(LEASE).number
    study.renew(number, {**LEASE, "expires": 5.0})
    assert opened(tmp_path).running() == {number: {**LEASE, "expires": 5.0}}


def test_a_torn_last_line_is_cut_off_and_the_study_goes_on(tmp_path: Path) -> None:
    run(opened(tmp_path), 3)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "worker_id": "torn')
    (tmp_path / "study.journal.lock").touch()
    assert repair_journal(journal) == 33
    assert len(run(opened(tmp_path), 2)) == 2


def _ask_and_tell_for_ever(folder: str) -> None:
    study = opened(Path(folder))
    while True:
        run(study, 1)


def test_kill_9_at_any_moment_leaves_a_study_that_opens(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for round_ in range(4):
        process = context.Process(target=_ask_and_tell_for_ever, args=(str(tmp_path),))
        process.start()
        process.join(2.0 + 0.37 * round_)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        repair_journal(tmp_path / "study.journal")
        study = opened(tmp_path)
        for number in study.running():
            study.sweep(number)
        assert not study.running()
        run(study, study.waiting() + 1)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "gp"])
def test_samplers_are_deterministic_for_a_seed_and_a_number_of_trials(name: str) -> None:
    assert type(make_sampler(name, 1, 2)) is type(make_sampler(name, 1, 3))


def test_an_interruption_by_the_user_does_not_use_up_the_repetition(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue(ANCHOR, "FP32")
    assert study.sweep(study.ask(LEASE).number, excused=True)
    again = study.ask(LEASE)
    assert (again.parameters, again.anchor) == (ANCHOR, "FP32")
    assert study.worn_out(again.number) is None
    assert opened(tmp_path).sweep(again.number)
    last = opened(tmp_path).ask(LEASE)
    assert (last.parameters, last.anchor, last.retry_of) == (ANCHOR, "FP32", again.number)


def test_a_repetition_that_was_killed_too_is_worn_out(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue(ANCHOR, "FP32")
    first = study.ask(LEASE).number
    assert study.worn_out(first) is None
    study.sweep(first)
    second = study.ask(LEASE).number
    worn_out = opened(tmp_path).worn_out(second)
    assert worn_out is not None
    assert (worn_out.number, worn_out.parameters, worn_out.anchor) == (second, ANCHOR, "FP32")


def test_gp_without_pytorch_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"sampler gp needs PyTorch.*amp-tuner\[gp\]"):
        check_sampler("gp")
    check_sampler("tpe")
