"""The studies of runtime ``xla`` on the device at hand, and one table of their results.

Each model is tuned at batch 1 and at its study's batch size, once with the rule sets of each pass
whose default AMP is compared: on a GPU those of ITEX's GPU pass and of TensorFlow's CUDA pass.
What stands in the table is what the studies published: measured again, on samples held back.

    .venv/bin/python experiments/accelerator/run.py --device gpu [--python PYTHON] [--output DIR]

The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml
from common import JAX, RESULTS, XLA_STUDIES

from amp_tuner.config.load import load_study
from amp_tuner.errors import InputError
from amp_tuner.files import write_text
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Accuracy, Interval, Point, Timing, baseline_name
from amp_tuner.results.points import point_name, read_front, read_point
from amp_tuner.study.ended import read_trials

#: The passes whose default AMP is compared, with their rule sets, by device.
PASSES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "gpu": {
        "ITEX GPU": {"bfloat16": "itex-gpu-bfloat16", "float16": "itex-gpu-float16"},
        "TensorFlow CUDA": {"float16": "tf-cuda-float16"},
    },
    "cpu": {
        "ITEX CPU": {"bfloat16": "itex-cpu-bfloat16"},
        "TensorFlow CPU": {"bfloat16": "tf-cpu-bfloat16", "float16": "tf-cpu-float16"},
    },
}
#: Exit codes of a study that ended: with an answer, or with none that meets the goal.
ENDED = (0, 1)
SOFTWARE = ("jax", "jaxlib", "tensorflow", "stablehlo", "platform_version", "xla_options")
HARDWARE = ("cpu", "cpu_flags", "usable_threads", "virtual", "memory_bytes", "kernel")
ON_A_CPU = """\
**These figures are a CPU's.** They show that the command works; they say nothing of accelerators.
"""
HEAD = """\
| model | batch | pass | setting | speed-up | p50, ms | p99, ms | accuracy | goal |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Study:
    """One study of the experiment.

    Attributes:
        model: the ready study's name without its prefix.
        batch_size: samples a run.
        rules_of: the pass whose rule sets it has.
        file: its study file.
        folder: its output.
    """

    model: str
    batch_size: int
    rules_of: str
    file: Path
    folder: RunFolder


def studies(options: argparse.Namespace) -> Iterator[Study]:
    """Writes the file of every study."""
    for config in options.config:
        sizes = options.batch_size or (1, load_study(config).data.batch_size)
        for size in dict.fromkeys(sizes):
            for rules_of, rules in PASSES[options.device].items():
                model = config.stem.removeprefix("xla_")
                name = f"{model}-{size}-{rules_of.lower().replace(' ', '-')}"
                folder = options.output / options.device / name
                changes = {
                    "name": name,
                    "target.device": options.device,
                    "target.python": str(options.python.absolute()),
                    "target.data_types": list(rules),
                    "target.rules": dict(rules),
                    "data.batch_size": size,
                    "output": str(folder.absolute()),
                }
                if options.trials is not None:
                    changes["search.trials"] = options.trials
                file = folder.with_suffix(".yaml")
                file.parent.mkdir(parents=True, exist_ok=True)
                write_text(file, yaml.safe_dump(load_study(config, overrides=changes).to_plain()))
                yield Study(model, size, rules_of, file, RunFolder(folder))


def has_ended(study: Study) -> bool:
    """Runs a study, or goes on with it; whether it ended with figures."""
    print(f"\n{study.file.stem}", flush=True)
    command = [sys.executable, "-m", "amp_tuner", "--config", str(study.file), "--quiet"]
    code = subprocess.run(command, check=False).returncode
    if code not in ENDED:
        print(f"{study.file.stem} is left out: exit code {code}", file=sys.stderr, flush=True)
    return code in ENDED


def published(study: Study) -> list[Point]:
    """A study's points, the fastest first."""
    entries = read_front(study.folder.pareto / "front.yaml").entries
    return [read_point(study.folder.pareto / point_name(entry.number)) for entry in entries]


def table_rows(study: Study, points: Iterable[Point]) -> Iterator[str]:
    """A line for each point, and for FP32 in its other form, which only the search measures."""
    listed = {point.number: point for point in points}
    best = read_front(study.folder.pareto / "front.yaml").best
    for number, point in listed.items():
        name = setting_name(point)
        marked = f"**{name}**" if number == best else name
        yield line(study, marked, point, point.accuracy)
    for trial in read_trials(study.folder):
        measured = None if trial.cached_from is not None else trial.measurement
        if trial.setting.data_type == FLOAT32 and trial.number not in listed and measured:
            name = f"{baseline_name(trial.setting)}, as the search saw it"
            yield line(study, name, measured.timing, measured.accuracy)


def setting_name(point: Point) -> str:
    """FP32's form, default AMP, or a tuned setting."""
    setting = point.setting
    if setting.data_type == FLOAT32:
        return baseline_name(setting)
    return f"{'tuned' if setting.moves else 'default'} {setting.data_type}"


def line(study: Study, setting: str, timed: Point | Timing | None, accuracy: Accuracy) -> str:
    """One line of the table, in Markdown."""
    latency_ms = {} if timed is None else timed.latency_ms.get("candidate", {})
    p50, p99 = (
        f"{latency_ms[name]:.4g}" if name in latency_ms else "too few runs"
        for name in ("p50", "p99")
    )
    speedup = shown(None if timed is None else timed.speedup)
    score = f"{accuracy.metric} {shown(accuracy.score)}"
    cells = (study.model, study.batch_size, study.rules_of, setting, speedup, p50, p99, score)
    return f"| {' | '.join(map(str, cells))} | {accuracy.verdict} |\n"


def shown(interval: Interval | None) -> str:
    if interval is None:
        return "not timed"
    return f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}]"


def table(device: str, measured: Mapping[Study, list[Point]]) -> tuple[str, str]:
    """The device's name, and the whole page.

    Raises:
        SystemExit: the studies ran on more than one kind of device.
    """
    points = [point for found in measured.values() for point in found]
    kinds = {str(point.software["device_kind"]) for point in points}
    if len(kinds) != 1:
        sys.exit(f"one folder holds one device's studies, found {sorted(kinds)}: see --output")
    (kind,) = kinds
    facts = [(name, points[0].software.get(name)) for name in ("compute_capability", *SOFTWARE)]
    facts += [(name, points[0].hardware.get(name)) for name in HARDWARE]
    baselines = sorted({baseline_name(point.setting) for point in points})
    lines = [text for study, found in measured.items() for text in table_rows(study, found)]
    return kind, "".join(
        (
            f"# {kind}\n\n",
            f"{ON_A_CPU}\n" if device == "cpu" else "",
            *(f"- {name}: {value}\n" for name, value in facts if value is not None),
            f"\nSpeed-ups are over {' or '.join(baselines)} at the same batch size; figures in ",
            "brackets are 95 % intervals; a study's best setting is bold.\n\n",
            HEAD,
            *lines,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=tuple(PASSES), required=True)
    parser.add_argument("--python", type=Path, default=JAX, help="an interpreter with JAX for it")
    parser.add_argument("--config", type=Path, nargs="+", default=XLA_STUDIES)
    parser.add_argument("--batch-size", type=int, nargs="+", help="default: 1 and the study's")
    parser.add_argument("--trials", type=int, help="of each study (default: the study's)")
    parser.add_argument("--output", type=Path, default=RESULTS / "accelerator", metavar="DIR")
    options = parser.parse_args()
    try:
        wanted = list(studies(options))
    except InputError as error:
        sys.exit(str(error))
    measured = {study: published(study) for study in wanted if has_ended(study)}
    if not measured:
        sys.exit("no study ended with figures")
    kind, text = table(options.device, measured)
    page = options.output / f"{re.sub(r'[^A-Za-z0-9]+', '-', kind).lower()}.md"
    write_text(page, text)
    print(f"\nwrote {page}")


if __name__ == "__main__":
    main()
