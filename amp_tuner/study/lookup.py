"""What becomes of a proposal as far as it is known without running it, and what must be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from amp_tuner.errors import RewriteError
from amp_tuner.records import FLOAT32, QUARANTINED, REFUSED, Measurement, Setting, Trial
from amp_tuner.search.anchors import Anchor
from amp_tuner.search.proposal import Proposal
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.planning import Plan
from amp_tuner.study.quarantine import Key, Quarantine
from amp_tuner.study.session import Session


class Lookup:
    """Looks proposals up among what is known.

    Args:
        session: paints settings.
        ended: the trials that ended.
        quarantine: settings that are never run again.
        anchors: the named settings.

    Attributes:
        float32: FP32's measurements, by the state of the switch.
    """

    def __init__(
        self,
        session: Session,
        ended: EndedTrials,
        quarantine: Quarantine,
        anchors: Mapping[str, Anchor],
    ) -> None:
        self._session = session
        self._ended = ended
        self._quarantine = quarantine
        self._anchors = anchors
        self.float32: Mapping[bool, Measurement] = {}

    def end_of(self, proposal: Proposal, started: str) -> tuple[Trial, Plan | None]:
        """A proposal's end, or so much of it as is known, and what must be run for the rest.

        Args:
            proposal: what is tried.
            started: when, ISO 8601 with offset. Durations are filled in by the caller.
        """
        anchor = None if proposal.anchor is None else self._anchors.get(proposal.anchor)
        setting = self._setting(proposal, anchor)
        trial = Trial(
            number=proposal.number,
            state="FAIL",
            setting=setting,
            anchor=proposal.anchor,
            effective=None,
            measurement=None,
            cached_from=None,
            cause=None,
            started=started,
            seconds=0.0,
            overhead_s=0.0,
            predicted=proposal.expected(),
            search=self._session.search,
        )
        if proposal.anchor is not None and anchor is None:
            return replace(trial, cause=f"{REFUSED}: this target has no {proposal.anchor}"), None
        known = self.float32.get(bool(self._session.switch.of(setting)))
        if setting.data_type == FLOAT32 and anchor is not None and known is not None:
            told = replace(trial, state="COMPLETE", effective=known.effective, measurement=known)
            return told, None
        try:
            plan = self._session.planner.plan(setting)
        except RewriteError as error:
            return replace(trial, cause=f"{REFUSED}: {error}"), None
        return self._if_known(replace(trial, setting=plan.setting, effective=plan.effective), plan)

    def known(self, plan: Plan) -> Trial | None:
        """The trial that has run the same effective graph under the same switches."""
        return self._ended.of_graph(Key.of(plan.effective, plan.setting))

    def _if_known(self, trial: Trial, plan: Plan) -> tuple[Trial, Plan | None]:
        quarantined = self._quarantine.verdict(Key.of(plan.effective, plan.setting))
        if quarantined is not None:
            return replace(trial, cause=f"{QUARANTINED}: {quarantined}"), None
        known = self.known(plan)
        return (trial, plan) if known is None else (told_by(trial, known), None)

    def _setting(self, proposal: Proposal, anchor: Anchor | None) -> Setting:
        if anchor is not None and self._session.switch.of(anchor.setting) is not None:
            return anchor.setting
        drawn = self._session.space.setting(proposal.parameters)
        if proposal.moves is not None:
            drawn = replace(drawn, moves=proposal.moves)
        return self._session.switched(drawn if anchor is None else anchor.setting)


def told_by(trial: Trial, known: Trial) -> Trial:
    """A trial that ends as the one that had its graph did."""
    return replace(
        trial,
        state=known.state,
        cached_from=known.number,
        measurement=known.measurement,
        cause=known.cause,
    )
