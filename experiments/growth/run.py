"""How a study grows with its devices, by a simulated clock and measured costs.

What a trial costs beside its own time is measured first: the CPU time of a proposal, which grows
with the trials that are known, and what a trial asks of the database. Workers are then simulated
event by event: each reads what the others have found, proposes, waits for the database (a part of
it is done for one worker at a time) and runs its trial.

    .venv/bin/python experiments/growth/run.py --storage postgresql://… [--trials 2000]
        [--trial-seconds 30] [--devices 1 8 64 512] [--trip-ms 0.5] [--record-kib 200]
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
from proposal import proposal_seconds
from storage_costs import StorageCosts
from storage_costs import measured as measured_storage

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
        storage_s: waiting for the database while nobody else asks it.
        locked_s: the part of it that one worker at a time has.
        read_s: for each trial that another worker has ended meanwhile.
    """

    known: Sequence[int]
    proposal_s: Sequence[float]
    storage_s: float
    locked_s: float
    read_s: float

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
    seen = [0] * devices
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
            free_at_s = max(now_s, free_at_s) + costs.locked_s
            length_s = trial_s * float(random.lognormal(-(SPREAD**2) / 2, SPREAD))
            heapq.heappush(events, (free_at_s + length_s, order, worker, "end"))
        elif begun < trials:
            begun += 1
            read_s = costs.read_s * (len(ends) - seen[worker])
            seen[worker] = len(ends)
            waits_s = costs.storage_s - costs.locked_s
            at_s = now_s + read_s + costs.propose_s(len(ends)) + waits_s
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


def costs_of(found: StorageCosts, trip_s: float) -> Costs:
    """The costs with a database that is ``trip_s`` away; proposals are measured here."""
    proposal_s = [statistics.median(proposal_seconds(count, 5)) for count in KNOWN]
    locked_s = found.served_s + found.locked_trips * trip_s
    storage_s = max(found.alone_s + found.trips * trip_s, locked_s)
    return Costs(KNOWN, proposal_s, storage_s, locked_s, found.read_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", required=True, help="a database to measure in, or env:NAME")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--trial-seconds", type=float, default=30.0)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--trip-ms", type=float, default=0.5, help="to the workers' database")
    parser.add_argument("--record-kib", type=int, default=200, help="a trial's raw block times")
    options = parser.parse_args()
    print_machine()
    found = measured_storage(options.storage, options.record_kib * 1024)
    costs = costs_of(found, options.trip_ms / 1000)
    proposals = zip(costs.known, costs.proposal_s, strict=True)
    print(
        "a proposal: " + ", ".join(f"{s:.2f} s of CPU at {count} trials" for count, s in proposals)
    )
    print(
        f"the database, of a trial: {found.trips:.0f} round trips, {found.locked_trips:.0f} of them"
        f" while others wait; {1000 * found.alone_s:.0f} ms for a worker alone; at most "
        f"{1 / found.served_s:.0f} trials a second; {1000 * found.read_s:.1f} ms for each trial of "
        f"another worker (database and workers on this machine)"
    )
    print(
        f"with {options.trip_ms:g} ms a round trip: {1000 * costs.storage_s:.0f} ms a trial, ",
        end="",
    )
    print(f"{1000 * costs.locked_s:.0f} ms of them one worker at a time")
    report(options, costs)


if __name__ == "__main__":
    main()
