"""Variables from a file as a shell would source it: ``best.env``, or one that a user wrote."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from amp_tuner.errors import InputError, Problem

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def read_environment(path: Path) -> dict[str, str]:
    """What the file leaves set: lines ``export NAME=value``, ``NAME=value`` and ``unset NAME``.

    Quotes and comments are the shell's; nothing is expanded and nothing is run.

    Raises:
        InputError: it cannot be read, or a line is something else; every such line at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.one(str(path), f"cannot be read: {error}") from error
    found: dict[str, str] = {}
    problems = [
        Problem(f"{path}:{number}", f"{problem}; allowed: [export] NAME=value")
        for number, line in enumerate(text.splitlines(), start=1)
        if (problem := _apply(line, found))
    ]
    if problems:
        raise InputError(problems)
    return found


def _apply(line: str, found: dict[str, str]) -> str | None:
    """Changes ``found`` as the line says; the problem where it is no such line."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        return str(error)
    if words[:1] == ["unset"]:
        for name in words[1:]:
            found.pop(name, None)
        return None
    for word in words[1:] if words[:1] == ["export"] else words:
        match = _ASSIGNMENT.fullmatch(word)
        if match is None:
            return f"no assignment: {word!r}"
        if "$" in match[2] or "`" in match[2]:
            return f"{match[1]} would be expanded by a shell"
        found[match[1]] = match[2]
    return None
