"""CPU seconds that sampler ``amp`` takes for a proposal, late in a study of many op types.

500 trials and 40 op types; painting is left out (a stand-in gives each setting features at once).

    .venv/bin/python experiments/search/proposal.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import optuna
from optuna.trial import create_trial

from amp_tuner.amp.lists import AmpLists
from amp_tuner.search.amp_sampler import AmpSampler
from amp_tuner.search.distributions import distributions
from amp_tuner.search.looks import Look
from amp_tuner.search.space import SearchSpace

TRIALS, OP_TYPES, PROPOSALS = 500, 40, 20


class _WideViewer:
    """Forty op types that a setting paints or not; painting costs nothing."""

    def __init__(self, space: SearchSpace) -> None:
        self.op_types = space.op_types
        self.weight = self.nodes = np.full(len(space.op_types), 1 / len(space.op_types))
        self.paintings = 160

    def look(self, parameters: dict[str, str], lists: object = None) -> Look:  # noqa: ARG002
        row = np.array([parameters[f"list:{op}"] == "allow" for op in self.op_types], np.float64)
        name = "".join(str(int(value)) for value in row)
        return Look(name, parameters["data_type"], row, row, 0.5 * row, np.full(4, 0.1))


def proposal_seconds(trials: int, proposals: int = PROPOSALS) -> list[float]:
    """CPU seconds of each of so many proposals in a study of so many trials."""
    op_types = tuple(f"Op{place:02}" for place in range(OP_TYPES))
    space = SearchSpace(("bfloat16",), op_types, ("allow", "deny"), {"bfloat16": AmpLists()})
    viewer = _WideViewer(space)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    random = np.random.default_rng(0)
    asked = distributions(space)
    for _ in range(trials):
        row = {f"list:{op}": str(random.choice(["allow", "deny"])) for op in op_types}
        values = [float(random.uniform(0.8, 2)), float(random.uniform(0, 1))]
        parameters = {"data_type": "bfloat16", **row}
        study.add_trial(create_trial(params=parameters, distributions=asked, values=values))
    taken_s = []
    for seed in range(proposals):
        study.sampler = AmpSampler(seed, space, viewer)
        began_s = time.process_time()
        study.ask(asked)
        taken_s.append(time.process_time() - began_s)
    return taken_s


def main() -> None:
    taken_s = proposal_seconds(TRIALS)
    print(f"CPU seconds of a proposal at {TRIALS} trials and {OP_TYPES} op types:", end=" ")
    print(f"median {statistics.median(taken_s):.2f}, largest {max(taken_s):.2f}")


if __name__ == "__main__":
    main()
