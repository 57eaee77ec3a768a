"""How often a rule of timing sees an improvement where there is none.

The FP32 model is timed against itself, as many candidates, on a quiet machine and under a load
generator. Three rules judge each candidate in turn: the tuner's own (paired blocks, the study's
own rules, through a worker), "10 warm-up runs, 20 runs, compare the means" and "one call".

    .venv/bin/python experiments/aa_timing/run.py [--config F] [--candidates 100] [--fresh]

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import RESULTS, ROOT, Journal, Target, exact_share, print_machine, same_model_twice

from amp_tuner.judge.front import TIME_TIE
from amp_tuner.measure.timing import time_pair

CONDITIONS = ("quiet", "loaded")
WARM_UP, RUNS = 10, 20
#: Bursts of work on one core, for as long as a random pause on average.
_LOAD = """
import random, time
random.seed(0)
block = bytearray(32 * 2**20)
while True:
    until = time.monotonic() + random.expovariate(1 / 0.5)
    while time.monotonic() < until:
        block[:] = bytes(len(block)); sum(range(20000))
    time.sleep(random.expovariate(1 / 0.5))
"""


@contextlib.contextmanager
def load(condition: str) -> Iterator[None]:
    """Runs the load generator beside what is in the block, if the condition says so."""
    if condition == "quiet":
        yield
        return
    generator = subprocess.Popen([sys.executable, "-c", _LOAD])
    try:
        yield
    finally:
        generator.kill()
        generator.wait()


def mean_s(target: Target, key: str) -> float:
    """Olive's rule for one side: ten warm-up runs, then the mean of twenty."""
    target.worker.block(key, 0, WARM_UP)
    return statistics.fmean(target.worker.block(key, 0, RUNS))


def one_call_s(target: Target, key: str) -> float:
    """Neural Compressor 2.x's rule for one side: the time of one call."""
    (taken_s,) = target.worker.block(key, 0, 1)
    return taken_s


def candidate(target: Target, first: dict[str, float]) -> dict[str, Any]:
    """One candidate under every rule, the rules in turn.

    Args:
        target: holds the same model twice.
        first: each simple rule's time of the baseline, measured once, as those tools do.
    """
    began = time.monotonic()
    found: dict[str, Any] = {}
    simple: dict[str, Callable[[Target, str], float]] = {"mean": mean_s, "one": one_call_s}
    for name, rule in simple.items():
        beside_s = rule(target, "float32")
        own_s = rule(target, "candidate")
        found[name] = {"beside": beside_s / own_s, "once": first[name] / own_s}
    timing = time_pair(
        target.side("float32"),
        target.side("candidate"),
        target.rules(),
        batch_size=target.batch_size,
    )
    speedup = timing.speedup
    found["paired"] = [speedup.value, speedup.low, speedup.high]
    return {**found, "stop_reason": timing.stop_reason, "seconds": time.monotonic() - began}


def run(study: Path, candidates: int, journal: Journal) -> None:
    with same_model_twice(study) as target:
        for condition in CONDITIONS:
            done = sum(unit["condition"] == condition for unit in journal.units)
            with load(condition):
                for key in ("float32", "candidate"):
                    target.worker.block(key, 0, 50)
                first = {
                    "mean": mean_s(target, "float32"),
                    "one": one_call_s(target, "float32"),
                }
                for number in range(done, candidates):
                    unit = candidate(target, first)
                    journal.add({"condition": condition, **unit})
                    left_s = (candidates - 1 - number) * unit["seconds"]
                    print(
                        f"{condition} {number + 1}/{candidates}: {unit['paired'][0]:.4f} "
                        f"[{unit['paired'][1]:.4f}, {unit['paired'][2]:.4f}], about "
                        f"{left_s / 60:.0f} min left",
                        flush=True,
                    )


def _above(name: str, baseline: str, least: float, unit: Mapping[str, Any]) -> bool:
    return bool(unit[name][baseline] > least)


def report(units: list[dict[str, Any]]) -> None:
    print("\n| rule | quiet | loaded |\n|---|---|---|")
    rules: dict[str, Callable[[dict[str, Any]], bool]] = {
        "paired, certain (low end above 1)": lambda unit: unit["paired"][1] > 1,
        "paired, certain and no tie (low end above 1.01)": lambda unit: (
            unit["paired"][1] > 1 + TIME_TIE
        ),
    }
    for name, words in (("mean", "10 warm-up + 20 runs, means"), ("one", "one call")):
        for baseline, when in (("once", "baseline once"), ("beside", "baseline each time")):
            rules[f"{words}, {when}: above 1"] = partial(_above, name, baseline, 1.0)
            rules[f"{words}, {when}: above 1.01"] = partial(_above, name, baseline, 1 + TIME_TIE)
    for words, improved in rules.items():
        cells = []
        for condition in CONDITIONS:
            of = [unit for unit in units if unit["condition"] == condition]
            cells.append(exact_share(sum(map(improved, of)), len(of)))
        print(f"| {words} | {' | '.join(cells)} |")
    for condition in CONDITIONS:
        intervals = [unit["paired"][1:] for unit in units if unit["condition"] == condition]
        half = statistics.median(math.log(high / low) / 2 for low, high in intervals)
        covered = sum(low <= 1 <= high for low, high in intervals)
        print(
            f"{condition}: half an interval {half:.2%} (median); {covered}/{len(intervals)} hold 1"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "fashion_cnn.yaml")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    path = RESULTS / f"aa_timing-{options.config.stem}.jsonl"
    journal = Journal(path, fresh=options.fresh)
    print_machine()
    run(options.config, options.candidates, journal)
    report(journal.units)


if __name__ == "__main__":
    main()
