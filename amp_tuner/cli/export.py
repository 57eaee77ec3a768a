"""``amp-tune export``: one point of a front, ready to use."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from amp_tuner.amp.rules import ITEX
from amp_tuner.cli.export_model import bake, predicted
from amp_tuner.cli.export_serving import write_serving_folder
from amp_tuner.cli.output import write_output
from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import Point
from amp_tuner.results.activation import is_baked
from amp_tuner.results.container_files import config_map_text, container_text
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.points import read_point
from amp_tuner.results.python_snippet import python_text
from amp_tuner.study.published import point_file

#: Forms that hold what was measured, and no variables of a family.
_AS_MEASURED = ("yaml", "savedmodel")


@dataclass(frozen=True)
class _Wanted:
    """A point in the form that is deployed.

    Attributes:
        point: as measured, or as predicted for another runtime.
        other: it was predicted for a runtime that was not measured.
    """

    point: Point
    other: bool

    @property
    def measured(self) -> bool:
        """The family's own pass was what was measured."""
        return self.point.runtime == self.point.family and not self.other

    @property
    def baked(self) -> bool:
        """The baked model was what was measured."""
        return is_baked(self.point) and not self.other


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: no such study or point, or it cannot be had in that form.
        TargetError: no TensorFlow to bake the model or to paint it for another runtime.
    """
    folder = RunFolder(options.run)
    path = point_file(folder, options.point)
    point = read_point(path)
    if options.format in _AS_MEASURED and options.runtime is not None:
        message = f"is for variables; {options.format} is what was measured"
        raise InputError.one("--runtime", message)
    if options.format == "savedmodel":
        _bake(folder, point, options.output or folder.root / "best")
    elif options.format == "yaml":
        _write(path.read_text(encoding="utf-8"), options.output)
    elif options.format == "tf-serving":
        wanted = _wanted(folder, point, options)
        write_serving_folder(
            folder,
            wanted.point,
            options.output,
            measured=wanted.measured,
            baked=wanted.baked,
        )
    else:
        _write(_text(_wanted(folder, point, options), options.format), options.output)
    return 0


def _wanted(folder: RunFolder, point: Point, options: argparse.Namespace) -> _Wanted:
    runtime = options.runtime
    if options.format == "itex-python":
        if runtime not in (None, ITEX):
            message = "itex-python is for itex; --format python has the others"
            raise InputError.one("--runtime", message)
        runtime = ITEX
    other = runtime not in (None, point.runtime)
    return _Wanted(predicted(folder, point, runtime) if other else point, other)


def _text(wanted: _Wanted, form: str) -> str:
    point = wanted.point
    if form in ("python", "itex-python"):
        return python_text(point, baked=wanted.baked)
    if form == "docker":
        return container_text(point, measured=wanted.measured, baked=wanted.baked)
    if form == "kubernetes":
        return config_map_text(point, measured=wanted.measured, baked=wanted.baked)
    compiled = point.runtime == "xla" and not wanted.other
    return environment_text(point, measured=wanted.measured, baked=compiled)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        write_output("--output", output, text)


def _bake(folder: RunFolder, point: Point, output: Path) -> None:
    if output.exists():
        raise InputError.one("--output", f"{output} exists; name a new path")
    bake(folder, point, output)
    print(f"{output}: trial {point.number}, {point.setting.data_type}, weights folded")
