"""The methods that are compared: ours, Optuna's, and procedures that people follow today."""

from __future__ import annotations

import importlib.util
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import optuna
from measuring import BudgetUsedUpError, Observed, Run
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from amp_tuner.records import FLOAT32, Setting
from amp_tuner.search.amp_sampler import TOLD, AmpSampler, prediction_of
from amp_tuner.search.distributions import distributions
from amp_tuner.search.proposal import NEVER_TIMED
from amp_tuner.search.space import DATA_TYPE, SearchSpace

#: As in a study: so many known graphs in a row, and a random setting is asked for.
_STUCK = 10
#: So many proposals that cost nothing, and a run ends.
_EXHAUSTED = 400

Method = Callable[[Run, int], None]


def anchors(space: SearchSpace) -> Iterator[dict[str, str]]:
    """Default AMP and everything 16-bit, for each data type: as every study begins."""
    for data_type in space.data_types:
        yield space.parameters(Setting(data_type))
    for data_type in space.data_types:
        yield everything(space, data_type)


def everything(space: SearchSpace, data_type: str) -> dict[str, str]:
    """Every op type allowed."""
    return space.parameters(Setting(data_type, dict.fromkeys(space.op_types, "allow")))


def tell(study: optuna.Study, trial: optuna.Trial, observed: Observed | None) -> None:
    """A measurement's result, as a study tells it; None is a failure."""
    if observed is None:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    trial.set_constraint("accuracy", observed.violation)
    told = {
        "timed": observed.speedup is not None,
        "speedup": observed.speedup_interval,
        "drop": observed.drop_interval,
    }
    trial.set_user_attr(TOLD, told)
    study.tell(trial, [observed.speedup or NEVER_TIMED, observed.drop])


def optuna_method(
    make: Callable[[Run, int], BaseSampler],
    *,
    anchored: bool,
    redraws: bool = False,
    in_flight: int = 1,
) -> Method:
    """A run of a sampler of Optuna's interface.

    Args:
        make: the sampler for a seed.
        anchored: begin with the anchors, and ask at random after known graphs in a row. Else FP32
            is none of the choices: who pays for each setting does not measure it again.
        redraws: parameters that were drawn before are told again and cost nothing.
        in_flight: so many workers: the result of a proposal is known that many proposals later.
    """

    def run(run: Run, seed: int) -> None:
        space = run.problem.space
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=make(run, seed))
        chance = RandomSampler(seed=seed)
        usual = study.sampler
        choices = distributions(space)
        if not anchored:
            choices[DATA_TYPE] = CategoricalDistribution(space.data_types)
        if in_flight > 1:
            # A fleet begins when FP32 is known; so one worker knows the goal's limit as early.
            study.enqueue_trial(space.parameters(Setting(FLOAT32)))
            known = study.ask(choices)
            tell(study, known, run.measure(known.params))
        began = len(study.get_trials(deepcopy=False))
        if anchored:
            for parameters in anchors(space):
                study.enqueue_trial(parameters)
        free_in_a_row = 0
        drawn: dict[tuple[tuple[str, str], ...], Observed | None] = {}
        waiting: deque[tuple[optuna.Trial, float | None]] = deque()
        while free_in_a_row < _EXHAUSTED:
            stuck = anchored and free_in_a_row >= _STUCK
            study.sampler = chance if stuck else usual
            trial = study.ask(choices)
            key = tuple(trial.params.items())
            if redraws and key in drawn:
                tell(study, trial, drawn[key])
                free_in_a_row += 1
                continue
            is_free = run.is_free(trial.params)
            free_in_a_row = free_in_a_row + 1 if is_free else 0
            waiting.append((trial, _hope(study, trial)))
            if len(waiting) == in_flight:
                trial, hope = waiting.popleft()
                is_anchor = anchored and trial.number - began < 2 * len(space.data_types)
                observed = run.measure(trial.params, always_timed=is_anchor, hope=hope)
                drawn[tuple(trial.params.items())] = observed
                tell(study, trial, observed)

    return run


def _hope(study: optuna.Study, trial: optuna.Trial) -> float | None:
    predicted = prediction_of(study.get_trials(deepcopy=False)[trial.number])
    return None if predicted is None or predicted.explores else predicted.hope


def quiet(make: Callable[[], BaseSampler]) -> BaseSampler:
    """Makes a sampler without Optuna's warning that it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def manual(run: Run, _: int) -> None:
    """The loop of the vendor's guide (Tune Advanced AMP), as a greedy procedure.

    Start with default AMP. While its accuracy is bad, deny the op type of most 16-bit nodes that
    was not tried. Then allow, one by one, the op types that stayed in FP32, those of most nodes
    first; keep what is faster and still good. Repeat until nothing helps; then the other data type.
    """
    space = run.problem.space
    for data_type in space.data_types:
        now = space.parameters(Setting(data_type))
        observed = run.measure(now)
        order = _by_nodes(run)
        for op_type in order:
            if observed is not None and observed.meets:
                break
            tried = {**now, f"list:{op_type}": "deny"}
            better = run.measure(tried)
            if better is not None and (observed is None or better.drop < observed.drop):
                now, observed = tried, better
        improved = True
        while improved:
            improved = False
            for op_type in order:
                if now[f"list:{op_type}"] == "allow":
                    continue
                tried = {**now, f"list:{op_type}": "allow"}
                better = run.measure(tried)
                if _is_better(better, observed):
                    now, observed, improved = tried, better, True


def _by_nodes(run: Run) -> list[str]:
    viewer = run.problem.viewer
    nodes = dict(zip(viewer.op_types, viewer.nodes.tolist(), strict=True))
    return sorted(run.problem.space.op_types, key=lambda op_type: -nodes.get(op_type, 0.0))


def _is_better(one: Observed | None, other: Observed | None) -> bool:
    if one is None or not one.meets or one.speedup is None:
        return False
    return other is None or other.speedup is None or one.speedup > other.speedup


def fall_back(run: Run, _: int) -> None:
    """Neural Compressor 2.6's strategy for mixed precision, as far as lists can say it.

    Everything that can be 16-bit is; then each op type alone falls back to FP32; then they fall
    back together, in the order of the accuracy that each gained alone. (Single nodes, its third
    stage, are out of reach of lists.) It ends with the first setting that meets the goal; here the
    other data type has its turn then.
    """
    space = run.problem.space
    for data_type in space.data_types:
        start = everything(space, data_type)
        whole = run.measure(start)
        if whole is not None and whole.meets:
            continue
        gained = {}
        for op_type in space.op_types:
            alone = run.measure({**start, f"list:{op_type}": "deny"})
            if alone is not None and alone.meets:
                break
            gained[op_type] = float("inf") if alone is None else alone.drop
        else:
            now = start
            for op_type in sorted(gained, key=lambda one: gained[one]):
                now = {**now, f"list:{op_type}": "deny"}
                together = run.measure(now)
                if together is not None and together.meets:
                    break


def _samplers() -> dict[str, Callable[[Run, int], BaseSampler]]:
    found: dict[str, Callable[[Run, int], BaseSampler]] = {
        "random": lambda _, seed: RandomSampler(seed=seed),
        "nsga2": lambda _, seed: NSGAIISampler(seed=seed, population_size=20),
        "tpe": lambda _, seed: TPESampler(seed=seed),
        "tpe multivariate": lambda _, seed: quiet(lambda: TPESampler(seed=seed, multivariate=True)),
    }
    if importlib.util.find_spec("torch") is not None:
        found["gp"] = _gp
    return found


def _gp(run: Run, seed: int) -> BaseSampler:
    # It needs PyTorch, which is not among what is installed.
    module = importlib.import_module("gaussian_process")
    return quiet(partial(module.CategoryGPSampler, seed, often=not run.knows_graphs))


def _amp(run: Run, seed: int) -> BaseSampler:
    return AmpSampler(seed, run.problem.space, run.problem.viewer)


def _olive(_: Run, seed: int) -> BaseSampler:
    return quiet(lambda: TPESampler(seed=seed, multivariate=True, group=True))


ANCHORED = ", anchors and dedupe"
#: As many workers as a rack has servers.
WORKERS = 8
IN_FLIGHT = f", {WORKERS} in flight"
#: Name to (method, whether it knows graphs: known ones cost nothing).
METHODS: dict[str, tuple[Method, bool]] = {
    "amp": (optuna_method(_amp, anchored=True), True),
    f"amp{IN_FLIGHT}": (optuna_method(_amp, anchored=True, in_flight=WORKERS), True),
    **{
        f"{name}{ANCHORED}": (optuna_method(make, anchored=True), True)
        for name, make in _samplers().items()
    },
    **{name: (optuna_method(make, anchored=False), False) for name, make in _samplers().items()},
    "guide by hand": (manual, True),
    "Neural Compressor 2.6": (fall_back, True),
    "Olive": (optuna_method(_olive, anchored=False, redraws=True), False),
}


def run_method(name: str, run: Run, seed: int) -> None:
    """Lets a method use up a run's budget, or end by itself."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        METHODS[name][0](run, seed)
    except BudgetUsedUpError:
        return
