"""Whether two pinned workers of one machine disturb each other's timing.

The FP32 model is timed against itself by the study's own rules, as many candidates: by one worker
alone, by two side by side that are pinned to cores of their own, and by two that are not pinned.
Before each candidate a worker does what a trial does: it builds the session and runs the samples.

    .venv/bin/python experiments/cores/run.py [--config F] [--cores SET SET] [--candidates 100]
                                              [--conditions C …] [--fresh]

Conditions take turns, so that a machine that changes meets all of them. The same command goes on
where it was interrupted. The last line says whether two workers may run side by side on such cores.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS, ROOT, Journal, Target, exact_share, print_machine, same_model_twice
from scipy.stats import binomtest

from amp_tuner.judge.front import TIME_TIE
from amp_tuner.measure.cores import cores_text, disturbance, parse_cores, pinned, usable_cores
from amp_tuner.measure.noise import half_width
from amp_tuner.measure.timing import time_pair
from amp_tuner.records import FLOAT32
from amp_tuner.worker.protocol import Candidate

ALONE, BESIDE, UNPINNED = "alone", "side by side", "side by side, not pinned"
CONDITIONS = (ALONE, BESIDE, UNPINNED)
#: Candidates of each worker until the next condition has its turn.
TURN = 10
#: Two workers may run side by side if they certainly err in at most so many more of all cases.
MARGIN = 0.05
_RESAMPLES = 4000


def a_trial(target: Target, scratch: Path) -> dict[str, Any]:
    """One candidate: what a trial does before its timing, and the timing."""
    began_s = time.monotonic()
    target.worker.drop("candidate")
    target.worker.build("candidate", Candidate(FLOAT32))
    samples, path = len(target.data.search), scratch / "outputs.npz"
    target.worker.outputs("candidate", 0, samples, path, [target.output])
    timing = time_pair(
        target.side(FLOAT32),
        target.side("candidate"),
        target.rules(),
        batch_size=target.batch_size,
    )
    speedup = timing.speedup
    return {
        "speedup": [speedup.value, speedup.low, speedup.high],
        "half_width": half_width(timing),
        "p50_ms": timing.latency_ms["baseline"]["p50"],
        "seconds": time.monotonic() - began_s,
    }


def be_a_worker(study: Path, cores: str, *, pins: bool, until: Path) -> None:
    """Prints a line for each candidate until a file appears."""
    own = parse_cores(cores)
    overrides = {
        "target.cores": cores if pins else None,
        "target.threads": {"intra_op": len(own), "inter_op": 1},
    }
    with (
        tempfile.TemporaryDirectory() as scratch,
        pinned(own if pins else None),
        same_model_twice(study, overrides) as target,
    ):
        while not until.exists():
            print(json.dumps(a_trial(target, Path(scratch))), flush=True)


def a_turn(study: Path, condition: str, sets: Sequence[str]) -> list[dict[str, Any]]:
    """TURN candidates of each worker; every worker goes on until the last one has them."""
    pins = [] if condition == UNPINNED else ["--pins"]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        until = Path(folder, "enough")
        command = [sys.executable, __file__, "--config", study, "--until", until, *pins]
        workers = [
            subprocess.Popen([*map(str, command), "--worker", cores], stdout=subprocess.PIPE)
            for cores in (sets[:1] if condition == ALONE else sets)
        ]
        lines = list(pool.map(lambda one: list(islice(one.stdout or (), TURN)), workers))
        until.touch()
        for worker, own in zip(workers, lines, strict=True):
            worker.communicate()
            if worker.returncode or len(own) < TURN:
                sys.exit(f"a worker ended with exit status {worker.returncode}")
    return [
        {"condition": condition, "cores": cores, **json.loads(line)}
        for cores, own in zip(sets, lines, strict=False)
        for line in own
    ]


def run(options: argparse.Namespace, sets: Sequence[str], journal: Journal) -> None:
    for turn in range(math.ceil(options.candidates / TURN)):
        for condition in options.conditions:
            first = [unit for unit in journal.units if unit["condition"] == condition]
            if sum(unit["cores"] == sets[0] for unit in first) > turn * TURN:
                continue
            began_s = time.monotonic()
            for unit in a_turn(options.config, condition, sets):
                journal.add(unit)
            taken_s = time.monotonic() - began_s
            print(f"turn {turn + 1}, {condition}: {taken_s:.0f} s", flush=True)


def is_wrong(unit: dict[str, Any]) -> bool:
    """Whether a difference is seen where there is none: certainly, and by more than a tie."""
    _, low, high = unit["speedup"]
    return bool(low > 1 + TIME_TIE or high < 1 / (1 + TIME_TIE))


def scatter(units: Sequence[dict[str, Any]]) -> float:
    """Standard deviation of the log speed-ups, from their median deviation."""
    logs = np.log([unit["speedup"][0] for unit in units])
    return float(1.4826 * np.median(np.abs(logs)))


def scatter_text(units: Sequence[dict[str, Any]]) -> str:
    """The scatter with a bootstrap interval of 95 %."""
    random = np.random.default_rng(0)
    draws = [
        scatter([units[row] for row in random.integers(len(units), size=len(units))])
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{scatter(units):.2%} [{low:.2%}, {high:.2%}]"


def more_errors(units: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[float]:
    """How much larger the first share of errors is, and its 95 % interval.

    Newcombe's hybrid score interval (1998, Statistics in Medicine 17, 873-890, method 10).
    """
    shares = []
    for group in (units, others):
        found = binomtest(sum(map(is_wrong, group)), len(group))
        wilson = found.proportion_ci(method="wilson")
        shares.append((found.statistic, wilson.low, wilson.high))
    (one, one_low, one_high), (other, other_low, other_high) = shares
    difference = one - other
    return [
        difference,
        difference - math.hypot(one - one_low, other_high - other),
        difference + math.hypot(one_high - one, other - other_low),
    ]


def report(units: Sequence[dict[str, Any]]) -> None:
    by_condition = {
        name: [unit for unit in units if unit["condition"] == name] for name in CONDITIONS
    }
    by_condition = {name: own for name, own in by_condition.items() if own}
    print("\n| | candidates | differences seen | scatter | half an interval | a run | a trial |")
    print("|---|---|---|---|---|---|---|")
    for name, own in by_condition.items():
        cells = [
            str(len(own)),
            exact_share(sum(map(is_wrong, own)), len(own)),
            scatter_text(own),
            f"{statistics.median(unit['half_width'] for unit in own):.2%}",
            f"{statistics.median(unit['p50_ms'] for unit in own):.3f} ms",
            f"{statistics.median(unit['seconds'] for unit in own):.1f} s",
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    for name, own in by_condition.items():
        if name != ALONE and ALONE in by_condition:
            _judge(name, more_errors(own, by_condition[ALONE]))


def _judge(name: str, more: Sequence[float]) -> None:
    value, low, high = more
    if high <= MARGIN:
        verdict = "two workers may run so"
    elif low > 0:
        verdict = "two workers must not run so"
    else:
        verdict = "undecided, more candidates are needed"
    print(
        f"{name}: {100 * value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}] more differences "
        f"seen than alone: {verdict}"
    )


def halves() -> list[str]:
    """The cores that there are, in two halves."""
    cores = sorted(usable_cores())
    middle = len(cores) // 2
    return [cores_text(half) for half in (cores[:middle], cores[middle : 2 * middle]) if half]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "fashion_cnn.yaml")
    parser.add_argument("--cores", nargs=2, default=halves(), help="default: two halves of all")
    parser.add_argument("--candidates", type=int, default=100, help="of each worker")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--pins", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        be_a_worker(options.config, options.worker, pins=options.pins, until=options.until)
        return
    if len(options.cores) < 2:
        sys.exit("two workers need two cores")
    one, other = map(parse_cores, options.cores)
    why = disturbance(one, other)
    if why is not None:
        sys.exit(f"{why}: nothing to be measured")
    name = f"cores-{options.config.stem}-{'-'.join(options.cores)}.jsonl"
    journal = Journal(RESULTS / name, fresh=options.fresh)
    print_machine()
    run(options, options.cores, journal)
    report(journal.units)


if __name__ == "__main__":
    main()
