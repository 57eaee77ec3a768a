"""``amp-tune check``: does everything work, and what will a night hold?"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from amp_tuner.amp.rules import ITEX
from amp_tuner.cli.rows import compared_row
from amp_tuner.cli.terminal import Row, comparison, make_console, working
from amp_tuner.config.load import load_study
from amp_tuner.errors import TargetError
from amp_tuner.judge.metrics import samples_word
from amp_tuner.study.comparing import Compared, compare, is_float32
from amp_tuner.study.fleet import check_database
from amp_tuner.study.session import Session, open_session
from amp_tuner.text import duration

_ADVICE = "use another runtime or machine, or leave that data type out of target.data_types"
#: Without it they end the process, by SIGABRT or SIGSEGV, whichever kernel comes first. Tried by
#: limiting oneDNN's instructions: AVX512_CORE runs, AVX2 and its VNNI kinds abort.
_ITEX_ADVICE = (
    "use runtime engine or tensorflow, or another machine (ITEX's BF16 kernels need AVX-512)"
)


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: FP32 or default AMP cannot run on this target.
    """
    console = make_console()
    size = options.batch_size
    config = load_study(options.config, overrides={"data.batch_size": size} if size else None)
    check_database(config)
    with tempfile.TemporaryDirectory(prefix="amp-tune-") as work:
        with working(console, "starting a worker, loading the model"):
            session = open_session(config, Path(work))
        try:
            _describe(session)
            rows, seconds, failed = [], [], []
            began = time.monotonic()
            with working(console, "measuring FP32 and default AMP"):
                for compared in compare(session, {}):
                    rows.append(compared_row(compared))
                    if compared.measurement is not None and not is_float32(compared):
                        seconds.append(time.monotonic() - began)
                    began = time.monotonic()
                    if compared.cause is not None:
                        failed.append(compared)
        finally:
            session.bench.close()
    console.print(comparison(_sorted(rows), config.accuracy.metric))
    for compared in failed:
        raise _cannot_run(compared, config.target.runtime)
    _budget(session, seconds)
    return 0


def _describe(session: Session) -> None:
    loaded, space = session.loaded, session.space
    print(f"model: {loaded.nodes} nodes, {loaded.weight_bytes / 2**20:.1f} MiB of weights")
    for kind, tensors in (("input", loaded.inputs), ("output", loaded.outputs)):
        for tensor in tensors:
            print(f"  {kind} {tensor.name}: {tensor.dtype} {_shape(tensor.shape)}")
    searched, held = len(session.data.search), len(session.data.holdout)
    word = samples_word(session.config.accuracy.metric)
    print(f"data: {searched} {word} to search on, {held} held back")
    if space.op_types:
        print(f"op types that can be tuned: {', '.join(space.op_types)}")
    else:
        reason = session.planner.why_nothing(space)
        print(f"nothing to tune in this graph, because {reason}")
    for notice in session.notices:
        print(f"note: {notice}")


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "of any shape"
    return "[" + ", ".join("?" if size < 0 else str(size) for size in shape) + "]"


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.data_type != "float32")


def _cannot_run(compared: Compared, runtime: str) -> TargetError:
    message = (
        f"{compared.name} does not run on this target ({compared.cause}), while FP32 does: "
        f"{_ITEX_ADVICE if runtime == ITEX else _ADVICE}"
    )
    return TargetError(f"{message}\n{compared.last_words}".rstrip())


def _budget(session: Session, seconds: list[float]) -> None:
    config = session.config
    if not seconds:
        print("default AMP changes nothing here, so a trial's cost is not known yet")
        return
    trial_s = statistics.median(seconds)
    line = f"a trial takes about {duration(trial_s)}"
    budget_s = config.search.time_budget_s
    if budget_s is None:
        print(f"{line}; {config.search.trials} trials: {duration(trial_s * config.search.trials)}")
    else:
        fit = min(config.search.trials, int(budget_s / trial_s))
        print(f"{line}; {fit} of {config.search.trials} fit into {config.search.time_budget}")
    sys.stdout.flush()
