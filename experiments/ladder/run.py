"""Device time that the accuracy ladder saves, and how often it gives up a good setting.

The same settings, drawn at random with a seed, are measured twice by the tuner's own bench: with
the ladder (a certain miss is stopped early and never timed) and without it (every setting computes
all samples and is timed). The front of all settings is held against the front of those that the
ladder lets through, both on the figures that were measured without it: what differs is then the
ladder's doing and not the clock's.

    .venv/bin/python experiments/ladder/run.py [--config F] [--goal G] [--settings 30] [--fresh]

What is saved depends on how many settings miss the goal: ``--goal`` asks for another one.

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS, ROOT, Journal, exact_share, print_machine, ratio_of_sums

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.config.load import load_study
from amp_tuner.judge.dominated import SpeedToBeat
from amp_tuner.judge.front import Contender, front_of
from amp_tuner.records import FLOAT32_GRAPH, Measurement, Setting
from amp_tuner.study.planning import Plan
from amp_tuner.study.session import Session, open_session


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
        both: dict[str, Any] = {}
        # In turn first and second: what is measured later finds warmer caches.
        for ladder in (True, False) if number % 2 else (False, True):
            found, device_s = measured(session, plan, known[ladder], ladder=ladder)
            known[ladder].add(found)
            both[str(ladder)] = {"measurement": found.to_json(), "device_s": device_s}
        journal.add(both)
        left_s = (wanted - 1 - number) * (time.monotonic() - began)
        print(f"setting {number + 1}/{wanted}, about {left_s / 60:.0f} min left", flush=True)


def front(numbered: Iterable[tuple[int, Measurement]]) -> list[int]:
    """Numbers of the members that certainly or perhaps meet the goal, sorted."""
    contenders = [
        Contender(number, one.timing.speedup, one.accuracy.drop, one.accuracy.verdict)
        for number, one in numbered
        if one.timing is not None and one.accuracy.verdict != "misses"
    ]
    return sorted(front_of(contenders).members()) if contenders else []


def report(units: Sequence[dict[str, Any]]) -> None:
    with_it, without = (
        [Measurement.from_json(unit[str(ladder)]["measurement"]) for unit in units]
        for ladder in (True, False)
    )
    with_s, without_s = (
        [unit[str(ladder)]["device_s"] for unit in units] for ladder in (True, False)
    )
    stopped = [number for number, one in enumerate(with_it) if one.accuracy.stopped_at is not None]
    untimed = sum(one.timing is None for one in with_it)
    false = sum(without[number].accuracy.verdict != "misses" for number in stopped)
    print(f"\n{len(units)} settings: {len(stopped)} stopped early, {untimed} never timed")
    print(f"device seconds, with / without: {sum(with_s):.0f} / {sum(without_s):.0f} =", end=" ")
    print(ratio_of_sums(with_s, without_s))
    if stopped:
        of_stopped = [[seconds[number] for number in stopped] for seconds in (with_s, without_s)]
        print(f"the same for the stopped alone: {ratio_of_sums(*of_stopped)}")
        print(f"false stops (all samples do not say 'misses'): {exact_share(false, len(stopped))}")
    everything = front(enumerate(without))
    let_through = front(
        (number, without[number]) for number, one in enumerate(with_it) if one.timing is not None
    )
    same = "the same front" if everything == let_through else "not the same front"
    print(f"{same}: {everything} of all settings, {let_through} of those that the ladder times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "quickstart.yaml")
    parser.add_argument("--goal", help="instead of the study's own")
    parser.add_argument("--settings", type=int, default=30)
    parser.add_argument("--max-seconds", type=float, default=4.0, help="of a timing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    name = f"ladder-{options.config.stem}{'' if options.goal is None else f'-{options.goal}'}"
    journal = Journal(RESULTS / f"{name}.jsonl", fresh=options.fresh)
    print_machine()
    overrides: dict[str, Any] = {"measure.max_seconds": options.max_seconds}
    if options.goal is not None:
        overrides["accuracy.goal"] = options.goal
    config = load_study(options.config, overrides=overrides)
    with tempfile.TemporaryDirectory() as work:
        session = open_session(config, Path(work))
        try:
            run(session, options.settings, options.seed, journal)
        finally:
            session.bench.close()
    report(journal.units)


if __name__ == "__main__":
    main()
