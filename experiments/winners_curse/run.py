"""How much the published speed-ups flatter, and how many published points hold.

Ten studies that differ in their seed; then every graph that any of them published, or that Optuna's
``study.best_trials`` lists, is measured again, for long, in visits of a worker of its own that take
turns: that is the truth which the studies' figures are held against.

* bias: published speed-up / truth - 1, averaged over published points that are not FP32; beside it
  the same for the figures that the search saw.
* holds: the truth lies in the published interval, or within 1 % (a tie) of it. A figure of
  ``study.best_trials`` has no interval; it holds if the truth is within 1 %.
* confirmed: by their true speed-ups and the accuracy that the study saw, no other listed point of
  the same study is faster by more than 1 % without losing more accuracy.

    .venv/bin/python experiments/winners_curse/run.py [--studies 10] [--trials 10] [--fresh]

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import optuna
import yaml
from common import RESULTS, ROOT, Journal, exact_share, print_machine

from amp_tuner.config.load import load_study
from amp_tuner.records import FLOAT32, Setting, Trial
from amp_tuner.results.points import read_point
from amp_tuner.study.session import open_session

FOLDER = RESULTS / "winners_curse"
TIE = 0.01
VISITS = 3


@dataclass(frozen=True)
class Claim:
    """A speed-up that a study reports.

    Attributes:
        study: its seed.
        graph_id, setting: what ran.
        drop: the loss of accuracy that the study saw.
        value, low, high: the speed-up; a figure without an interval has ``low == high``.
    """

    study: int
    graph_id: str
    setting: Setting
    drop: float
    value: float
    low: float
    high: float

    @property
    def what(self) -> str:
        """What is true of a graph is so for one state of oneDNN, which each study chooses."""
        return f"{self.graph_id}, oneDNN {'off' if self.setting.onednn is False else 'on'}"


def study_file(base: Path, seed: int, trials: int, max_seconds: float) -> Path:
    """The study of one seed, beside its output folder; paths made absolute."""
    plain = yaml.safe_load(base.read_text(encoding="utf-8"))
    plain["model"]["path"] = str((base.parent / plain["model"]["path"]).resolve())
    plain["data"]["path"] = str((base.parent / plain["data"]["path"]).resolve())
    plain["search"].update(trials=trials, seed=seed, time_budget=None)
    plain["measure"]["max_seconds"] = max_seconds
    plain["output"] = str(FOLDER / f"seed-{seed}")
    path = FOLDER / f"seed-{seed}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def run_study(path: Path) -> None:
    """Runs or resumes a study; one that ended says so at once."""
    command = [sys.executable, "-m", "amp_tuner", "--config", str(path), "--quiet"]
    ended = subprocess.run(command, check=False)
    # 1: nothing met the goal. What it published counts all the same.
    if ended.returncode not in (0, 1):
        sys.exit(f"the study of {path} ended with exit code {ended.returncode}")


def published(seed: int) -> tuple[list[Claim], list[Claim]]:
    """Published speed-ups of settings that are not FP32: measured again, and as the search saw."""
    again, searched = [], []
    for path in sorted((FOLDER / f"seed-{seed}" / "pareto").glob("[0-9]*.yaml")):
        point = read_point(path)
        if point.speedup is None or point.setting.data_type == FLOAT32:
            continue
        if point.effective.graph_id == FLOAT32:
            continue
        common = (seed, point.effective.graph_id, point.setting, point.accuracy.drop.value)
        speedup = point.speedup
        again.append(Claim(*common, speedup.value, speedup.low, speedup.high))
        if point.search_speedup is not None:
            seen = point.search_speedup
            searched.append(Claim(*common, seen, seen, seen))
    return again, searched


def best_trials(seed: int) -> list[Claim]:
    """What Optuna alone would have published: its front, with the values that it was told."""
    folder = FOLDER / f"seed-{seed}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "study.journal"))
    (summary,) = optuna.get_all_study_summaries(optuna.storages.JournalStorage(backend))
    study = optuna.load_study(
        storage=optuna.storages.JournalStorage(backend), study_name=summary.study_name
    )
    found = {}
    for optunas in study.best_trials:
        path = folder / "trials" / f"{optunas.number:04d}.json"
        trial = Trial.from_json(json.loads(path.read_text(encoding="utf-8"))["trial"])
        measurement = trial.measurement
        if measurement is None or measurement.timing is None or trial.setting.data_type == FLOAT32:
            continue
        graph_id = measurement.effective.graph_id
        if graph_id != FLOAT32:
            value = measurement.timing.speedup.value
            drop = measurement.accuracy.drop.value
            found[graph_id] = Claim(seed, graph_id, trial.setting, drop, value, value, value)
    return list(found.values())


def truths(claims: Iterable[Claim], seconds: float, journal: Journal) -> dict[str, float]:
    """The true speed-up of all that is claimed: the median of long visits that take turns."""
    settings = {claim.what: claim.setting for claim in claims}
    done = {(unit["visit"], unit["what"]) for unit in journal.units}
    left = [
        (visit, what)
        for visit in range(VISITS)
        for what in sorted(settings)
        if (visit, what) not in done
    ]
    if left:
        _measure(settings, left, seconds, journal)
    seen: dict[str, list[float]] = {}
    for unit in journal.units:
        seen.setdefault(unit["what"], []).append(unit["speedup"])
    return {what: statistics.median(seen[what]) for what in settings}


def _measure(
    settings: Mapping[str, Setting],
    left: Sequence[tuple[int, str]],
    seconds: float,
    journal: Journal,
) -> None:
    config = load_study(FOLDER / "seed-0.yaml", overrides={"measure.max_seconds": seconds})
    with tempfile.TemporaryDirectory() as work:
        session = open_session(config, Path(work))
        try:
            for position, (visit, what) in enumerate(left, start=1):
                session.bench.baseline_state = settings[what].onednn is not False
                measurement = session.bench.measure(
                    session.planner.plan(settings[what]),
                    "search",
                    always_timed=True,
                    dominated_below=None,
                )
                assert measurement.timing is not None
                value = measurement.timing.speedup.value
                journal.add({"visit": visit, "what": what, "speedup": value})
                print(f"truth {position}/{len(left)}: {value:.4f}", flush=True)
        finally:
            session.bench.close()


def biases(claims: Sequence[Claim], truth: Mapping[str, float]) -> str:
    """The mean relative error with its interval, studies resampled."""
    by_study: dict[int, list[float]] = {}
    for claim in claims:
        by_study.setdefault(claim.study, []).append(claim.value / truth[claim.what] - 1)
    groups = list(by_study.values())
    rows = np.random.default_rng(0).integers(len(groups), size=(4000, len(groups)))
    means = [np.mean(np.concatenate([groups[i] for i in row])) for row in rows]
    low, high = np.quantile(means, (0.025, 0.975))
    mean = np.mean(np.concatenate(groups))
    return f"{mean:+.2%} [{low:+.2%}, {high:+.2%}]"


def holds(claim: Claim, truth: Mapping[str, float]) -> bool:
    return claim.low / (1 + TIE) <= truth[claim.what] <= claim.high * (1 + TIE)


def confirmed(claim: Claim, others: Iterable[Claim], truth: Mapping[str, float]) -> bool:
    return not any(
        other.study == claim.study
        and truth[other.what] > (1 + TIE) * truth[claim.what]
        and other.drop <= claim.drop
        for other in others
    )


def report(kinds: Mapping[str, Sequence[Claim]], truth: Mapping[str, float]) -> None:
    print("\n| figures | points | bias of the speed-up | hold | confirmed |\n|---|---|---|---|---|")
    for name, claims in kinds.items():
        held = sum(holds(claim, truth) for claim in claims)
        stayed = sum(confirmed(claim, claims, truth) for claim in claims)
        shares = f"{exact_share(held, len(claims))} | {exact_share(stayed, len(claims))}"
        print(f"| {name} | {len(claims)} | {biases(claims, truth)} | {shares} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "quickstart.yaml")
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--max-seconds", type=float, default=3.0, help="of a timing in a study")
    parser.add_argument("--truth-seconds", type=float, default=8.0, help="of a visit")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    print_machine()
    kinds: dict[str, list[Claim]] = {
        "published (measured again)": [],
        "the same points, as the search saw them": [],
        "study.best_trials, as the search saw them": [],
    }
    for seed in range(options.studies):
        began = time.monotonic()
        run_study(study_file(options.config, seed, options.trials, options.max_seconds))
        print(f"study {seed + 1}/{options.studies}: {time.monotonic() - began:.0f} s", flush=True)
        found = (*published(seed), best_trials(seed))
        for claims, more in zip(kinds.values(), found):
            claims.extend(more)
    everything = [claim for claims in kinds.values() for claim in claims]
    journal = Journal(FOLDER / "truth.jsonl", fresh=False)
    truth = truths(everything, options.truth_seconds, journal)
    report(kinds, truth)


if __name__ == "__main__":
    main()
