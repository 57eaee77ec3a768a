"""Device time that the accuracy ladder saves, and how often it gives up a good setting.

The same settings, drawn at random with a seed, are measured twice by the tuner's own bench: with
the ladder (a certain miss is stopped early and never timed) and without it (every setting computes
all samples and is timed). Both give a front; the ladder's must be the same.

    .venv/bin/python experiments/ladder/run.py [--config F] [--settings 30] [--fresh]

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS, ROOT, Journal, exact_share, print_machine, ratio_of_sums

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.config.load import load_study
from amp_tuner.judge.dominated import SpeedToBeat
from amp_tuner.judge.front import Contender, front_of
from amp_tuner.planning import Plan
from amp_tuner.records import FLOAT32_GRAPH, Measurement, Setting
from amp_tuner.session import Session, open_session


def plans(session: Session, wanted: int, seed: int) -> Iterator[Plan]:
    """Random settings with distinct graphs, none of them FP32's."""
    random = np.random.default_rng(seed)
    seen = {FLOAT32_GRAPH.graph_id}
    for _ in range(200 * wanted):
        if len(seen) > wanted:
            return
        data_type = str(random.choice(session.space.data_types))
        moves = {op: str(random.choice(DESTINATIONS)) for op in session.space.op_types}
        plan = session.planner.plan(session.switched(Setting(data_type, moves)))
        if plan.effective.graph_id not in seen:
            seen.add(plan.effective.graph_id)
            yield plan


def measured(session: Session, plan: Plan, known: SpeedToBeat, *, ladder: bool) -> Any:
    """The measurement, and the device seconds that it took."""
    before_s = session.bench.device_s
    found = session.bench.measure(
        plan,
        "search",
        always_timed=not ladder,
        dominated_below=known.of,
    )
    return found, session.bench.device_s - before_s


def run(session: Session, wanted: int, seed: int, journal: Journal) -> None:
    known = {True: SpeedToBeat(), False: SpeedToBeat()}
    for unit in journal.units:
        for ladder, of in known.items():
            of.add(Measurement.from_json(unit[str(ladder)]["measurement"]))
    for number, plan in enumerate(plans(session, wanted, seed)):
        if number < len(journal.units):
            continue
        began = time.monotonic()
        unit: dict[str, Any] = {}
        # In turn first and second: what is measured later finds warmer caches.
        for ladder in (True, False) if number % 2 else (False, True):
            found, device_s = measured(session, plan, known[ladder], ladder=ladder)
            known[ladder].add(found)
            unit[str(ladder)] = {"measurement": found.to_json(), "device_s": device_s}
        journal.add(unit)
        left_s = (wanted - 1 - number) * (time.monotonic() - began)
        print(f"setting {number + 1}/{wanted}, about {left_s / 60:.0f} min left", flush=True)


def front(measurements: Sequence[Measurement]) -> frozenset[int]:
    """Numbers of the members that certainly or perhaps meet the goal."""
    contenders = [
        Contender(number, one.timing.speedup, one.accuracy.drop, one.accuracy.verdict)
        for number, one in enumerate(measurements)
        if one.timing is not None and one.accuracy.verdict != "misses"
    ]
    return frozenset(front_of(contenders).members()) if contenders else frozenset()


def report(units: Sequence[dict[str, Any]]) -> None:
    with_it, without = (
        [Measurement.from_json(unit[str(ladder)]["measurement"]) for unit in units]
        for ladder in (True, False)
    )
    with_s, without_s = (
        [unit[str(ladder)]["device_s"] for unit in units] for ladder in (True, False)
    )
    stopped = [full for one, full in zip(with_it, without) if one.accuracy.stopped_at is not None]
    untimed = sum(one.timing is None for one in with_it)
    false = sum(full.accuracy.verdict != "misses" for full in stopped)
    fronts = front(with_it), front(without)
    print(f"\n{len(units)} settings: {len(stopped)} stopped early, {untimed} never timed")
    print(f"device seconds, with / without: {sum(with_s):.0f} / {sum(without_s):.0f} =", end=" ")
    print(ratio_of_sums(with_s, without_s))
    if stopped:
        print(f"false stops (all samples do not say 'misses'): {exact_share(false, len(stopped))}")
    same = "the same front" if fronts[0] == fronts[1] else "not the same front"
    print(f"{same}: {sorted(fronts[0])} with, {sorted(fronts[1])} without")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "quickstart.yaml")
    parser.add_argument("--settings", type=int, default=30)
    parser.add_argument("--max-seconds", type=float, default=4.0, help="of a timing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    journal = Journal(RESULTS / f"ladder-{options.config.stem}.jsonl", fresh=options.fresh)
    print_machine()
    config = load_study(options.config, overrides={"measure.max_seconds": options.max_seconds})
    with tempfile.TemporaryDirectory() as work:
        session = open_session(config, Path(work))
        try:
            run(session, options.settings, options.seed, journal)
        finally:
            session.bench.close()
    report(journal.units)


if __name__ == "__main__":
    main()
