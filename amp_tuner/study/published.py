"""What a finished study's folder holds, for the verbs that use its points elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amp_tuner.config.load import check_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredBaseline, StoredStudy, read_stored
from amp_tuner.results.points import point_name, read_front

NAMED = ("best", "knee", "fastest", "safest")


def front_file(folder: RunFolder) -> Path:
    """The file of the front.

    Raises:
        InputError: the folder holds no finished study.
    """
    path = folder.pareto / "front.yaml"
    if not path.exists():
        message = "holds no finished study (no pareto/front.yaml)"
        raise InputError.one(str(folder.root), message)
    return path


def point_file(folder: RunFolder, wanted: str) -> Path:
    """The file of a point that is named (``best``, ``knee``, …) or numbered.

    Raises:
        InputError: the folder holds no finished study, or no such point.
    """
    front = read_front(front_file(folder))
    numbers = [entry.number for entry in front.entries]
    if wanted in NAMED:
        number = getattr(front, wanted)
        if number is None:
            message = "no setting certainly meets the accuracy goal, so there is no best"
            raise InputError.one("--point", f"{message}; allowed: knee, fastest, safest, {numbers}")
    elif wanted.isascii() and wanted.isdigit() and int(wanted) in numbers:
        number = int(wanted)
    else:
        message = f"found {wanted!r}; allowed: {', '.join(NAMED)}, or one of {numbers}"
        raise InputError.one("--point", message)
    return folder.pareto / point_name(number)


def study_of(
    folder: RunFolder, changes: Mapping[str, Mapping[str, Any]] | None = None
) -> StudyConfig:
    """The study that a folder holds, as its study file said.

    Args:
        folder: a study's output folder.
        changes: section to keys with other values; None as a value takes the key away.

    Raises:
        InputError: every problem of the study here: files that are not where they were, say.
    """
    held = read_stored(folder.identity, StoredStudy)
    plain = dict(held.config)
    for name, values in (changes or {}).items():
        section = {**_mapping(plain.get(name)), **values}
        plain[name] = {key: value for key, value in section.items() if value is not None}
    return check_study(plain, Path(held.study_file))


def baseline_states(folder: RunFolder) -> dict[str, bool]:
    """The state of the runtime's switch, by its name, under which the study's baseline ran."""
    return read_stored(folder.root / "baseline.json", StoredBaseline).states()


def _mapping(section: Any) -> Mapping[str, Any]:
    """A section; what is none is left to the checks of the whole."""
    return section if isinstance(section, Mapping) else {}
