"""Which settings stand on the front, by what is known of them, and which are measured again.

Figures that were measured again win over those of the search, which picked lucky ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from amp_tuner.judge import front as judge
from amp_tuner.judge.front import Contender, Front
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Measurement, Trial
from amp_tuner.search.anchors import default_anchor, float32_anchor
from amp_tuner.study.confirming import read_confirmations
from amp_tuner.study.session import Session

#: So many settings in doubt are measured again beside the front.
DOUBTFUL = 3


@dataclass(frozen=True)
class Published:
    """One trial with the figures that stand for it.

    Attributes:
        trial: as the search saw it.
        measurement: the confirmed one, or the search's where it was not measured again.
        confirmed: whether it was.
    """

    trial: Trial
    measurement: Measurement
    confirmed: bool


class Standing:
    """Where the search is, kept up trial by trial.

    Attributes:
        best: the fastest that certainly meets the goal so far; None before there is one.
        front: numbers of the front's members, the fastest first.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.best: Contender | None = None
        self.front: tuple[int, ...] = ()
        self._contenders: list[Contender] = []

    def add(self, trial: Trial) -> None:
        """Takes in a trial that ended."""
        new = _contenders(self._session, _searched(self._session, {trial.number: trial}))
        contenders = [*self._contenders, *new]
        if not new or not any(contender.speedup for contender in contenders):
            self._contenders = contenders
            return
        front = judge.front_of(contenders)
        members = front.members()
        # What another setting beats on both estimates never comes back.
        kept = {*members, *judge.left_by_a_tie(contenders), front.best}
        self._contenders = [
            one for one in contenders if one.number in kept or one.role != judge.CANDIDATE
        ]
        self.best = next((one for one in contenders if one.number == front.best), None)
        self.front = members


def to_minimise(session: Session, folder: RunFolder, trials: Mapping[int, Trial]) -> list[int]:
    """Numbers of the front's members of which moves may be dropped: the best, the knee, the rest.

    By what would be published now. FP32 and default AMP have no moves.
    """
    front = front_of(session, final(session, folder, trials))
    if front is None:
        return []
    first = (*([] if front.best is None else [front.best]), front.knee, *front.members())
    return [number for number in dict.fromkeys(first) if trials[number].setting.moves]


def to_confirm(
    session: Session, trials: Mapping[int, Trial], standing_in: Collection[int] = ()
) -> list[Trial]:
    """The trials that are measured again, the most important first.

    The front's members, the references, the best; what stands in for one of them; then up to
    DOUBTFUL others, the fastest first, that left the front by a tie: measured more precisely they
    may belong there.
    """
    listed = _listed(session, trials)
    contenders = _contenders(session, _searched(session, trials))
    left = [number for number in judge.left_by_a_tie(contenders) if number not in listed]
    chosen = dict.fromkeys((*listed, *standing_in, *left[:DOUBTFUL]))
    return [trials[number] for number in chosen]


def in_doubt(session: Session, folder: RunFolder, trials: Mapping[int, Trial]) -> list[int]:
    """Numbers of trials whose place on the front more measuring could change, after confirmation.

    First those whose place the search left in doubt and that were not measured again, then those
    that were, but ran out of time before their speed-up was known as exactly as was asked for.
    """
    searched = _searched(session, trials)
    published = final(session, folder, trials)
    again = {one.trial.number: one.measurement.timing for one in published if one.confirmed}
    failed = read_confirmations(folder).keys() - again.keys()
    left = judge.in_doubt(_contenders(session, searched))
    known = judge.in_doubt(_contenders(session, [one for one in published if one.confirmed]))
    chosen = [number for number in left if number not in again.keys() | failed]
    chosen += [n for n in known if (timing := again[n]) and timing.stop_reason == "time"]
    return [number for number in chosen if trials[number].setting.data_type != FLOAT32]


def _listed(session: Session, trials: Mapping[int, Trial]) -> list[int]:
    """Numbers of what the search's own figures would publish."""
    front = front_of(session, _searched(session, trials))
    if front is None:
        return []
    return [entry.number for entry in front.entries if trials[entry.number].is_timed]


def _searched(session: Session, trials: Mapping[int, Trial]) -> list[Published]:
    """Every setting that was measured itself, with the search's figures.

    FP32 in its other form is left out: it is not what settings are compared with, and as an equally
    accurate setting whose speed is less well known it would tie with what beats FP32.
    """
    others = {
        float32_anchor(session.switch, state).name
        for state in session.switch.states
        if state != session.bench.baseline_state
    }
    return [
        Published(trial, trial.measurement, confirmed=False)
        for trial in trials.values()
        if trial.measurement is not None
        and trial.cached_from is None
        and trial.anchor not in others
    ]


def front_of(session: Session, published: Sequence[Published]) -> Front | None:
    """The front of what is known; None before anything was timed."""
    contenders = _contenders(session, published)
    if not any(contender.speedup for contender in contenders):
        return None
    return judge.front_of(contenders)


def _contenders(session: Session, published: Sequence[Published]) -> list[Contender]:
    defaults = {default_anchor(rules.data_type).name for rules in session.rules()}
    return [_contender(one, defaults) for one in published]


def _contender(one: Published, defaults: set[str]) -> Contender:
    timing, accuracy = one.measurement.timing, one.measurement.accuracy
    role = judge.DEFAULT_AMP if one.trial.anchor in defaults else judge.CANDIDATE
    return Contender(
        number=one.trial.number,
        speedup=None if timing is None else timing.speedup,
        drop=accuracy.drop,
        verdict=accuracy.verdict,
        role=judge.FLOAT32 if one.trial.setting.data_type == FLOAT32 else role,
    )


def final(session: Session, folder: RunFolder, trials: Mapping[int, Trial]) -> list[Published]:
    """What the published front is made of.

    Where anything was confirmed: the confirmed settings, since figures of the search cannot be
    compared with fresh ones. Settings that failed when measured again are out.
    """
    again = read_confirmations(folder)
    confirmed = [
        Published(trials[number], measurement, confirmed=True)
        for number, measurement in again.items()
        if number in trials and isinstance(measurement, Measurement)
    ]
    if set(_listed(session, trials)) <= again.keys():
        return confirmed
    # The time budget ended confirmation early, or the study was interrupted before it.
    done = {one.trial.number for one in confirmed} | again.keys()
    return confirmed + [one for one in _searched(session, trials) if one.trial.number not in done]
