"""Device seconds that a rule of timing needs to see a true difference of 2 %.

The true difference is exact: the run times of the FP32 model's second copy are multiplied by 1.02
or divided by it, so the noise is the machine's own and the truth is known. A rule errs when it does
not see such a difference, sees it the wrong way round, or sees one where there is none.

* ours: paired blocks that stop when the interval is narrow enough or when the candidate is
  certainly slower; a difference is seen when the interval excludes 1.
* "10 warm-up + 20 runs, compare the means" and "one call", each applied k times to both sides and
  averaged; a difference is seen when the average is more than 1 % from 1, half of what is there.
  k is the smallest with which the rule errs no more often than ours, worked out from runs of
  consecutive applications in the same session.

    .venv/bin/python experiments/resolve/run.py [--config F] [--rounds 40] [--fresh]

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS, ROOT, Journal, Target, exact_share, print_machine, same_model_twice
from numpy.typing import NDArray

from amp_tuner.measure.timing import Side, time_pair

EFFECT = 1.02
#: Half the effect: as far from 1 as from the truth.
_THRESHOLD = math.log(EFFECT) / 2
WARM_UP, RUNS = 10, 20
#: Applications of the simple rules in a round.
MEANS, CALLS = 40, 600
#: What the tuner's own rule is told: an interval that mostly excludes 1 if the truth is 2 % away.
HALF_WIDTH = 0.0125
_RESAMPLES = 2000


def scaled(side: Side, factor: float) -> Side:
    """The same side, slower by an exactly known factor."""
    return lambda first_batch, runs: [factor * seconds for seconds in side(first_batch, runs)]


def ours(target: Target, factor: float) -> dict[str, Any]:
    """The paired rule on a candidate whose times are multiplied by ``factor``."""
    timing = time_pair(
        target.side("float32"),
        scaled(target.side("candidate"), factor),
        target.rules(ci_half_width=HALF_WIDTH, max_seconds=20.0),
        batch_size=target.batch_size,
        dominated_below=1.0,
    )
    speedup = timing.speedup
    if factor > 1:
        seen = speedup.high < 1
    elif factor < 1:
        seen = speedup.low > 1
    else:
        seen = speedup.low <= 1 <= speedup.high
    device_s = sum(sum(block.run_s) for block in timing.blocks)
    return {"right": seen, "device_s": device_s, "stop_reason": timing.stop_reason}


def simple(target: Target, times: int, runs: int, warm_up: int) -> dict[str, list[float]]:
    """Applications of a simple rule to two equal sides: log ratios of means, device seconds."""
    log_ratios, device_s = [], []
    for _ in range(times):
        means, spent = [], 0.0
        for key in ("float32", "candidate"):
            if warm_up:
                spent += sum(target.worker.block(key, 0, warm_up))
            run_s = target.worker.block(key, 0, runs)
            spent += sum(run_s)
            means.append(statistics.fmean(run_s))
        log_ratios.append(math.log(means[0] / means[1]))
        device_s.append(spent)
    return {"log_ratios": log_ratios, "device_s": device_s}


def a_round(target: Target) -> dict[str, Any]:
    began = time.monotonic()
    found: dict[str, Any] = {
        "faster": ours(target, 1 / EFFECT),
        "slower": ours(target, EFFECT),
        "equal": ours(target, 1.0),
        "mean": simple(target, MEANS, RUNS, WARM_UP),
        "one": simple(target, CALLS, 1, 0),
    }
    return {**found, "seconds": time.monotonic() - began}


def error_rate(log_ratios: NDArray[np.float64], times: int) -> float:
    """How often the average of ``times`` consecutive applications errs.

    An average of equal sides errs beyond the threshold; shifted by the effect it errs below it.
    Both kinds count alike.
    """
    count = len(log_ratios) // times
    means = log_ratios[: count * times].reshape(count, times).mean(axis=1)
    effect = math.log(EFFECT)
    false = np.mean(np.abs(means) > _THRESHOLD)
    missed = (np.mean(means + effect <= _THRESHOLD) + np.mean(means - effect >= -_THRESHOLD)) / 2
    return float((false + missed) / 2)


def needed(log_ratios: NDArray[np.float64], allowed: float) -> int | None:
    """The fewest applications with which the rule errs no more often; None if the data end."""
    for times in range(1, len(log_ratios) // 10 + 1):
        if error_rate(log_ratios, times) <= allowed:
            return times
    return None


def report(units: Sequence[dict[str, Any]]) -> None:
    cases = [unit[case] for unit in units for case in ("faster", "slower", "equal")]
    differing = [unit[case] for unit in units for case in ("faster", "slower")]
    missed = sum(not one["right"] for one in differing)
    false = sum(not unit["equal"]["right"] for unit in units)
    ours_error = (missed / len(differing) + false / len(units)) / 2
    ours_s = statistics.fmean(one["device_s"] for one in differing)
    print(f"\nours: misses {exact_share(missed, len(differing))} of true differences of 2 %,")
    print(f"sees one in {exact_share(false, len(units))} of equal sides; {len(cases)} timings")
    print(
        "\n| rule | times | errs | device seconds | as a multiple of ours |\n|---|---|---|---|---|"
    )
    print(f"| ours | 1 | {ours_error:.1%} | {ours_s:.2f} | 1 |")
    # Nothing that was seen a few dozen times can be said to err less than that.
    allowed = max(ours_error, 1 / (2 * len(units)))
    for name, words in (("mean", "10 warm-up + 20 runs, means"), ("one", "one call")):
        print(_row(name, words, units, differing, allowed))


def _row(
    name: str,
    words: str,
    units: Sequence[dict[str, Any]],
    differing: Sequence[dict[str, Any]],
    allowed: float,
) -> str:
    log_ratios = np.concatenate([unit[name]["log_ratios"] for unit in units])
    each_s = statistics.fmean(one for unit in units for one in unit[name]["device_s"])
    times = needed(log_ratios, allowed)
    if times is None:
        most = len(log_ratios) // 10
        ratio = most * each_s / statistics.fmean(one["device_s"] for one in differing)
        errs = error_rate(log_ratios, most)
        return (
            f"| {words} | over {most} | {errs:.1%} | over {most * each_s:.2f} | over {ratio:.1f} |"
        )
    low, high = _interval(name, units, times)
    ratio = times * each_s / statistics.fmean(one["device_s"] for one in differing)
    return (
        f"| {words} | {times} | {error_rate(log_ratios, times):.1%} | {times * each_s:.2f} | "
        f"{ratio:.1f} [{low:.1f}, {high:.1f}] |"
    )


def _interval(name: str, units: Sequence[dict[str, Any]], times: int) -> tuple[float, float]:
    """95 % of the ratio of device seconds, over resampled rounds."""
    random = np.random.default_rng(0)
    simple_s = np.array([statistics.fmean(unit[name]["device_s"]) for unit in units])
    ours_s = np.array(
        [(unit["faster"]["device_s"] + unit["slower"]["device_s"]) / 2 for unit in units]
    )
    rows = random.integers(len(units), size=(_RESAMPLES, len(units)))
    ratios = times * simple_s[rows].mean(axis=1) / ours_s[rows].mean(axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "fashion_cnn.yaml")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    journal = Journal(RESULTS / f"resolve-{options.config.stem}.jsonl", fresh=options.fresh)
    print_machine()
    with same_model_twice(options.config) as target:
        for number in range(len(journal.units), options.rounds):
            unit = a_round(target)
            journal.add(unit)
            left_s = (options.rounds - 1 - number) * unit["seconds"]
            print(
                f"round {number + 1}/{options.rounds}, about {left_s / 60:.0f} min left", flush=True
            )
    report(journal.units)


if __name__ == "__main__":
    main()
