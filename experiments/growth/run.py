"""How a study grows with its devices, by a simulated clock and measured costs.

What a trial costs beside its own time is measured: the CPU time of a proposal here, which grows
with the trials that are known; what a trial asks of the database by ``experiments/storage``, which
prints the round trips of a measured trial and how many trials a second members come to that do
nothing else. Workers are then simulated event by event: each proposes, waits for its round trips,
has the database to itself for a while, and runs its trial.

    .venv/bin/python -m experiments.storage.run
    .venv/bin/python experiments/growth/run.py --trips N --trials-per-second R [--trials 2000]
        [--trial-seconds 30] [--devices 1 8 64 512] [--trip-ms 0.5] [--record-kib 80]
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

import numpy as np
from common import print_machine
from proposal import without_painting

#: Trials that are known, at which a proposal's CPU time is measured.
KNOWN = (50, 200, 500, 1000, 2000)
#: Trials of each device, and of all, for the throughput; the first and the last fifth do not count.
EACH, ALL, EDGE = 40, 20_000, 0.2
#: Standard deviation of a trial's log time: trials are not equally long.
SPREAD = 0.2


@dataclass(frozen=True)
class Costs:
    """What a trial costs beside its own time, in seconds.

    Attributes:
        known: trials that are known, at each of which ``proposal_s`` is
        proposal_s: the CPU time of a proposal.
        trips_s: the way to the database and back, for all that a trial asks.
        alone_s: for so long one worker at a time has the database. All that it does between two
            trials of busy members, and these themselves: more than what is done under a lock.
    """

    known: Sequence[int]
    proposal_s: Sequence[float]
    trips_s: float
    alone_s: float

    def propose_s(self, known: int) -> float:
        """CPU time of a proposal; beyond what was measured it goes on growing as it did last."""
        if known <= self.known[-1]:
            return float(np.interp(known, self.known, self.proposal_s))
        (x0, x1), (y0, y1) = self.known[-2:], self.proposal_s[-2:]
        return y1 + (known - x1) * max(0.0, (y1 - y0) / (x1 - x0))


def ends_of(devices: int, trials: int, trial_s: float, costs: Costs) -> list[float]:
    """When each trial of a simulated study ends, in seconds since its start, in order."""
    random = np.random.default_rng(0)
    ends: list[float] = []
    free_at_s, begun = 0.0, 0
    # (time, order, worker, what happens then): it looks for work, or comes to the storage's lock.
    events = [(0.0, worker, worker, "ask") for worker in range(devices)]
    order = devices
    while events:
        now_s, _, worker, what = heapq.heappop(events)
        order += 1
        if what == "end":
            ends.append(now_s)
        if what == "locked":
            free_at_s = max(now_s, free_at_s) + costs.alone_s
            length_s = trial_s * float(random.lognormal(-(SPREAD**2) / 2, SPREAD))
            heapq.heappush(events, (free_at_s + length_s, order, worker, "end"))
        elif begun < trials:
            begun += 1
            at_s = now_s + costs.propose_s(len(ends)) + costs.trips_s
            heapq.heappush(events, (at_s, order, worker, "locked"))
    return ends


def trials_per_hour(devices: int, trial_s: float, costs: Costs) -> float:
    """The throughput while all devices are at work."""
    ends = ends_of(devices, max(EACH * devices, ALL), trial_s, costs)
    first, last = int(EDGE * len(ends)), int((1 - EDGE) * len(ends)) - 1
    return 3600 * (last - first) / (ends[last] - ends[first])


def report(options: argparse.Namespace, costs: Costs) -> None:
    trials, trial_s = options.trials, options.trial_seconds
    single = trials_per_hour(1, trial_s, costs)
    print(f"\nTrials of {trial_s:g} s; a search of {trials:,} of them")
    print("| devices | trials an hour | of linear | the search takes | the database sends |")
    print("|---|---|---|---|---|")
    for count in options.devices:
        hourly = trials_per_hour(count, trial_s, costs)
        whole_s = ends_of(count, trials, trial_s, costs)[-1]
        # Every worker reads every other's results, once.
        sent_mib_s = hourly / 3600 * (count - 1) * options.record_kib / 1024
        cells = (
            f"{count}",
            f"{hourly:,.0f}",
            f"{hourly / (count * single):.3f}",
            f"{whole_s / 3600:.1f} h" if whole_s > 3600 else f"{whole_s / 60:.0f} min",
            f"{sent_mib_s:,.1f} MiB/s",
        )
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trips", type=float, required=True, help="round trips of a trial")
    parser.add_argument("--trials-per-second", type=float, required=True, help="at most, in all")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--trial-seconds", type=float, default=30.0)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--trip-ms", type=float, default=0.5, help="to the database and back")
    parser.add_argument("--record-kib", type=int, default=80, help="a trial's raw block times")
    options = parser.parse_args()
    print_machine()
    proposal_s = [statistics.median(without_painting(count, 5)) for count in KNOWN]
    found = zip(KNOWN, proposal_s, strict=True)
    print("a proposal: " + ", ".join(f"{s:.2f} s of CPU at {count} trials" for count, s in found))
    trips_s = options.trips * options.trip_ms / 1000
    report(options, Costs(KNOWN, proposal_s, trips_s, 1 / options.trials_per_second))


if __name__ == "__main__":
    main()
