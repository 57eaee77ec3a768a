"""CPU seconds that sampler ``amp`` takes for a proposal, late in a study of many op types.

500 trials and 40 op types; painting is left out (a stand-in gives each setting features at once).
Then 500 trials of a real graph, painted for real.

    .venv/bin/python experiments/search/graphs.py
    .venv/bin/python experiments/search/proposal.py [--problem P]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Mapping

import numpy as np
import optuna
from optuna.trial import create_trial
from problems import Problem, random_parameters
from synthetic import PROBLEMS, synthetic

from amp_tuner.amp.lists import AmpLists
from amp_tuner.search.amp_sampler import AmpSampler
from amp_tuner.search.distributions import distributions
from amp_tuner.search.looks import Look, Viewer
from amp_tuner.search.space import SearchSpace

TRIALS, OP_TYPES, PROPOSALS = 500, 40, 20


class _WideViewer:
    """Forty op types that a setting paints or not; painting costs nothing."""

    def __init__(self, space: SearchSpace) -> None:
        self.op_types = space.op_types
        self.weight = self.nodes = np.full(len(space.op_types), 1 / len(space.op_types))
        self.paintings = 160

    def look(self, parameters: Mapping[str, str], lists: object = None) -> Look:  # noqa: ARG002
        row = np.array([parameters[f"list:{op}"] == "allow" for op in self.op_types], np.float64)
        name = "".join(str(int(value)) for value in row)
        return Look(name, parameters["data_type"], row, row, 0.5 * row, np.full(4, 0.1))


#: A setting and what it gave: speed-up and drop.
Told = tuple[Mapping[str, str], list[float]]


def without_painting(trials: int = TRIALS, proposals: int = PROPOSALS) -> list[float]:
    """CPU seconds of each of so many proposals, in a study of forty op types and so many trials."""
    op_types = tuple(f"Op{place:02}" for place in range(OP_TYPES))
    space = SearchSpace(("bfloat16",), op_types, ("allow", "deny"), {"bfloat16": AmpLists()})
    random = np.random.default_rng(0)
    told: list[Told] = []
    for _ in range(trials):
        row = {f"list:{op}": str(random.choice(["allow", "deny"])) for op in op_types}
        values = [float(random.uniform(0.8, 2)), float(random.uniform(0, 1))]
        told.append(({"data_type": "bfloat16", **row}, values))
    return _taken_s(space, _WideViewer(space), told, proposals)


def with_painting(problem: Problem) -> list[float]:
    """CPU seconds of each proposal for a problem's graph, settings that are new painted."""
    random = np.random.default_rng(0)
    told: list[Told] = []
    while len(told) < TRIALS:
        parameters = random_parameters(problem.space, random)
        found = problem.parameters(parameters)
        # A study has painted what it measured.
        if found is not None and problem.viewer.look(parameters) is not None:
            told.append((parameters, [float(np.exp(found[1].log_speedup)), found[1].drop]))
    return _taken_s(problem.space, problem.viewer, told, PROPOSALS)


def _taken_s(
    space: SearchSpace, viewer: Viewer, told: Iterable[Told], proposals: int
) -> list[float]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    asked = distributions(space)
    for parameters, values in told:
        one = create_trial(params=dict(parameters), distributions=asked, values=values)
        study.add_trial(one)
    taken_s = []
    for seed in range(proposals):
        study.sampler = AmpSampler(seed, space, viewer)
        began_s = time.process_time()
        study.ask(asked)
        taken_s.append(time.process_time() - began_s)
    return taken_s


def _tell(what: str, taken_s: list[float]) -> None:
    middle, most = statistics.median(taken_s), max(taken_s)
    print(
        f"{what}, {TRIALS} trials: median {middle:.2f}, largest {most:.2f} CPU seconds a proposal"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", choices=list(PROBLEMS), default="Transformer, matrix-units")
    problem = synthetic(parser.parse_args().problem)
    _tell(f"{OP_TYPES} op types, nothing painted", without_painting())
    what = f"{problem.name}, {len(problem.space.op_types)} op types, painted"
    _tell(what, with_painting(problem))


if __name__ == "__main__":
    main()
