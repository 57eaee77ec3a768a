"""What ``search.stop: auto`` costs: hypervolume where it ends a run, over that of the whole run.

.venv/bin/python experiments/search/run.py --report     prints it below the tables
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from amp_tuner.search.stopping import most_hoped

#: What a stop may lose.
AIM = 0.01


def stop_of(hopes: Sequence[float | None]) -> int | None:
    """After how many measurements a run ends by itself; None where it never does.

    Args:
        hopes: of each measurement; None for anchors, and where it explored.
    """
    said: list[float] = []
    for count, hope in enumerate(hopes, 1):
        if hope is not None:
            said.append(hope)
            if most_hoped(said) is not None:
                return count
    return None


def report(units: Sequence[dict[str, Any]]) -> None:
    """One line for each run that stops early, and what all of them lose."""
    runs = [unit for unit in units if unit.get("hopes")]
    stops = [(unit, stop_of(unit["hopes"])) for unit in runs]
    stopped = [(unit, count) for unit, count in stops if count is not None]
    if not runs:
        return
    print(f"\nsearch.stop: auto ends {len(stopped)} of {len(runs)} runs of amp")
    if not stopped:
        return
    print("| problem | seed | measurements | of | lost |")
    print("|---|---|---|---|---|")
    losses = []
    for unit, count in stopped:
        volumes = unit["volumes"]
        losses.append(1 - volumes[count - 1] / max(volumes[-1], 1e-12))
        print(
            f"| {unit['problem']} | {unit['seed']} | {count} | {len(volumes)} | "
            f"{100 * losses[-1]:.2f} % |"
        )
    counts = [count for _, count in stopped]
    print(
        f"lost: median {100 * np.median(losses):.2f} %, most {100 * max(losses):.2f} % "
        f"(aim: {100 * AIM:.0f} %); measurements used: median {np.median(counts):.0f}"
    )
