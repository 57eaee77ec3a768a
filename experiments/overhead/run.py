"""What a trial costs beyond its measurement: sampler, painting, session, scoring, bookkeeping.

Runs a study with few trials in a fresh folder and reads its ``trials.csv`` and ``log.jsonl``:
overhead is a trial's wall time less its timed blocks and its accuracy inference; bookkeeping is
what passes between the ends of two trials less the time that the second was being measured for.

    .venv/bin/python experiments/overhead/run.py --config configs/fashion_cnn.yaml --trials 25
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import ratio_of_sums

from amp_tuner.results.event_log import read_events


def watched(command: list[str]) -> int:
    """Runs a command and gives the largest resident memory of its own process, without children."""
    process = subprocess.Popen(command)
    peak_bytes = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            peak_bytes = max(peak_bytes, psutil.Process(process.pid).memory_info().rss)
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"amp-tune ended with exit code {process.returncode}")
    return peak_bytes


def bookkeeping(events: Iterable[dict[str, Any]]) -> list[tuple[float, float]]:
    """Of each measured trial: seconds since the end of the one before, and the tuner's own part."""
    found: list[tuple[float, float]] = []
    before: datetime | None = None
    measured_s: float | None = None
    for event in events:
        if event["event"] == "measured":
            measured_s = event["seconds"]
        elif event["event"] == "ended":
            now = datetime.fromisoformat(event["time"])
            if before is not None and measured_s is not None:
                whole_s = (now - before).total_seconds()
                found.append((whole_s, whole_s - measured_s))
            before, measured_s = now, None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/fashion_cnn.yaml"))
    parser.add_argument("--trials", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "study")
        command = [sys.executable, "-m", "amp_tuner", "--config", str(options.config), "--quiet"]
        command += ["--trials", str(options.trials), "--output", str(output)]
        peak_bytes = watched(command)
        trials = pd.read_csv(output / "trials.csv")
        cycles = bookkeeping(read_events(output / "log.jsonl"))
    measured = trials[trials.speedup.notna() & trials.cached_from.isna()]
    # The two FP32 trials are told what the baseline phase measured before the first trial.
    measured = measured[measured.data_type != "float32"]
    cached = trials[trials.cached_from.notna()]
    print(f"largest memory of the tuner: {peak_bytes / 2**20:.0f} MiB")
    print(f"measured trials: {len(measured)}, cached: {len(cached)}")
    print("overhead of a measured trial, s (median, 90th percentile, largest):", end=" ")
    print(*(f"{measured.overhead_s.quantile(q):.3f}" for q in (0.5, 0.9, 1.0)))
    whole_s, own_s = zip(*cycles, strict=True)
    share = ratio_of_sums([100 * seconds for seconds in own_s], whole_s)
    print(
        f"bookkeeping of a measured trial: {1000 * statistics.median(own_s):.1f} ms (median) of",
        end=" ",
    )
    print(f"{statistics.median(whole_s):.2f} s; share of the time {share} %")
    print("a cached trial, s (median, largest):", end=" ")
    print(*(f"{cached.seconds.quantile(q):.3f}" for q in (0.5, 1.0)))


if __name__ == "__main__":
    main()
