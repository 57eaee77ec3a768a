"""How the throughput of a study grows with its workers: the real thing, on this machine.

`amp-tune run` with workers that Ray places and a study in PostgreSQL, both started for it. Each
worker is whole (a tuner and its TensorFlow process); only the device is not there: a trial's time
on it is waited for. All workers, the database and Ray have this machine's cores between them, so
what a trial costs beside its device comes out dearer than on a machine for each.

    .venv/bin/python -m experiments.growth.workers [--workers 1 2 4] [--trials 6]
        [--trial-seconds 30]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from amp_tuner.results.event_log import read_events
from experiments.common import print_machine
from experiments.growth.study import make_study, search
from experiments.growth.throughput import Member, print_table
from tests.postgres import PASSWORD, Server, postgres


def measured(folder: Path, trial_s: float) -> Iterator[Member]:
    """What each member's log says, of those that measured anything."""
    for log in sorted(folder.rglob("log.jsonl")):
        events = [event for event in read_events(log) if event["event"] == "measured"]
        ends_s = [datetime.fromisoformat(event["time"]).timestamp() for event in events]
        begins_s = [end_s - event["seconds"] for end_s, event in zip(ends_s, events, strict=True)]
        if events:
            yield Member(begins_s, ends_s, trial_s)


def run(study: Path) -> None:
    """Runs a study to its end; nothing is waited for once its search is over."""
    command = [sys.executable, "-m", "amp_tuner", "run", "--config", str(study)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    # 1: nothing meets the goal.
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout + done.stderr)


def members(server: Server, workers: int, trials: int, trial_s: float) -> list[Member]:
    """What the workers of one study came to, each with about so many trials."""
    server.execute(f"CREATE DATABASE workers{workers}")
    with tempfile.TemporaryDirectory() as name:
        study = make_study(
            Path(name),
            trial_s,
            search=search(workers * trials),
            execution={"engine": "ray", "address": None, "workers": workers},
            storage=server.address(f"workers{workers}"),
        )
        run(study)
        return list(measured(study.parent, trial_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--trials", type=int, default=6, help="of each worker")
    parser.add_argument("--trial-seconds", type=float, default=30.0)
    options = parser.parse_args()
    print_machine()
    os.environ["PGPASSWORD"] = PASSWORD
    with postgres() as server:
        each, trial_s = options.trials, options.trial_seconds
        print(f"\nRay workers, trials of {trial_s:g} s")
        print_table(options.workers, lambda count: members(server, count, each, trial_s))


if __name__ == "__main__":
    main()
