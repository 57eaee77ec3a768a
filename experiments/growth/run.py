"""How a study grows with its devices, by a simulated clock and measured costs.

What a trial costs beside its own time is measured first: the CPU time of a proposal (which grows
with the trials that are known), and what the storage of experiments/storage takes. Workers are
then simulated event by event: each proposes, waits for the storage (one part of it is done by one
worker at a time), runs its trial, and reads what the others have found meanwhile.

    .venv/bin/python experiments/storage/run.py          once: what the storage takes
    .venv/bin/python experiments/growth/run.py [--trials 2000] [--trial-seconds 30]
                                               [--devices 1 8 64 512]
"""

from __future__ import annotations

import argparse
import heapq
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

import numpy as np
from common import RESULTS, print_machine
from proposal import proposal_seconds

#: Trials that are known, at which a proposal's CPU time is measured.
KNOWN = (50, 200, 500, 1000, 2000)
#: Trials of each device for the throughput, of which the first and the last fifth do not count.
STEADY_TRIALS, EDGE = 40, 0.2
#: Standard deviation of a trial's log time: trials are not equally long.
SPREAD = 0.2


@dataclass(frozen=True)
class Costs:
    """What a trial costs beside its own time, in seconds.

    Attributes:
        known, proposal_s: CPU time of a proposal by the trials that are known.
        start_s: of a worker, until its first proposal.
        storage_s: waiting for the storage while nobody else asks it.
        locked_s: the part of it that one worker at a time has.
        read_s: for each trial that another worker has ended meanwhile.
    """

    known: Sequence[int]
    proposal_s: Sequence[float]
    start_s: float
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
    events = [(costs.start_s, worker, worker, "ask") for worker in range(devices)]
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
    ends = ends_of(devices, STEADY_TRIALS * devices, trial_s, costs)
    first, last = int(EDGE * len(ends)), int((1 - EDGE) * len(ends)) - 1
    return 3600 * (last - first) / (ends[last] - ends[first])


def report(devices: Sequence[int], trials: int, trial_s: float, costs: Costs) -> None:
    single = trials_per_hour(1, trial_s, costs)
    print(f"\nA trial of {trial_s:g} s; a study of {trials} trials")
    print(
        "| devices | trials an hour | of linear | the study's search takes | proposals in flight |"
    )
    print("|---|---|---|---|---|")
    for count in devices:
        hourly = trials_per_hour(count, trial_s, costs)
        whole_s = ends_of(count, trials, trial_s, costs)[-1]
        cells = (
            f"{count}",
            f"{hourly:,.0f}",
            f"{hourly / (count * single):.3f}",
            f"{whole_s / 3600:.1f} h" if whole_s > 3600 else f"{whole_s / 60:.0f} min",
            f"{count / trials:.1%} of the trials",
        )
        print(f"| {' | '.join(cells)} |")


def measured(storage: Path) -> Costs:
    """The costs, measured here; what the storage takes comes from its own experiment."""
    if not storage.exists():
        sys.exit(f"{storage} is missing: run experiments/storage/run.py first")
    found = json.loads(storage.read_text(encoding="utf-8"))
    proposal_s = [statistics.median(proposal_seconds(count, 5)) for count in KNOWN]
    names = ("start_s", "storage_s", "locked_s", "read_s")
    return Costs(KNOWN, proposal_s, **{name: float(found[name]) for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--trial-seconds", type=float, default=30.0)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--storage", type=Path, default=RESULTS / "storage.json")
    options = parser.parse_args()
    print_machine()
    costs = measured(options.storage)
    proposals = zip(costs.known, costs.proposal_s, strict=True)
    print(
        "a proposal: " + ", ".join(f"{s:.2f} s of CPU at {count} trials" for count, s in proposals)
    )
    print(
        f"the storage: {1000 * costs.storage_s:.1f} ms a trial, {1000 * costs.locked_s:.1f} ms of "
        f"them one worker at a time, {1000 * costs.read_s:.2f} ms for each trial of another worker"
    )
    report(options.devices, options.trials, options.trial_seconds, costs)


if __name__ == "__main__":
    main()
