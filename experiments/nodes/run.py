"""Single nodes against lists: does a node-level point certainly dominate the front that lists give?

    .venv/bin/python experiments/nodes/run.py [--models M ...] [--runtime engine] [--lists 40]
        [--nodes 40] [--fresh]

For each model: a study of lists (sampler amp), whose front is confirmed and kept; then the same
study goes on node by node (``search.granularity: node``) and is confirmed again. Accuracy is the
ratio of signal to error against FP32 (sqnr), which has no threshold between settings. The same
command goes on where it was interrupted.

A node-level point certainly dominates the front of lists at its accuracy level when every point of
that front, FP32 included, that is not certainly less accurate is certainly slower. For each model
those points are printed, the fastest list point of that level, and the ratio of their speeds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import RESULTS, ROOT, print_machine

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.api.running import run_study
from amp_tuner.config.load import load_study
from amp_tuner.records import Point
from amp_tuner.results.points import read_front, read_point

#: Model: its study file.
MODELS = {
    "fashion_cnn": "fashion_cnn",
    "basic_pitch": "basic_pitch",
    "minilm": "xla_minilm",
    "resnet50": "xla_resnet50",
    "mobilenet": "mobilenet",
    "efficientnet_lite0": "xla_efficientnet_lite0",
    "decoder": "xla_decoder",
    "flight_delays": "quickstart",
    "flight_nfm": "flight_nfm",
    "topics": "topics",
}
#: Below this ratio of signal to error, in dB, a setting is given up.
GOAL_DB = 10
PROFILE = ROOT / "configs" / "devices" / "xeon-amx.yaml"


class Silent:
    """Follows a run without a word."""

    def follow(self, event: Any) -> None:
        """An event; they stand in the study's log."""

    def recall(self, ended: Any) -> None:
        """Trials of before; they stand in the study's folder."""


def points(pareto: Path) -> list[Point]:
    """Every published point of a front."""
    return [
        read_point(pareto / f"{e.number:03d}.yaml")
        for e in read_front(pareto / "front.yaml").entries
    ]


def settings(name: str, runtime: str, output: Path, trials: int) -> Mapping[str, Any]:
    """What differs from the model's own study file."""
    plain: dict[str, Any] = {
        "name": f"nodes-{name}",
        "target.runtime": runtime,
        "target.device": "cpu",
        "target.python": None,
        "accuracy.metric": "sqnr",
        "accuracy.also": [],
        "accuracy.threshold": None,
        "accuracy.goal": {"min": GOAL_DB},
        "search.op_types": "auto",
        "search.granularity": "op_type",
        "search.sampler": "amp",
        "search.trials": trials,
        "search.time_budget": None,
        "output": str(output),
    }
    return plain if runtime != "roofline" else {**plain, "target.profile": str(PROFILE)}


def measured(name: str, runtime: str, lists: int, nodes: int) -> tuple[list[Point], list[Point]]:
    """The front of lists, and the front after the nodes."""
    folder = RESULTS / "nodes" / runtime / name
    kept = folder / "lists"
    file = ROOT / "configs" / f"{MODELS[name]}.yaml"
    if not kept.exists():
        config = load_study(file, overrides=settings(name, runtime, folder / "run", lists))
        run_study(config, Silent())
        shutil.copytree(folder / "run" / "pareto", folder / "unfinished", dirs_exist_ok=True)
        (folder / "unfinished").rename(kept)
    further = {
        **settings(name, runtime, folder / "run", lists + nodes),
        "search.granularity": "node",
    }
    run_study(load_study(file, overrides=further), Silent())
    return points(kept), points(folder / "run" / "pareto")


def rivals(point: Point, front: list[Point]) -> list[Point]:
    """Points of a front that are not certainly less accurate than a point."""
    return [one for one in front if one.accuracy.drop.low <= point.accuracy.drop.high]


def dominates(point: Point, front: list[Point]) -> bool:
    """Whether a point is certainly faster than all of a front that are as accurate."""
    assert point.speedup is not None
    return all(
        one.speedup is None or one.speedup.high < point.speedup.low for one in rivals(point, front)
    )


def row(point: Point, front: list[Point]) -> str:
    """One point beside the fastest list point of its accuracy level."""
    assert point.speedup is not None
    timed = [one for one in rivals(point, front) if one.speedup is not None]
    best = max(timed, key=lambda one: one.speedup.value if one.speedup else 0.0)
    assert best.speedup is not None
    certain = "certainly" if dominates(point, front) else "not certain"
    nodes = ", ".join(moves_of_nodes(point.setting.moves))
    return (
        f"  trial {point.number} ({point.setting.data_type}): {_figures(point)}; lists there: "
        f"trial {best.number} ({best.setting.data_type}) {_figures(best)}; "
        f"{point.speedup.value / best.speedup.value:.3f} times as fast, {certain}; apart: {nodes}"
    )


def _figures(point: Point) -> str:
    speed, score = point.speedup, point.accuracy.score
    assert speed is not None
    return (
        f"{speed.value:.3f} [{speed.low:.3f}, {speed.high:.3f}] at "
        f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}] dB"
    )


def main() -> None:
    """Runs or resumes the experiment and prints its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--runtime", choices=("engine", "roofline"), default="engine")
    parser.add_argument("--lists", type=int, default=40, help="trials that go to lists")
    parser.add_argument("--nodes", type=int, default=40, help="trials that go to nodes then")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    if options.fresh:
        for name in options.models:
            shutil.rmtree(RESULTS / "nodes" / options.runtime / name, ignore_errors=True)
    print_machine()
    won = 0
    for name in options.models:
        lists, both = measured(name, options.runtime, options.lists, options.nodes)
        moved = [one for one in both if moves_of_nodes(one.setting.moves) and one.speedup]
        certain = [one for one in moved if dominates(one, lists)]
        won += bool(certain)
        modelled = "modelled for Xeon with AMX: " if options.runtime == "roofline" else ""
        print(
            f"{name}: {modelled}{len(certain)} of {len(moved)} node-level points certainly dominate"
        )
        for one in moved:
            print(row(one, lists))
    print(f"{won} of {len(options.models)} models have a point that certainly dominates")


if __name__ == "__main__":
    main()
