"""A point's variables where no shell reads them: ``docker run --env-file``, systemd, Kubernetes.

Docker takes a line's text after ``=`` as it stands; systemd takes quotes and backslashes out of it
(systemd.exec(5), EnvironmentFile=). So a value is written only if both read the same. Neither can
remove a variable that an image or a unit sets: the comments name those that must not be there.
"""

from __future__ import annotations

import re

import yaml

from amp_tuner.errors import InputError
from amp_tuner.records import Point
from amp_tuner.results.variables import Variables, point_variables

#: Lists of op types, numbers, switches and XLA's flags; nothing that a reader could take out.
_SAME_TO_ALL = re.compile(r"[A-Za-z0-9_,.:=/+-]*")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
#: Names of Kubernetes objects are DNS labels (RFC 1123).
_LONGEST_NAME = 63


def container_text(point: Point, *, measured: bool, baked: bool) -> str:
    """A file for ``docker run --env-file`` and for ``EnvironmentFile=`` of a systemd unit.

    Raises:
        InputError: the point names an unknown rule set, or a value that the two would not read
            alike.
    """
    found = point_variables(point, measured=measured, baked=baked)
    lines = [
        *(f"# {line}" for line in (*found.comments, *_must_be_absent(found))),
        *(f"{name}={_plain(name, value)}" for name, value in found.how.variables.items()),
    ]
    return "\n".join(lines) + "\n"


def config_map_text(point: Point, *, measured: bool, baked: bool) -> str:
    """A Kubernetes ConfigMap, to be named under a container's ``envFrom``.

    Raises:
        InputError: the point names a rule set that is not known.
    """
    found = point_variables(point, measured=measured, baked=baked)
    name = config_map_name(point)
    use = f"use: containers[].envFrom: [{{configMapRef: {{name: {name}}}}}]"
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/created-by": "amp-tune"}},
        "data": dict(found.how.variables),
    }
    comments = (*found.comments, *_must_be_absent(found), use)
    text = yaml.safe_dump(config_map, sort_keys=False, allow_unicode=False)
    return "".join(f"# {line}\n" for line in comments) + text


def config_map_name(point: Point) -> str:
    """``amp-tune-STUDY-NUMBER``, of the letters that Kubernetes allows."""
    end = f"-{point.number}"
    study = _NOT_IN_A_NAME.sub("-", point.study.lower()).strip("-") or "study"
    start = f"amp-tune-{study}"[: _LONGEST_NAME - len(end)]
    return f"{start.rstrip('-')}{end}"


def _must_be_absent(found: Variables) -> list[str]:
    absent = [name for name in found.how.unset if name not in found.how.variables]
    if not absent:
        return []
    unset = f"systemd: UnsetEnvironment={' '.join(absent)}"
    return [f"These must not be set by the image, the unit or the pod ({unset})"]


def _plain(name: str, value: str) -> str:
    if _SAME_TO_ALL.fullmatch(value):
        return value
    message = (
        f"{name}={value!r} would be read differently by Docker and by systemd; allowed are "
        "letters, digits and _ , . : = / + - (--format env and kubernetes quote everything)"
    )
    raise InputError.one("--format", message)
