"""Whether a published point still holds, here: the same conversion, accuracy, speed, machine.

A point is *valid* if everything that was published is found again. It is *stale* if something that
belongs to the setting changed (model, data, lists, threads, batch size), the conversion is another
one, the accuracy goal is not certainly met any more, or it is certainly slower. If the software or
the hardware is another one, figures cannot be expected to hold: that is told as such, whatever else
was found.

A certain loss of speed is told only after as many processes as the study file says: its interval
over them and the published one do not overlap by more than a tie, and the setting itself takes
longer than it did. Where FP32 alone has become faster, the setting does all that it did; that is
told beside. How often an unchanged machine is called stale is what experiments/verify measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from amp_tuner.errors import RewriteError, WorkerFailure
from amp_tuner.judge.front import TIME_TIE
from amp_tuner.measure.blocks import BASELINE, CANDIDATE
from amp_tuner.measure.hardware import hardware_facts
from amp_tuner.measure.same_machine import compared
from amp_tuner.records import FLOAT32, Accuracy, Interval, Measurement, Point, Timing
from amp_tuner.study.confirming import patience_of
from amp_tuner.study.planning import UNPREDICTED, Plan
from amp_tuner.study.repeating import time_again
from amp_tuner.study.session import Session

VALID, STALE, ELSEWHERE = "valid", "stale", "other hardware or software"
_P50 = "p50"
#: More processes than this for each thread that may be used, and others are at work.
_BUSY = 1.5


@dataclass(frozen=True)
class Check:
    """One thing that was compared.

    Attributes:
        name: what.
        published: as the point has it.
        here: as it was found.
        answer: VALID where it is the same, STALE or ELSEWHERE where it is not.
    """

    name: str
    published: str
    here: str
    answer: str


@dataclass(frozen=True)
class Verdict:
    """Everything that was compared, in order."""

    checks: tuple[Check, ...]

    @property
    def answer(self) -> str:
        """ELSEWHERE if anything says so, else STALE if anything does, else VALID."""
        found = {check.answer for check in self.checks}
        return next((answer for answer in (ELSEWHERE, STALE) if answer in found), VALID)

    def sentence(self) -> str:
        """The answer in words; names what it rests on."""
        if self.answer == VALID:
            return "Valid: conversion, accuracy and speed are what was published."
        named = ", ".join(check.name for check in self.checks if check.answer == self.answer)
        if self.answer == STALE:
            return f"Stale: not as published any more: {named}."
        return f"Other hardware or software than the point was measured on: {named}."


def model_check(point: Point, found: str) -> Check:
    """Whether the model is the one that was measured; nothing else means anything if it is not."""
    return _same("model", point.model_digest, found)


def verify(
    session: Session,
    point: Point,
    baseline_states: Mapping[str, bool],
    phase: Callable[[str], None],
) -> Verdict:
    """Compares a point with what is found on this machine.

    Args:
        session: the study's, opened in the deployment's environment: with its runtime,
            interpreter, threads and batch size.
        point: what was published.
        baseline_states: of switches, by name, under which the study's FP32 baseline ran.
        phase: told what is being done.

    Raises:
        TargetError: the target cannot run the FP32 model.
    """
    if session.switch.field in baseline_states:
        session.bench.baseline_state = baseline_states[session.switch.field]
    checks = [model_check(point, session.model_digest), *_facts(session, point)]
    phase("painting")
    try:
        plan = session.planner.plan(point.setting)
    except RewriteError as error:
        return Verdict((*checks, Check("lists", "accepted by the pass", str(error), STALE)))
    checks += _prediction(session, point, plan)
    phase("measuring")
    try:
        checks += _measured(session, point, plan, phase)
    except WorkerFailure as failure:
        checks.append(Check("runs", "yes", f"no: {failure.cause}", STALE))
    return Verdict(tuple(checks))


def _facts(session: Session, point: Point) -> Iterator[Check]:
    config = session.config
    yield _same("data", point.data_digest, session.data.digest)
    yield _same("threads", _shown(point.threads), _shown(config.target.threads.model_dump()))
    yield _same("batch size", str(point.batch_size), str(session.data.batch_size))
    published = {"software": point.software, "hardware": point.hardware}
    here = {"software": session.software, "hardware": session.hardware_here()}
    for name, before, now in compared(published, here):
        yield _same(name, _text(before), _text(now), ELSEWHERE)


def _prediction(session: Session, point: Point, plan: Plan) -> Iterator[Check]:
    """What painting says here, against what was published; free."""
    if point.setting.data_type == FLOAT32:
        return
    painter = session.planner.painters[point.setting.data_type]
    rules = painter.rules
    if rules.identifier != point.rules:
        # Another pass than the measured one: its own lists, its own graph.
        yield Check("rules", point.rules, f"{rules.identifier}, painted again", VALID)
        return
    yield _same("lists", _text(point.lists.to_json()), _text(plan.lists.to_json()))
    variables = painter.variables(plan)
    yield _same("variables", _text(dict(point.environment)), _text(variables))
    yield _same("predicted graph", point.effective.graph_id, plan.effective.graph_id)


def _measured(
    session: Session, point: Point, plan: Plan, phase: Callable[[str], None]
) -> Iterator[Check]:
    measured = _measure(session, plan)
    told = [notice for notice in measured.notices if notice.startswith(UNPREDICTED)]
    published = f"{point.effective.nodes_16bit} nodes in 16 bits, {point.effective.casts} casts"
    if told:
        yield Check("conversion", "as predicted", told[0], STALE)
    else:
        effective = plan.effective
        here = f"{effective.nodes_16bit} nodes in 16 bits, {effective.casts} casts, as predicted"
        yield Check("conversion", published, here, VALID)
    yield _accuracy(point.accuracy, measured.accuracy)
    if point.speedup is None or measured.timing is None:
        return
    timing = _in_more_processes(session, point, plan, measured.timing, phase)
    slower = certainly_slower(point.speedup, timing.speedup)
    # FP32 that has become faster is no fault of the setting.
    answer = STALE if slower and _takes_longer(point, timing) else VALID
    here = _interval(timing.speedup)
    if slower:
        here += f", {_beside_then(point, timing)}{_busy(measured.machine)}"
    yield Check("speed-up", _interval(point.speedup), here, answer)


def _in_more_processes(
    session: Session, point: Point, plan: Plan, timing: Timing, phase: Callable[[str], None]
) -> Timing:
    """A timing that is slower than published, over as many processes as the study file says.

    All of them, once the first is certainly slower: an interval over two is so wide that hardly any
    loss would be certain.
    """
    assert point.speedup is not None
    wanted = session.config.processes
    if not certainly_slower(point.speedup, timing.speedup):
        return timing
    for number in range(2, wanted + 1):
        phase(f"slower than published: measuring in process {number} of {wanted}")
        session.bench.close()
        timing = time_again(session, plan, timing, patience_of(session.config))
    return timing


def _takes_longer(point: Point, timing: Timing) -> bool:
    """Whether the setting's own runs take longer than published, by more than a tie.

    Where the study file asks for no ``p50``, that is not known, and supposed.
    """
    before_ms, now_ms = (one.get(CANDIDATE, {}) for one in (point.latency_ms, timing.latency_ms))
    if _P50 not in before_ms.keys() & now_ms.keys():
        return True
    return now_ms[_P50] > before_ms[_P50] * (1 + TIME_TIE)


def _beside_then(point: Point, timing: Timing) -> str:
    """What a run of each side takes here, beside what it took."""
    return ", ".join(
        f"{name} {_shown_ms(timing, side)} (published {_shown_ms(point, side)})"
        for name, side in (("FP32", BASELINE), ("the setting", CANDIDATE))
    )


def _shown_ms(of: Point | Timing, side: str) -> str:
    found_ms = of.latency_ms.get(side, {}).get(_P50)
    return "unknown" if found_ms is None else f"{found_ms:.4g} ms"


def _busy(machine: Mapping[str, Any]) -> str:
    """What else may have cost the speed: other programs, which do not slow all settings alike."""
    load, threads = machine.get("load_average"), hardware_facts()["usable_threads"]
    if not isinstance(load, float) or not isinstance(threads, int) or load < _BUSY * threads:
        return ""
    return f", while other programs ran (load average {load:.1f}, {threads} threads)"


def _measure(session: Session, plan: Plan) -> Measurement:
    part = "holdout" if len(session.data.holdout) else "search"
    return session.bench.measure(
        plan, part, always_timed=True, dominated_below=None, patience=patience_of(session.config)
    )


def certainly_slower(published: Interval, here: Interval) -> bool:
    """Whether even the fast end of what was found is slower than published, by more than a tie."""
    return here.high * (1 + TIME_TIE) < published.low


def _accuracy(published: Accuracy, here: Accuracy) -> Check:
    lost = published.verdict == "meets" and here.verdict != "meets"
    worse = here.drop.low > published.drop.high
    return Check(
        published.metric,
        f"{_interval(published.score, 6)} ({published.verdict})",
        f"{_interval(here.score, 6)} ({here.verdict})",
        STALE if lost or worse else VALID,
    )


def _same(name: str, published: str, here: str, otherwise: str = STALE) -> Check:
    return Check(name, published, here, VALID if published == here else otherwise)


def _interval(found: Interval, digits: int = 3) -> str:
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _shown(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(facts.items()))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_text(value[name])}" for name in sorted(value)) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "unknown" if value is None else str(value)
