"""From a study file to a checked StudyConfig, or to every problem at once."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from amp_tuner.config import checks, execution_checks, training_checks
from amp_tuner.config.model import (
    AccuracyConfig,
    DataConfig,
    ExecutionConfig,
    ModelConfig,
    SearchConfig,
    Section,
    StudyConfig,
    StudyFile,
    TargetConfig,
    TrainingConfig,
)
from amp_tuner.config.problems import shown, translate
from amp_tuner.config.yaml12 import read_yaml
from amp_tuner.errors import InputError

AnySection = TypeVar("AnySection", bound=Section)


def load_study(
    source: Path | str | Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    check_files: bool = True,
) -> StudyConfig:
    """Reads and checks a study file, or a mapping of the keys that one would hold.

    Relative paths start at the study file's folder; ``output`` defaults to ``runs/<name>`` there.
    A mapping counts as a file ``study.yaml`` in the current folder, whether there is one or not.

    Args:
        source: the study file, or its content.
        overrides: values that replace the file's, by dotted key: ``{"search.trials": 20}``.
        check_files: False leaves out whether model and data exist, and cores can be used, here.

    Raises:
        InputError: every problem that was found.
    """
    raw, path = _read(source)
    for key, value in (overrides or {}).items():
        _override(raw, key.split("."), value)
    return check_study(raw, path, check_files=check_files)


def check_study(raw: Mapping[Any, Any], path: Path, *, check_files: bool = True) -> StudyConfig:
    """The same from the file's content as plain data.

    Raises:
        InputError: every problem that was found.
    """
    study_file = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    problems = []
    study: StudyFile | None = None
    try:
        study = StudyFile.model_validate(dict(raw))
    except ValidationError as error:
        problems = [translate(item, StudyFile) for item in error.errors(include_url=False)]
    sections = _sections(raw, study_file.parent)
    problems += checks.problems_in(sections, check_files=check_files)
    problems += execution_checks.problems_in(
        _section(ExecutionConfig, raw.get("execution")),
        sections.target,
        shared=raw.get("storage") is not None,
    )
    problems += training_checks.problems_in(sections, trains=raw.get("training") is not None)
    if problems or study is None:
        raise InputError(problems)
    assert sections.target is not None
    values = {name: getattr(study, name) for name in StudyFile.model_fields}
    return StudyConfig(
        **{
            **values,
            "model": sections.model,
            "data": sections.data,
            "target": sections.target.model_copy(
                update={"rules": checks.filled_rules(sections.target)}
            ),
            "output": _absolute(study.output or Path("runs", study.name), study_file.parent),
            "study_file": study_file,
        }
    )


def _read(source: Path | str | Mapping[str, Any]) -> tuple[dict[Any, Any], Path]:
    """The keys, free to be changed, and the file that they stand in."""
    if isinstance(source, Mapping):
        return copy.deepcopy(dict(source)), Path("study.yaml")
    raw, path = read_yaml(Path(source)), Path(source)
    if not isinstance(raw, dict):
        raise InputError.one("$", f"found {shown(raw)} in {path}; allowed: a mapping of keys")
    return raw, path


def _override(raw: dict[Any, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        section = raw.setdefault(key, {})
        if not isinstance(section, dict):
            # The section is wrong in itself, which is reported with everything else.
            return
        raw = section
    raw[keys[-1]] = value


def _sections(raw: Mapping[Any, Any], folder: Path) -> checks.Sections:
    model = _section(ModelConfig, raw.get("model", {}))
    target = _section(TargetConfig, raw.get("target", {}))
    data = _section(DataConfig, raw.get("data", {}))
    return checks.Sections(
        model=model and model.model_copy(update={"path": _absolute(model.path, folder)}),
        target=target and target.model_copy(update=_filled_target(target, folder)),
        data=data and data.model_copy(update={"path": data.path and _absolute(data.path, folder)}),
        accuracy=_section(AccuracyConfig, raw.get("accuracy", {})),
        search=_section(SearchConfig, raw.get("search", {})),
        training=_section(TrainingConfig, raw.get("training")),
    )


def _section(kind: type[AnySection], raw: Any) -> AnySection | None:
    try:
        return kind.model_validate(raw)
    except ValidationError:
        # Reported by the validation of the whole file; checks across sections go without it.
        return None


def _filled_target(target: TargetConfig, folder: Path) -> dict[str, Any]:
    update: dict[str, Any] = {
        "data_types": checks.filled_data_types(target),
        "threads": checks.filled_threads(target),
    }
    if target.profile is not None:
        update["profile"] = _absolute(target.profile, folder)
    if target.python is not None and "/" in target.python:
        # A bare name such as python3.9 is found on PATH when the worker is started.
        update["python"] = str(_absolute(Path(target.python), folder))
    return update


def _absolute(path: Path, folder: Path) -> Path:
    # abspath and not resolve: an interpreter in a virtual environment is a link, and must stay one.
    return Path(os.path.abspath(folder / path))  # noqa: PTH100
