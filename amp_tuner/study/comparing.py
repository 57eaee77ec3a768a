"""FP32, default AMP and given settings, head to head, outside any study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from amp_tuner.errors import RewriteError, WorkerFailure
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH, Measurement, Setting
from amp_tuner.search.anchors import default_anchor, float32_anchor
from amp_tuner.study.confirming import patience_of
from amp_tuner.study.repeating import time_again
from amp_tuner.study.session import Session


@dataclass(frozen=True)
class Compared:
    """One setting's outcome.

    Attributes:
        name: as tables show it.
        setting: what ran, its moves made legal.
        measurement: None where it failed.
        same_as: the earlier entry whose effective graph this one shares; it was not run again.
        cause: why it failed.
        last_words: the end of what the worker printed, where it failed.
    """

    name: str
    setting: Setting
    measurement: Measurement | None
    same_as: str | None = None
    cause: str | None = None
    last_words: str = ""


def compare(session: Session, settings: dict[str, Setting]) -> Iterator[Compared]:
    """Measures FP32 in each of its forms, default AMP, then ``settings``, each once.

    Yields each outcome as it is known. Settings with the same effective graph are run once.
    """
    measured = session.bench.float32()
    switch, baseline = session.switch, session.bench.baseline_state
    seen: dict[tuple[str, bool | None], str] = {
        (FLOAT32_GRAPH.graph_id, baseline): float32_anchor(switch, baseline).name
    }
    for state in sorted(measured, key=lambda state: state != baseline):
        anchor = float32_anchor(switch, state)
        yield Compared(anchor.name, anchor.setting, measured[state])
    defaults = (default_anchor(rules.data_type) for rules in session.rules())
    named = {**{anchor.name: anchor.setting for anchor in defaults}, **settings}
    for name, setting in named.items():
        yield _compared(session, name, setting, seen)


def in_further_processes(session: Session, compared: Iterable[Compared]) -> list[Compared]:
    """The same outcomes, their speed-ups over several processes: what a new one may expect.

    Args:
        session: its bench measured ``compared``.
        compared: outcomes of the first of them.
    """
    outcomes = list(compared)
    for _ in range(1, session.config.processes):
        session.bench.close()
        outcomes = [_once_more(session, one) for one in outcomes]
    return outcomes


def _once_more(session: Session, one: Compared) -> Compared:
    known = one.measurement
    if session.is_baseline(one.setting) or known is None or known.timing is None:
        return one
    plan, patience = session.planner.plan(one.setting), patience_of(session.config)
    try:
        timing = time_again(session, plan, known.timing, patience)
    except WorkerFailure as failure:
        cause = f"in a further process: {failure.cause}"
        return replace(one, measurement=None, cause=cause, last_words=failure.last_words)
    return replace(one, measurement=replace(known, timing=timing))


def _compared(
    session: Session, name: str, setting: Setting, seen: dict[tuple[str, bool | None], str]
) -> Compared:
    wanted = session.switched(setting)
    state = session.switch.of(wanted)
    try:
        plan = session.planner.plan(wanted)
    except RewriteError as error:
        return Compared(name, wanted, None, cause=f"refused: {error}")
    twin = seen.get((plan.effective.graph_id, state))
    if twin is not None:
        return Compared(name, plan.setting, None, same_as=twin)
    seen[plan.effective.graph_id, state] = name
    try:
        measurement = session.bench.measure(plan, "search", always_timed=True, dominated_below=None)
    except WorkerFailure as failure:
        return Compared(
            name, plan.setting, None, cause=failure.cause, last_words=failure.last_words
        )
    return Compared(name, plan.setting, measurement)


def is_float32(compared: Compared) -> bool:
    """Whether an outcome is one of FP32's."""
    return compared.setting.data_type == FLOAT32
