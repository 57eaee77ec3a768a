"""``best.env``: a point's variables, to be sourced by any POSIX shell before the program starts."""

from __future__ import annotations

import shlex

from amp_tuner.records import Point
from amp_tuner.results.variables import Variables, point_variables


def environment_text(point: Point, *, measured: bool, baked: bool = False) -> str:
    """The file's text: comments, ``unset`` of the whole family, then one ``export`` a variable.

    Args:
        point: what to run; its family's variables are written.
        measured: whether the family's own pass was what was measured. For runtime ``engine``,
            and for a family other than the measured one, it was not, and the first line says so.
        baked: write the switches around the baked model instead.

    Raises:
        InputError: the point names a rule set that is not known.
        ValueError: a variable's name is no name, or its value cannot be a variable's.
    """
    found = point_variables(point, measured=measured, baked=baked)
    lines = [*(f"# {comment}" for comment in found.comments), *shell_lines(found)]
    return "\n".join(lines) + "\n"


def shell_lines(found: Variables) -> list[str]:
    """Commands of any POSIX shell: the whole family is removed first, values are quoted."""
    return [
        *(f"unset {name}" for name in found.how.unset),
        *(f"export {name}={shlex.quote(value)}" for name, value in found.how.variables.items()),
    ]
