"""Everything that must work before the first trial: target, model, data, metric, graph, space."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.amp.rules import RuleSet
from amp_tuner.config.model import StudyConfig
from amp_tuner.data.samples import DataSet, open_data
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.files import digest
from amp_tuner.judge.accuracy import check_metric
from amp_tuner.measure.hardware import hardware_facts
from amp_tuner.records import BAKED, FLOAT32, Setting
from amp_tuner.roofline.device import load_profile
from amp_tuner.search.anchors import default_anchor
from amp_tuner.search.space import SearchSpace
from amp_tuner.study.planning import Planner
from amp_tuner.target.bench import Bench
from amp_tuner.target.modelled_bench import ModelledBench
from amp_tuner.target.switches import Switch, first_state, switch_of
from amp_tuner.target.training_bench import TrainingBench
from amp_tuner.target.workers import Start, Worker, model_source, starter
from amp_tuner.worker.protocol import LoadedModel


@dataclass(frozen=True)
class Session:
    """A study's working parts.

    Attributes:
        config: the study file, checked.
        loaded: the model's signature and size.
        data: the samples, checked against the signature.
        bench: measures settings; holds the workers.
        planner: paints settings.
        space: what the sampler may propose.
        software: versions that the worker reports.
        model_digest: of the model's files.
        notices: what the user should know, one sentence each.
        hardware: facts of the machine that measures, where it is not this one.
    """

    config: StudyConfig
    loaded: LoadedModel
    data: DataSet
    bench: Bench
    planner: Planner
    space: SearchSpace
    software: dict[str, Any]
    model_digest: str
    notices: tuple[str, ...]
    hardware: Mapping[str, Any] | None = None

    def rules(self) -> tuple[RuleSet, ...]:
        """The rule sets, in the order of the study's data types."""
        return tuple(painter.rules for painter in self.planner.painters.values())

    def hardware_here(self) -> Mapping[str, Any]:
        """Facts of the machine that measures."""
        if self.hardware is not None:
            return self.hardware
        return hardware_facts(cores=self.config.worker_cores)

    @property
    def switch(self) -> Switch:
        """The switch under which FP32 has several forms."""
        return self.bench.switch

    @property
    def search(self) -> str:
        """Who proposes from what: the sampler and the lists; the rest stays as it was begun."""
        return f"{self.config.search.sampler}: {', '.join(self.space.proposed)}"

    def switched(self, setting: Setting) -> Setting:
        """The setting under the state of the switch that its data type runs under."""
        # Stock TensorFlow's BF16 pass exists only with oneDNN on.
        runtime, data_type = self.config.target.runtime, setting.data_type
        needs_it = runtime == "tensorflow" and data_type == "bfloat16"
        return self.switch.put(setting, needs_it or self.bench.baseline_state)

    def is_baseline(self, setting: Setting) -> bool:
        """Whether a setting is the FP32 that all others are compared with."""
        if setting.data_type != FLOAT32:
            return False
        return self.switch.of(setting) == self.bench.baseline_state

    def identity(self) -> dict[str, Any]:
        """What must not change when the study is resumed."""
        digests = {"model": self.model_digest, "data": self.data.digest}
        if self.config.target.profile is not None:
            digests["profile"] = digest(self.config.target.profile)
        return {
            **self.config.identity(),
            "digests": digests,
            "op_types": list(self.space.op_types),
        }


def _bench_of_runtime(config: StudyConfig, *others: Any) -> Bench:
    """The bench of the study's runtime."""
    profile = config.target.profile
    if config.training is not None:
        return TrainingBench(config, *others)
    if profile is None:
        return Bench(config, *others)
    return ModelledBench(config, *others, profile=load_profile(profile))


def open_session(
    config: StudyConfig,
    work: Path,
    *,
    start: Start | None = None,
    bench_of: Callable[..., Bench] = _bench_of_runtime,
    hardware: Mapping[str, Any] | None = None,
) -> Session:
    """Starts a worker, loads the model, checks data and metric, describes the graph.

    Args:
        config: the checked study file.
        work: an existing scratch folder.
        start: how workers are started; None: as the study file says.
        bench_of: what measures.
        hardware: facts of the machine that measures; None: of this one.

    Raises:
        InputError: model, data or metric is wrong (every problem of the step that found any).
        TargetError: the target cannot run the FP32 model.
    """
    began_s = time.monotonic()
    start = start or starter(config, work)
    state = first_state(config.target)
    worker = start(state)
    try:
        software = worker.hello()
        switch = switch_of(config.target, software)
        target = config.target
        with _told("loaded the model"):
            loaded = worker.load(model_source(config), None, target.runtime, target.device)
        data = open_data(config, loaded, work)
        parts = {"to search with": data.search, "that are held back": data.holdout}
        check_metric(config.accuracy, loaded.outputs, data.labels, parts)
    except BaseException:
        worker.close()
        raise
    bench = bench_of(config, start, data, loaded, work, switch)
    try:
        bench.adopt(state, worker)
        bench.start_s = time.monotonic() - began_s
        with _told("described the graph"):
            graphs = bench.describe()
        planner = Planner.of(graphs, served=config.target.runtime not in BAKED)
        defaults = (default_anchor(data_type).setting for data_type in planner.painters)
        with _told("prepared default AMP"):
            worker.prepare(planner.plan(setting).candidate for setting in defaults)
        op_types = config.search.op_types
        space = planner.space(op_types, tuple(config.search.lists))
    except BaseException:
        bench.close()
        raise
    notices = (*loaded.notices, *data.notices, *_dropped(worker), *planner.notices())
    return Session(
        config,
        loaded,
        data,
        bench,
        planner,
        space,
        software,
        digest(config.model.path),
        notices,
        hardware,
    )


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Makes a worker's failure the target's."""
    try:
        yield
    except WorkerFailure as failure:
        message = f"the worker failed while it {what}: {failure.cause}"
        raise TargetError(f"{message}\n{failure.last_words}".strip()) from failure


def _dropped(worker: Worker) -> tuple[str, ...]:
    names = worker.dropped_variables
    return (f"kept from the worker's environment: {', '.join(names)}",) if names else ()
