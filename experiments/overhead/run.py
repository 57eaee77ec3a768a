"""What a trial costs beyond its measurement: sampler, painting, session, scoring, bookkeeping.

Runs a study with few trials in a fresh folder and reads its ``trials.csv``: overhead is a trial's
wall time less its timed blocks and its accuracy inference.

    .venv/bin/python experiments/overhead/run.py --config configs/fashion_cnn.yaml --trials 25
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/fashion_cnn.yaml"))
    parser.add_argument("--trials", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "study")
        command = [sys.executable, "-m", "amp_tuner", "--config", str(options.config), "--quiet"]
        command += ["--trials", str(options.trials), "--output", str(output)]
        subprocess.run(command, check=True)
        trials = pd.read_csv(output / "trials.csv")
    measured = trials[trials.speedup.notna() & trials.cached_from.isna()]
    # The two FP32 trials are told what the baseline phase measured before the first trial.
    measured = measured[measured.data_type != "float32"]
    cached = trials[trials.cached_from.notna()]
    print(f"measured trials: {len(measured)}, cached: {len(cached)}")
    print("overhead of a measured trial, s (median, 90th percentile, largest):", end=" ")
    print(*(f"{measured.overhead_s.quantile(q):.3f}" for q in (0.5, 0.9, 1.0)))
    print("a cached trial, s (median, largest):", end=" ")
    print(*(f"{cached.seconds.quantile(q):.3f}" for q in (0.5, 1.0)))


if __name__ == "__main__":
    main()
