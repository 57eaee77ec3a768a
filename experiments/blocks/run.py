"""How long a block of timing should be: what an interval of the same width costs.

The FP32 model is timed against itself with blocks of several lengths, in turn, each for the same
time. An interval's half-width falls with the square root of the time, so (half-width)^2 x device
seconds says what a length costs; the error against the truth, which is 1, says whether the interval
can be believed.

    .venv/bin/python experiments/blocks/run.py [--config F] [--rounds 12] [--fresh]

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS, ROOT, Journal, Target, exact_share, print_machine, same_model_twice

from amp_tuner.measure.timing import time_pair

LENGTHS_MS = (5, 10, 25, 50, 100)
_NEVER_NARROW = 1e-9
_RESAMPLES = 4000


def a_round(target: Target, seconds: float) -> dict[str, Any]:
    """One measurement with each length of block."""
    found: dict[str, Any] = {}
    for length_ms in LENGTHS_MS:
        rules = target.rules(ci_half_width=_NEVER_NARROW, max_seconds=seconds)
        timing = time_pair(
            target.side("float32"),
            target.side("candidate"),
            replace(rules, min_block_ms=float(length_ms)),
            batch_size=target.batch_size,
        )
        timed = [block for block in timing.blocks if block.phase == "timed"]
        found[str(length_ms)] = {
            "speedup": [timing.speedup.value, timing.speedup.low, timing.speedup.high],
            "device_s": sum(sum(block.run_s) for block in timed),
            "runs": len(timed[0].run_s),
        }
    return found


def cost(one: dict[str, Any]) -> float:
    """(Half-width in %)^2 x device seconds."""
    _, low, high = one["speedup"]
    return float((50 * math.log(high / low)) ** 2 * one["device_s"])


def report(units: Sequence[dict[str, Any]]) -> None:
    longest = np.array([cost(unit[str(LENGTHS_MS[-1])]) for unit in units])
    rows = np.random.default_rng(0).integers(len(units), size=(_RESAMPLES, len(units)))
    print("\n| block | runs | cost, as a share of the longest's | intervals without the truth |")
    print("|---|---|---|---|")
    for length_ms in LENGTHS_MS:
        ones = [unit[str(length_ms)] for unit in units]
        costs = np.array([cost(one) for one in ones])
        shares = costs[rows].mean(axis=1) / longest[rows].mean(axis=1)
        low, high = np.quantile(shares, (0.025, 0.975))
        wrong = sum(not one["speedup"][1] <= 1 <= one["speedup"][2] for one in ones)
        share = f"{costs.mean() / longest.mean():.2f} [{low:.2f}, {high:.2f}]"
        print(f"| {length_ms} ms | {ones[0]['runs']} | {share} | {exact_share(wrong, len(ones))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "fashion_cnn.yaml")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    journal = Journal(RESULTS / f"blocks-{options.config.stem}.jsonl", fresh=options.fresh)
    print_machine()
    with same_model_twice(options.config) as target:
        for number in range(len(journal.units), options.rounds):
            journal.add(a_round(target, options.seconds))
            print(f"round {number + 1}/{options.rounds}", flush=True)
    report(journal.units)


if __name__ == "__main__":
    main()
