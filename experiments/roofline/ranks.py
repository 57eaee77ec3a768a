"""The device model against this CPU: does it put settings in the order in which they really run?

    .venv/bin/amp-tune profile-device --output runs/experiments/this-cpu.yaml
    .venv/bin/python experiments/roofline/ranks.py [--profile F] [--config F ...] [--settings 50]
        [--half-width 0.02] [--seconds 15] [--fresh]

For each study's model: random settings with distinct effective graphs, in both data types, timed
against FP32 as a study times them, and priced with the profile. Prints the rank correlation
(Spearman) of measured and modelled speed-up with a bootstrap interval of 95 %, how precise the
timings are (the median half width of their own intervals), and of each data type the medians and
the correlation within. The same command goes on where it was interrupted; settings are priced anew
each time, which costs nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import RESULTS, ROOT, Journal, print_machine
from scipy.stats import spearmanr

from amp_tuner.config.load import load_study
from amp_tuner.errors import RewriteError, WorkerFailure
from amp_tuner.records import FLOAT32, Setting
from amp_tuner.rewrite.paint import paint
from amp_tuner.roofline.cost import CostModel
from amp_tuner.roofline.device import load_profile
from amp_tuner.study.session import Session, open_session
from amp_tuner.target.bench import Bench
from amp_tuner.target.workers import model_source
from amp_tuner.worker.client import WorkerClient

STUDIES = tuple(
    ROOT / "configs" / f"{name}.yaml" for name in ("quickstart", "fashion_cnn", "basic_pitch")
)
LISTS = ("allow", "infer", "clear", "deny")
#: A random setting moves each op type with this probability.
MOVED = 0.5
#: After so many draws for each setting that is wanted, a model is taken to have no more.
DRAWS = 50
RESAMPLES = 2000


def settings_of(session: Session, wanted: int) -> list[tuple[str, Setting]]:
    """Random settings with distinct effective graphs, the same in every run."""
    chance = np.random.default_rng(0)
    found: dict[str, Setting] = {}
    for _ in range(DRAWS * wanted):
        data_type = str(chance.choice(tuple(session.planner.painters)))
        moves = {
            op_type: str(chance.choice(LISTS))
            for op_type in session.space.op_types
            if chance.random() < MOVED
        }
        try:
            plan = session.planner.plan(Setting(data_type, moves))
        except RewriteError:
            continue
        if plan.effective.graph_id != FLOAT32:
            found.setdefault(plan.effective.graph_id, plan.setting)
        if len(found) == wanted:
            break
    return list(found.items())


def measure(session: Session, journal: Journal, name: str, wanted: int) -> None:
    """Times what the journal does not have yet."""
    bench: Bench = session.bench
    known = {unit["graph_id"] for unit in journal.units if unit["study"] == name}
    worker = bench.worker(True)
    for number, (graph_id, setting) in enumerate(settings_of(session, wanted), start=1):
        if graph_id in known:
            continue
        plan = session.planner.plan(setting)
        unit: dict[str, Any] = {"study": name, "graph_id": graph_id, **setting.to_json()}
        try:
            with bench.built(worker, {"candidate": plan}):
                timing = bench.timed(worker, FLOAT32, worker, "candidate", None)
            speedup = timing.speedup
            unit["speedup"], unit["interval"] = speedup.value, [speedup.low, speedup.high]
        except WorkerFailure as failure:
            unit["speedup"], unit["cause"] = None, failure.cause
            worker = bench.worker(True)
        journal.add(unit)
        print(f"{name} {number}/{wanted}: {unit['speedup']}", flush=True)


def modelled(session: Session, units: list[dict[str, Any]], profile: Path) -> list[float]:
    """Each unit's speed-up on the device model."""
    config, bench = session.config, session.bench
    worker = bench.worker(True)
    source = session.data.source(bench.batch_size, 1)
    worker.load(model_source(config), source, "roofline", config.target.device)
    assert isinstance(worker, WorkerClient), "launched for another runtime"
    run = worker.traced_run()
    painters = session.planner.painters
    models = {
        name: CostModel(painter.graph, run, load_profile(profile))
        for name, painter in painters.items()
    }
    found = []
    for unit in units:
        plan = session.planner.plan(Setting(unit["data_type"], unit["moves"], unit["level"]))
        model = models[unit["data_type"]]
        painting = paint(painters[unit["data_type"]].graph, plan.lists, unit["level"])
        found.append(model.float32_milliseconds() / model.milliseconds(painting))
    return found


def correlation(measured: list[float], priced: list[float]) -> str:
    """Spearman's, with a bootstrap interval over settings."""
    pairs = np.array([measured, priced])
    value = spearmanr(*pairs).statistic
    rows = np.random.default_rng(0).integers(pairs.shape[1], size=(RESAMPLES, pairs.shape[1]))
    low, high = np.nanquantile(
        [spearmanr(*pairs[:, row]).statistic for row in rows], (0.025, 0.975)
    )
    return f"{value:.2f} [{low:.2f}, {high:.2f}] over {pairs.shape[1]} settings"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, default=RESULTS / "this-cpu.yaml")
    parser.add_argument("--config", type=Path, nargs="+", default=list(STUDIES))
    parser.add_argument("--settings", type=int, default=50)
    parser.add_argument("--half-width", type=float, default=0.02, help="timed until known so well")
    parser.add_argument("--seconds", type=float, default=15.0, help="of timing a setting at most")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    load_profile(options.profile)
    journal = Journal(RESULTS / "roofline-ranks.jsonl", fresh=options.fresh)
    print_machine()
    for path in options.config:
        timing = {"ci_half_width": options.half_width, "max_seconds": options.seconds}
        # The model prices the graph that our own rewrite gives, whoever rewrites in the study.
        changes: dict[str, Any] = {"target.runtime": "engine"}
        changes |= {f"measure.{name}": value for name, value in timing.items()}
        config = load_study(path, overrides=changes)
        with tempfile.TemporaryDirectory() as work:
            session = open_session(config, Path(work))
            try:
                measure(session, journal, config.name, options.settings)
                units = [
                    unit
                    for unit in journal.units
                    if unit["study"] == config.name and unit["speedup"] is not None
                ][: options.settings]
                priced = modelled(session, units, options.profile)
            finally:
                session.bench.close()
        timed = [unit["speedup"] for unit in units]
        print(f"{config.name}: {correlation(timed, priced)}")
        widths = [np.log(high / low) / 2 for low, high in (unit["interval"] for unit in units)]
        print(f"  timings: within {np.expm1(np.median(widths)):.1%}, the median setting")
        data_types = np.array([unit["data_type"] for unit in units])
        for data_type in np.unique(data_types):
            here = data_types == data_type
            pairs = np.array([timed, priced])[:, here]
            measured, said = np.median(pairs, axis=1)
            alone = spearmanr(*pairs).statistic
            print(
                f"  {data_type}: median speed-up {measured:.2f}, modelled {said:.2f};"
                f" rank correlation within {alone:.2f}"
            )


if __name__ == "__main__":
    main()
