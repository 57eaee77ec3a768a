"""A training step that a function of a Python file returns, written as a SavedModel.

The file is the user's own code and runs in the worker: a study file must allow it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader_graph import first_line
from amp_tuner.text import public_functions
from amp_tuner.worker.protocol import ModelSource


@dataclass(frozen=True)
class _Called:
    """A step and its one graph, whose variables live only as long as the step does."""

    step: Any
    concrete: Any

    def variables(self) -> list[Any]:
        """The values of its variables, in the order in which it uses them."""
        by_handle = {id(one.handle): one for one in self.concrete.graph.variables}
        used = [by_handle.get(id(tensor)) for tensor in self.concrete.captured_inputs]
        return [variable.numpy() for variable in used if variable is not None]


def export_step(source: ModelSource, folder: str) -> None:
    """Calls the function and saves the step that it returns as the signature ``source.signature``.

    Args:
        source: a Python file, and the name of one of its functions in ``training``.
        folder: where to.

    Raises:
        InputError: the file or the function fails, or gives nothing that can be saved.
    """
    assert source.training is not None, "only training steps come from Python files"
    assert source.training.function is not None, "only training steps come from Python files"
    name = source.training.function
    where = source.path
    function = _function(where, name)
    step, again = _called(function, where, name), _called(function, where, name)
    if not _same(step.variables(), again.variables()):
        raise InputError.one(
            where,
            f"{name}() begins with other variables at each call, so two settings cannot be "
            "compared; seed it first of all: tf.keras.utils.set_random_seed(0)",
        )
    holder = tf.Module()
    # A SavedModel holds the variables that its root object does.
    holder.variables_of_step = list(step.concrete.graph.variables)
    try:
        tf.saved_model.save(holder, folder, signatures={source.signature: step.concrete})
    except (ValueError, TypeError, AssertionError, tf.errors.OpError) as error:
        text = f"the step of {name}() cannot be saved: {first_line(error)}"
        raise InputError.one(where, text) from error


def _same(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def _function(path: str, name: str) -> Any:
    place = Path(path)
    if not place.is_file():
        raise InputError.one(path, "no such file; allowed is a Python file")
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None, "a path that ends in .py"
    assert spec.loader is not None, "a path that ends in .py"
    module = importlib.util.module_from_spec(spec)
    # Its neighbours may be imported now, or by the function.
    sys.path.insert(0, str(place.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        raise InputError.one(path, f"it cannot be imported: {first_line(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        has = public_functions(module)
        raise InputError.one(path, f"it has no function {name!r}; it has {has}")
    return function


def _called(function: Callable[[], Any], where: str, name: str) -> _Called:
    """The step that the function returns, traced."""
    try:
        step = function()
    except Exception as error:  # the user's own code may raise anything
        raise InputError.one(where, f"{name}() raised {first_line(error)}") from error
    if not hasattr(step, "get_concrete_function"):
        found = type(step).__name__
        raise InputError.one(where, f"{name}() returned {found}; allowed: a tf.function")
    try:
        return _Called(step, step.get_concrete_function())
    except Exception as error:  # tracing runs the user's own code
        text = f"the tf.function of {name}() cannot be traced: {first_line(error)}"
        raise InputError.one(where, f"{text}; give it an input_signature") from error
