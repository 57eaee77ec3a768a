"""Tunes the op lists of TensorFlow's automatic mixed precision by measurement.

What is named here is imported when it is used: a worker has NumPy and TensorFlow only, and imports
this package, too. ``__init__.pyi`` says the same to type checkers.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "AmpTunerError",
    "InputError",
    "Problem",
    "RewriteError",
    "StorageLost",
    "StudyConfig",
    "StudyPoint",
    "StudyResult",
    "TargetError",
    "WorkerFailure",
    "__version__",
    "load_study",
    "read_result",
    "tune",
]

_ERRORS = (
    *("AmpTunerError", "InputError", "Problem", "RewriteError", "StorageLost", "TargetError"),
    "WorkerFailure",
)
_MODULES = {
    **dict.fromkeys(_ERRORS, "errors"),
    "StudyConfig": "config.model",
    "StudyPoint": "api.study_point",
    "StudyResult": "api.study_result",
    "load_study": "config.load",
    "read_result": "api.study_result",
    "tune": "api.tune",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
