from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from amp_tuner.amp.lists import DESTINATIONS, AmpLists
from amp_tuner.errors import InputError
from amp_tuner.search.distributions import distributions
from amp_tuner.search.journal import OneWriterStorage
from amp_tuner.search.proposal import Objectives
from amp_tuner.search.samplers import check_sampler
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.study import TuningStudy
from tests.search.painted_space import PaintedSpace

SPACE = SearchSpace(
    data_types=("bfloat16",),
    op_types=("Exp", "GatherV2", "Mul"),
    proposed=DESTINATIONS,
    defaults={"bfloat16": AmpLists(infer=frozenset({"Mul"}), deny=frozenset({"Exp"}))},
)
LEASE: dict[str, Any] = {"host": "here", "pid": 1, "started": 0.0, "expires": 0.0}
ANCHOR = {"data_type": "float32", "list:Exp": "deny", "list:GatherV2": "none", "list:Mul": "infer"}


def opened(folder: Path, sampler: str = "tpe") -> TuningStudy:
    return TuningStudy(OneWriterStorage(folder / "study.journal"), "study", SPACE, sampler, seed=7)


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


def test_a_swept_trial_is_repeated_with_the_same_parameters(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue(ANCHOR, "FP32")
    study.ask(LEASE)
    for number in range(3):
        resumed = opened(tmp_path)
        resumed.keep()
        if number == 0:
            # Nothing was written down about the proposal, so the kill undid it.
            assert list(resumed.running()) == []
        else:
            assert resumed.sweep(*resumed.running())
        again = resumed.ask(LEASE)
        resumed.keep()
        assert (again.parameters, again.anchor) == (ANCHOR, "FP32")


def test_moves_of_nodes_come_with_the_proposal_and_are_repeated_after_a_kill(
    tmp_path: Path,
) -> None:
    moves = {"Mul": "allow", "node:tower/*": "none"}
    parameters = {**ANCHOR, "data_type": "bfloat16"}
    study = opened(tmp_path)
    study.enqueue_nodes(parameters, moves)
    asked = study.ask(LEASE)
    study.keep()
    assert (asked.parameters, asked.moves) == (parameters, moves)
    resumed = opened(tmp_path)
    assert resumed.running()[asked.number].proposal.moves == moves
    assert resumed.sweep(asked.number)
    again = resumed.ask(LEASE)
    assert (again.parameters, again.moves) == (parameters, moves)


def test_the_sampler_does_not_learn_from_settings_with_nodes(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    studies = [opened(tmp_path / name) for name in ("with", "without")]
    for study in studies:
        run(study, 11)
    studies[0].enqueue_nodes({**ANCHOR, "data_type": "bfloat16"}, {"node:a": "none"})
    number = studies[0].ask(LEASE).number
    studies[0].tell(number, Objectives(9.0, 0.0, -1.0), {})
    assert studies[0].importances() == studies[1].importances() != {}


def test_what_was_about_to_run_is_known_after_a_kill(tmp_path: Path) -> None:
    study = opened(tmp_path)
    number = study.ask(LEASE).number
    study.keep()
    assert opened(tmp_path).running()[number].begun is None
    study.begin(number, {"graph_id": "g"})
    assert opened(tmp_path).running()[number].begun == {"graph_id": "g"}


def test_an_interrupted_trial_does_not_change_later_proposals(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = run(opened(tmp_path / "whole"), 14)
    study = opened(tmp_path / "killed")
    before = run(study, 12)
    lost = study.ask(LEASE)
    study.keep()
    resumed = opened(tmp_path / "killed")
    resumed.sweep(lost.number)
    assert before + run(resumed, 2) == whole


def test_a_lease_is_kept_with_the_running_trial(tmp_path: Path) -> None:
    study = opened(tmp_path)
    number = study.ask(LEASE).number
    study.renew(number, {**LEASE, "expires": 5.0})
    assert opened(tmp_path).running()[number].lease == {**LEASE, "expires": 5.0}


def test_a_torn_last_line_is_cut_off_and_the_study_goes_on(tmp_path: Path) -> None:
    run(opened(tmp_path), 3)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "worker_id": "torn')
    (tmp_path / "study.journal.lock").touch()
    study = opened(tmp_path)
    assert study.cut_bytes == 33
    assert len(run(study, 2)) == 2


def test_optunas_own_backend_reads_the_journal(tmp_path: Path) -> None:
    asked = run(opened(tmp_path), 3)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.load_study(study_name="study", storage=storage)
    assert [trial.params for trial in study.trials] == asked
    assert {trial.user_attrs["graph_id"] for trial in study.trials} == {"g"}


def _ask_and_tell_for_ever(folder: str) -> None:
    study = opened(Path(folder))
    while True:
        run(study, 1)


@pytest.mark.all_only
def test_kill_9_at_any_moment_leaves_a_study_that_opens(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for round_ in range(4):
        process = context.Process(target=_ask_and_tell_for_ever, args=(str(tmp_path),))
        process.start()
        process.join(2.0 + 0.37 * round_)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        study = opened(tmp_path)
        for number in study.running():
            study.sweep(number)
        assert not study.running()
        run(study, study.waiting() + 1)


def test_tpe_proposes_what_optunas_own_does_while_it_is_shown_every_trial(tmp_path: Path) -> None:
    ours = run(opened(tmp_path), 30)
    study = optuna.create_study(directions=["maximize", "minimize"])
    space = distributions(SPACE)
    theirs = []
    for finished in range(30):
        seed = int(np.random.SeedSequence([7, finished]).generate_state(1)[0])
        study.sampler = TPESampler(seed=seed, multivariate=True)
        trial = study.ask(fixed_distributions=space)
        told = objectives(trial.params)
        trial.set_constraint("accuracy", told.violation)
        study.tell(trial, [told.speedup, told.drop])
        theirs.append(trial.params)
    assert ours == theirs


def test_what_waits_is_proposed_first_also_after_proposals_for_which_nothing_waited(
    tmp_path: Path,
) -> None:
    study = opened(tmp_path)
    run(study, 3)
    assert study._storage.get_all_trials(0, states=(TrialState.WAITING,)) == []
    for name in ("one", "other"):
        study.enqueue(ANCHOR, name)
    assert [study.ask(LEASE).anchor for _ in range(3)] == ["one", "other", None]
    study.enqueue(ANCHOR, "late")
    study = opened(tmp_path)
    assert study.ask(LEASE).anchor == "late"


def test_old_trials_keep_their_parameters_only_for_samplers_that_look_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amp_tuner.search.history.NEWEST", 20)
    for sampler, kept in (("tpe", 20 + 3), ("nsga2", 30)):
        (tmp_path / sampler).mkdir()
        study = opened(tmp_path / sampler, sampler)
        run(study, 30)
        stored = study._study.get_trials(deepcopy=False)
        assert len(stored) == 30
        # TPE is shown the newest, and three older ones that are on a front of their own.
        assert sum(bool(one.params) for one in stored) == kept


def test_gp_without_pytorch_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"sampler gp needs PyTorch.*amp-tuner\[gp\]"):
        check_sampler("gp")
    check_sampler("tpe")


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_settings_that_are_asked_for_at_once_keep_apart(sampler: str, tmp_path: Path) -> None:
    study = opened(tmp_path, sampler)
    run(study, 12)
    asked = [tuple(study.ask(LEASE).parameters.items()) for _ in range(8)]
    assert len(set(asked)) > 4


def test_what_is_asked_for_next_knows_what_is_under_way_after_a_resume(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, parts = opened(tmp_path / "whole"), opened(tmp_path / "parts")
    for study in (whole, parts):
        run(study, 12)
    asked = [dict(whole.ask(LEASE).parameters) for _ in range(6)]
    found = [dict(parts.ask(LEASE).parameters) for _ in range(3)]
    parts.keep()
    parts.close()
    resumed = opened(tmp_path / "parts")
    assert [left.proposal.parameters for left in resumed.running().values()] == found
    assert found + [dict(resumed.ask(LEASE).parameters) for _ in range(3)] == asked


def amp_study(folder: Path, painted: PaintedSpace) -> TuningStudy:
    path = folder / "study.journal"
    return TuningStudy(
        OneWriterStorage(path), "study", painted.space, "amp", seed=7, viewer=painted.viewer
    )


def test_sampler_amp_proposes_after_a_resume_what_it_would_have_proposed(tmp_path: Path) -> None:
    painted = PaintedSpace()
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = run(amp_study(tmp_path / "whole", painted), 12)
    before = run(amp_study(tmp_path / "killed", painted), 9)
    study = amp_study(tmp_path / "killed", PaintedSpace())
    lost = study.ask(LEASE)
    study.keep()
    resumed = amp_study(tmp_path / "killed", PaintedSpace())
    resumed.sweep(lost.number)
    assert before + run(resumed, 3) == whole


def test_a_proposal_of_sampler_amp_says_what_is_expected(tmp_path: Path) -> None:
    painted = PaintedSpace()
    study = amp_study(tmp_path, painted)
    run(study, 4)
    predicted = study.ask(LEASE).predicted
    assert predicted is not None
    assert predicted.log_time_deviation > 0
    assert not predicted.explores


def test_what_is_left_is_proposed_where_the_sampler_is_stuck(tmp_path: Path) -> None:
    study = opened(tmp_path)
    left = {**ANCHOR, "data_type": "bfloat16"}
    assert study.ask(LEASE, stuck=True, left=[left]).parameters == left


def test_importances_of_few_trials_are_none(tmp_path: Path) -> None:
    study = opened(tmp_path, "random")
    run(study, 5)
    assert study.importances() == {}
    run(study, 15)
    assert study.importances().keys() == SPACE.choices().keys()
