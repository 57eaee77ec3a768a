"""Which settings a bundle holds: proposals of the study as it stands, each lowered for the device.

A proposal whose end is known is told it at once. One whose graph is under way, in this bundle or in
an earlier one that has no results yet, waits for the same results. Every other one is lowered; what
XLA cannot compile has failed here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amp_tuner.bundle.manifest import FORMS, Entry, float32_name
from amp_tuner.bundle.recorded import RecordedBench
from amp_tuner.errors import WorkerFailure
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH
from amp_tuner.search.proposal import Proposal
from amp_tuner.study.planning import Plan
from amp_tuner.study.prospects import EXHAUSTED, STUCK
from amp_tuner.study.session import Session
from amp_tuner.study.tuning import Tuning
from amp_tuner.worker.lowering_client import LoweringClient
from amp_tuner.worker.protocol import Candidate

ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class Asked:
    """What a bundle asks for.

    Attributes:
        entries: settings, each with a graph of its own.
        trials: numbers of the trials that wait for the results.
    """

    entries: tuple[Entry, ...]
    trials: tuple[int, ...]


class Proposing:
    """Asks a study for settings and lowers them.

    Args:
        session: its bench only lowers.
        tuning: the study, prepared.
        staged: where artifacts are gathered; their folder survives the worker's.
    """

    def __init__(self, session: Session, tuning: Tuning, staged: Path) -> None:
        self._session = session
        self._tuning = tuning
        self._staged = staged
        assert isinstance(session.bench, RecordedBench)
        self._bench = session.bench

    def float32(self) -> tuple[Entry, ...]:
        """FP32 in each form that the device has or may have."""
        names = {state: float32_name(tf32=state) for state in self._session.switch.states}
        return tuple(
            Entry(name, self._session.switch.names[state], True, self._lower(_FLOAT32, (state,)))
            for state, name in names.items()
        )

    def again(self, plans: Mapping[int, Plan]) -> tuple[Entry, ...]:
        """Settings whose published figures are still the search's, by trial."""
        return tuple(
            Entry(
                plan.effective.graph_id,
                f"trial {number}, {plan.setting.data_type}",
                False,
                self._lower(plan.candidate, self._states()),
                again_only=True,
            )
            for number, plan in plans.items()
        )

    def ask(self, count: int, held: Iterable[Proposal]) -> Asked:
        """Proposals until ``count`` of them have graphs of their own, beside the references.

        Fewer, where no distinct graph is left.

        Args:
            count: at least 1.
            held: proposals that wait for earlier bundles.
        """
        plans = (self._tuning.to_measure(proposal) for proposal in held)
        under_way = {plan.effective.graph_id for plan in plans if plan is not None}
        under_way.add(FLOAT32_GRAPH.graph_id)
        references = {name for name, anchor in self._tuning.anchors.items() if anchor.reference}
        references -= {proposal.anchor for proposal in self._tuning.running()}
        references -= {trial.anchor for trial in self._tuning.trials.values()}
        entries: list[Entry] = []
        trials: list[int] = []
        in_a_row = 0
        while (count > 0 or references) and in_a_row < STUCK + EXHAUSTED:
            proposal = self._tuning.ask(stuck=in_a_row >= STUCK)
            in_a_row += 1
            plan = self._tuning.to_measure(proposal)
            entry = None
            if plan is not None and plan.effective.graph_id not in under_way:
                entry = self._entry(proposal, plan, reference=proposal.anchor in references)
            if entry is not None:
                under_way.add(entry.name)
                entries.append(entry)
                in_a_row = 0
                count -= not entry.reference
            if plan is None or plan.effective.graph_id in self._bench.refused:
                self._tuning.settle(proposal)
            else:
                trials.append(proposal.number)
            references.discard(proposal.anchor or "")
        return Asked(tuple(entries), tuple(trials))

    def _entry(self, proposal: Proposal, plan: Plan, *, reference: bool) -> Entry | None:
        """The setting, lowered; None where that fails."""
        graph_id = plan.effective.graph_id
        label = f"trial {proposal.number}, {proposal.anchor or plan.setting.data_type}"
        try:
            artifacts = self._lower(plan.candidate, self._states())
        except WorkerFailure as failure:
            self._bench.refused[graph_id] = failure.cause
            return None
        return Entry(graph_id, label, reference, artifacts)

    def _states(self) -> Sequence[bool]:
        """Whether products of FP32 are those of TF32: as in the baseline, if that is settled."""
        seen = "platform" in self._session.software
        demanded = self._session.config.target.baseline is not None
        if seen or demanded:
            return (self._bench.baseline_state,)
        return self._session.switch.states

    def _lower(self, candidate: Candidate, states: Sequence[bool]) -> dict[str, str]:
        # One worker lowers all forms: the one that was started first.
        worker = self._bench.worker(self._session.switch.states[0])
        assert isinstance(worker, LoweringClient)
        return {
            FORMS[state]: self._stage(worker.artifact(candidate, tf32=state)) for state in states
        }

    def _stage(self, manifest: Path) -> str:
        """Copies an artifact beside those that are gathered; weights once."""
        described = json.loads(manifest.read_text(encoding="utf-8"))
        for file in artifact_files(manifest.name, described):
            to = self._staged / ARTIFACTS / file
            if not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(manifest.parent / file, to)
        return f"{ARTIFACTS}/{manifest.name}"


_FLOAT32 = Candidate(FLOAT32)


def artifact_files(name: str, described: Mapping[str, object]) -> list[str]:
    """The files of an artifact, relative to its folder; its own manifest is the last.

    Args:
        name: the manifest's.
        described: its content.
    """
    weights = described["weights"]
    assert isinstance(weights, list)
    read = dict.fromkeys(weight["file"] for weight in weights)
    return [*read, str(described["module"]), name]
