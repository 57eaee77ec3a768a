"""Files that the command line names: written whole, or refused with their option."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from amp_tuner.errors import InputError
from amp_tuner.files import write_text

_TO_OUTPUT = Path("-")


def write_output(option: str, path: Path, text: str, *, shared: bool = True) -> None:
    """Writes ``text``; others may read it as far as the umask lets them, unless not ``shared``.

    Raises:
        InputError: it cannot be written; ``option`` is the place.
    """
    if path.is_dir():
        raise InputError.one(option, f"{path} is a folder; name a file")
    try:
        write_text(path, text, shared=shared)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError.one(option, f"cannot write to {path}: {reason}") from error


def write_json_output(option: str, path: Path, content: Any) -> None:
    """The same for JSON, which ``-`` prints.

    Raises:
        InputError: as in :func:`write_output`.
    """
    if path == _TO_OUTPUT:
        json.dump(content, sys.stdout, indent=1)
        print()
    else:
        write_output(option, path, json.dumps(content, allow_nan=False))
