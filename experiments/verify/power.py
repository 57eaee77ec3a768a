"""How often `amp-tune verify` calls a setting stale, by how much it has lost; nothing is timed.

    .venv/bin/python experiments/verify/power.py [--rounds 2000] [--published 1.5]

Processes are drawn whose speed-ups differ by a standard deviation, and put through the code's own
interval over processes and its own comparison with the published one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from amp_tuner.measure.processes import over_processes
from amp_tuner.records import Interval
from amp_tuner.study.verifying import certainly_slower

PROCESSES = 5
#: Standard deviations between processes, and losses of speed.
DIFFER = (0.005, 0.01, 0.02)
LOSSES = (0.0, 0.02, 0.05, 0.1, 0.2)
#: Half-width of the interval of one process, as a share.
_OWN = 0.005


def stale(random: np.random.Generator, published: float, differ: float, loss: float) -> bool:
    """One verification of a point that was published over as many processes."""
    before = _processes(random, published, differ)
    now = _processes(random, published * (1 - loss), differ)
    found = over_processes(before)
    return certainly_slower(found, now[0]) and certainly_slower(found, over_processes(now))


def _processes(random: np.random.Generator, speedup: float, differ: float) -> Sequence[Interval]:
    values = speedup * np.exp(differ * random.standard_normal(PROCESSES))
    return [Interval(value, value * (1 - _OWN), value * (1 + _OWN)) for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--published", type=float, default=1.5)
    options = parser.parse_args()
    print("share of stale answers, by what was lost")
    print("| processes differ by | " + " | ".join(f"{loss:.0%}" for loss in LOSSES) + " |")
    print("|---|" + "---|" * len(LOSSES))
    for differ in DIFFER:
        random = np.random.default_rng(0)
        shares = [
            np.mean([stale(random, options.published, differ, loss) for _ in range(options.rounds)])
            for loss in LOSSES
        ]
        print(f"| {differ:.1%} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")


if __name__ == "__main__":
    main()
