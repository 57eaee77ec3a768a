"""Samplers compared on cached problems: how much of the reference each reaches, and how soon.

    .venv/bin/python experiments/search/graphs.py        once: the models' graphs
    .venv/bin/python experiments/search/run.py [--seeds 0 1 2 3 4] [--references 0 …]
                                               [--methods M …] [--problems P …]

Each run is a unit: the same command goes on where it was interrupted, and reports what is there.
Runs that are kept beside the code (``seen.py``) are not made again.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import seen
import stopping
from common import RESULTS, Journal
from measuring import Run
from methods import ANCHORED, IN_FLIGHT, METHODS, WORKERS, run_method
from reference import reference
from synthetic import PROBLEMS, synthetic

AT = (10, 20, 40, 80)
GOALS = (0.95, 0.99)
_RESAMPLES = 4000


def key_of(unit: dict[str, Any]) -> tuple[str, str, int]:
    """What a unit is of: problem, method, seed."""
    return unit["problem"], unit["method"], unit["seed"]


def a_run(problem: str, method: str, seed: int, budget: int) -> dict[str, Any]:
    """One run: the true hypervolume after each measurement."""
    run = Run(synthetic(problem), seed, budget, knows_graphs=METHODS[method][1])
    run_method(method, run, seed)
    return {
        "problem": problem,
        "method": method,
        "seed": seed,
        "budget": budget,
        "volumes": run.volumes(),
        "hopes": run.hopes,
    }


def a_unit(problem: str, method: str, seed: int, budget: int) -> dict[str, Any]:
    """One run, or one search for the reference."""
    began_s = time.process_time()
    if method == "reference":
        unit = reference(problem, seed)
    else:
        unit = a_run(problem, method, seed, budget)
    return {**unit, "cpu_s": time.process_time() - began_s}


def finished(
    keys: Sequence[tuple[str, str, int]], budget: int, processes: int, ends_s: float
) -> Iterator[dict[str, Any]]:
    """Units as they end, in so many processes; none begins after ``ends_s``.

    Whoever is interrupted waits for the units that run, and forgets them.
    """
    pool = ProcessPoolExecutor(processes)
    try:
        units = [pool.submit(a_unit, *key, budget) for key in keys]
        for unit in as_completed(units):
            if unit.cancelled():
                continue
            yield unit.result()
            if time.monotonic() > ends_s:
                for other in units:
                    other.cancel()
    finally:
        pool.shutdown(cancel_futures=True)


def relative(
    units: Sequence[dict[str, Any]], seeds: Sequence[int]
) -> dict[tuple[str, str, int], list[float]]:
    """The seeds' curves over the reference: the largest volume that anybody has ever found."""
    best: dict[str, float] = {}
    for unit in units:
        found = max(unit["volumes"], default=0.0)
        best[unit["problem"]] = max(best.get(unit["problem"], 0.0), found)
    curves = {}
    for unit in units:
        if unit["method"] == "reference" or unit["seed"] not in seeds:
            continue
        volumes = unit["volumes"] or [0.0]
        # A method that ended by itself stays where it was.
        whole = volumes + [volumes[-1]] * (unit["budget"] - len(volumes))
        curves[key_of(unit)] = [volume / max(best[unit["problem"]], 1e-12) for volume in whole]
    return curves


def report(
    units: Sequence[dict[str, Any]],
    seeds: Sequence[int],
    methods: Sequence[str],
    problems: Sequence[str],
) -> None:
    """The tables of some runs, as far as they are there."""
    curves = {
        key: curve
        for key, curve in relative(units, seeds).items()
        if key[0] in problems and key[1] in methods
    }
    if not curves:
        print("none of these runs is there")
        return
    methods = [name for name in METHODS if any(key[1] == name for key in curves)]
    problems = sorted({key[0] for key in curves})
    runs = {name: sum(key[1] == name for key in curves) for name in methods}
    shortest = min(map(len, curves.values()))
    counts = [count for count in AT if count <= shortest]
    print(f"\n{len(problems)} problems; relative hypervolume, mean over problems [95 %]")
    print("| method | runs | " + " | ".join(f"{count}" for count in counts) + " |")
    print("|---|---|" + "---|" * len(counts))
    for name in methods:
        cells = [_mean(_by_problem(curves, name, problems, count)) for count in counts]
        print(f"| {name} | {runs[name]} | " + " | ".join(cells) + " |")
    print("\nmeasurements until a share of the reference is reached; median of runs [quartiles]")
    print("| method | " + " | ".join(f"{100 * goal:.0f} %" for goal in GOALS) + " |")
    print("|---|" + "---|" * len(GOALS))
    for name in methods:
        print(f"| {name} | " + " | ".join(_until(curves, name, goal) for goal in GOALS) + " |")
    _compare(curves, methods)
    if "amp" in methods:
        _each(curves, problems, counts)
    _lead(curves, methods, problems, counts)
    _delayed(curves, methods, problems, counts)
    stopping.report([one for one in units if one["method"] == "amp" and key_of(one) in curves])
    if importlib.util.find_spec("torch") is None:
        print("\ngp was not compared: PyTorch is not installed")


def _by_problem(
    curves: dict[tuple[str, str, int], list[float]],
    method: str,
    problems: Sequence[str],
    count: int,
) -> list[float]:
    means = []
    for problem in problems:
        found = [v[count - 1] for key, v in curves.items() if key[:2] == (problem, method)]
        if found:
            means.append(float(np.mean(found)))
    return means


def _mean(values: Sequence[float]) -> str:
    random = np.random.default_rng(0)
    array = np.asarray(values)
    rows = random.integers(len(array), size=(_RESAMPLES, len(array)))
    low, high = np.quantile(array[rows].mean(axis=1), (0.025, 0.975))
    return f"{array.mean():.3f} [{low:.3f}, {high:.3f}]"


def reached(curve: Sequence[float], goal: float) -> float:
    """Measurements until the goal is reached; infinite where it is not."""
    return next((count for count, value in enumerate(curve, 1) if value >= goal), math.inf)


def _until(curves: dict[tuple[str, str, int], list[float]], method: str, goal: float) -> str:
    counts = [reached(curve, goal) for key, curve in curves.items() if key[1] == method]
    ordered = sorted(counts)
    low, middle, high = (ordered[len(ordered) * quarter // 4] for quarter in (1, 2, 3))
    return f"{_count(middle)} [{_count(low)}, {_count(high)}]"


def _count(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


def _each(
    curves: dict[tuple[str, str, int], list[float]],
    problems: Sequence[str],
    counts: Sequence[int],
) -> None:
    """Ours, problem by problem: the mean over seeds."""
    print("\namp, by problem")
    print("| problem | " + " | ".join(f"{count}" for count in counts) + " |")
    print("|---|" + "---|" * len(counts))
    for problem in problems:
        means = [_by_problem(curves, "amp", [problem], count) for count in counts]
        cells = [f"{mean[0]:.3f}" if mean else "not run" for mean in means]
        print(f"| {problem} | " + " | ".join(cells) + " |")


def _compare(curves: dict[tuple[str, str, int], list[float]], methods: Sequence[str]) -> None:
    """Ours against the best competitor that has our anchors and dedupe."""
    rivals = [name for name in methods if name.endswith(ANCHORED)]
    if "amp" not in methods or not rivals:
        return
    medians, best_quarters = {}, {}
    for name in ("amp", *rivals):
        counts = sorted(reached(curve, 0.99) for key, curve in curves.items() if key[1] == name)
        medians[name], best_quarters[name] = counts[len(counts) // 2], counts[len(counts) // 4]
    best = min(rivals, key=lambda name: (medians[name], best_quarters[name]))
    theirs = f"the best with anchors and dedupe ({best}) {_count(medians[best])}"
    if math.isinf(medians[best]):
        theirs = "nobody else with anchors and dedupe"
    print(f"\n99 %: amp {_count(medians['amp'])}, {theirs}; measurements of the median run")


def _lead(
    curves: dict[tuple[str, str, int], list[float]],
    methods: Sequence[str],
    problems: Sequence[str],
    counts: Sequence[int],
) -> None:
    """How far ours is ahead, by problem: of itself with many workers, and of each competitor.

    Competitors are those that have our anchors and dedupe.
    """
    rivals = [name for name in methods if name.endswith((ANCHORED, IN_FLIGHT))]
    for name in rivals if "amp" in methods else ():
        cells = []
        for count in counts:
            pairs = zip(
                _by_problem(curves, "amp", problems, count),
                _by_problem(curves, name, problems, count),
                strict=False,
            )
            cells.append(f"at {count} {_mean([ours - theirs for ours, theirs in pairs])}")
        print(f"amp is ahead of {name}: {'; '.join(cells)}")


def _delayed(
    curves: dict[tuple[str, str, int], list[float]],
    methods: Sequence[str],
    problems: Sequence[str],
    counts: Sequence[int],
) -> None:
    """Ours with one worker, before the measurements that many workers have in flight."""
    if not {"amp", f"amp{IN_FLIGHT}"}.issubset(methods):
        return
    unknown = WORKERS - 1
    cells = [
        f"at {count} {_mean(_by_problem(curves, 'amp', problems, count - unknown))}"
        for count in counts
    ]
    print(f"amp {unknown} measurements earlier: {'; '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument(
        "--references",
        type=int,
        nargs="*",
        help="seeds of the long searches; default: those of --seeds",
    )
    parser.add_argument("--measurements", type=int, default=80, help="of each run")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--processes", type=int, default=1, help="units at a time")
    parser.add_argument(
        "--fresh", action="store_true", help="forget what was run before, and what is kept"
    )
    parser.add_argument("--keep", action="store_true", help="only keep what is there, all but amp")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    options = parser.parse_args()
    journal = Journal(RESULTS / "search" / "runs.jsonl", fresh=options.fresh)
    kept = [] if options.fresh else seen.read()
    units = {key_of(unit): unit for unit in (*kept, *journal.units)}
    if options.keep:
        print(f"{seen.keep(units.values())} units are kept in {seen.SEEN}")
        return
    ends_s = time.monotonic() + 60 * options.minutes
    # So that the other processes end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    references = options.seeds if options.references is None else options.references
    # Seeds outermost: whatever was interrupted is even over problems and methods.
    wanted = [
        (problem, method, seed)
        for seed in sorted({*options.seeds, *references})
        for method in ("reference", *options.methods)
        for problem in options.problems
        if seed in (references if method == "reference" else options.seeds)
    ]
    keys = [] if options.report else [key for key in wanted if key not in units]
    for unit in finished(keys, options.measurements, options.processes, ends_s):
        journal.add(unit)
        units[key_of(unit)] = unit
        print(f"{key_of(unit)}: {unit['volumes'][-1] if unit['volumes'] else 0:.4f}", flush=True)
    report(list(units.values()), options.seeds, options.methods, options.problems)


if __name__ == "__main__":
    main()
