"""``amp-tune verify``: does a published point still hold, here?"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amp_tuner.cli.output import write_json_output
from amp_tuner.cli.terminal import checks_table, make_console, working
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.files import digest
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Point
from amp_tuner.results.points import read_point
from amp_tuner.study.published import baseline_states, point_file, study_of
from amp_tuner.study.session import open_session
from amp_tuner.study.verifying import ELSEWHERE, STALE, VALID, Verdict, model_check, verify

_EXIT_CODES = {VALID: 0, STALE: 1, ELSEWHERE: 4}


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: no such study or point, or its model, data or metric does not work here.
        TargetError: the target cannot run the FP32 model.
    """
    folder = RunFolder(options.run)
    point = _point(folder, options.point)
    if point.modelled_for is not None:
        message = (
            f"point {point.number}'s speed is modelled for {point.modelled_for}, so there is no "
            "measurement to verify; measure its lists on the device: amp-tune compare --config "
            "STUDY --lists POINT, with another runtime"
        )
        raise InputError.one("RUN", message)
    config = study_of(folder, _changes(options, point))
    verdict = _verdict(config, point, baseline_states(folder))
    console = make_console()
    console.print(verdict.sentence(), markup=False)
    console.print(checks_table(verdict.checks))
    if options.json is not None:
        _write(options.json, point, verdict)
    return _EXIT_CODES[verdict.answer]


def _point(folder: RunFolder, wanted: str) -> Point:
    """A point of the study by name or number, or one that lies elsewhere (a file)."""
    if wanted.endswith((".yaml", ".yml")):
        return read_point(Path(wanted))
    return read_point(point_file(folder, wanted))


def _changes(options: argparse.Namespace, point: Point) -> dict[str, dict[str, Any]]:
    """What is different here from the study file, as the options say."""
    target: dict[str, Any] = {}
    if options.python is not None:
        target["python"] = options.python
    if options.threads is not None:
        target["threads"] = options.threads
    if options.runtime not in (None, point.runtime):
        # FP32 is verified beside whatever data types that runtime has.
        data_type = point.setting.data_type
        data_types = None if data_type == FLOAT32 else [data_type]
        target.update(runtime=options.runtime, rules=None, data_types=data_types, baseline=None)
        if point.runtime == "xla":
            # The study's interpreter is the runner's, which has JAX.
            target["python"] = options.python
    data = {"path": _absolute(options.data), "batch_size": options.batch_size}
    sections = {
        "target": target,
        "model": {"path": _absolute(options.model)},
        "data": data,
    }
    # An option that was not given changes nothing.
    kept = ("rules", "data_types", "baseline", "python")
    return {
        name: {key: value for key, value in values.items() if value is not None or key in kept}
        for name, values in sections.items()
    }


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _verdict(config: StudyConfig, point: Point, baseline: dict[str, bool]) -> Verdict:
    changed = model_check(point, digest(config.model.path))
    if changed.answer != VALID:
        return Verdict((changed,))
    console = make_console()
    with tempfile.TemporaryDirectory(prefix="amp-tune-") as work:
        with working(console, "starting a worker, loading the model"):
            session = open_session(config, Path(work))
        try:
            with working(console, "verifying"):
                return verify(session, point, baseline, lambda _: None)
        finally:
            session.bench.close()


def _write(path: Path, point: Point, verdict: Verdict) -> None:
    content = {
        "format": 1,
        "study": point.study,
        "point": point.number,
        "answer": verdict.answer,
        "checks": [asdict(check) for check in verdict.checks],
    }
    write_json_output("--json", path, content)
