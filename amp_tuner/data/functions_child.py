"""The process that calls a user's function: ``python -m amp_tuner.data.functions_child FOLDER``.

Reads ``FOLDER/request.json`` (``task``: ``score`` or ``data``, ``function``, limits; for a score
also ``groups`` and ``seed``) and ``arguments.npz``; writes ``reply.json`` (``{"error": text}`` if
the function is at fault) and, for data, ``result.npz``. See ``amp_tuner.data.functions``.
"""

from __future__ import annotations

import importlib
import json
import math
import numbers
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from amp_tuner.data.arrays import write_arrays
from amp_tuner.text import public_functions

Array = NDArray[Any]
Function = Callable[..., Any]
#: Seconds that the tuner has to end this process before it ends itself.
_GRACE_S = 5.0


class FunctionError(Exception):
    """The user's function is at fault; the message follows its name in a sentence."""


def main(folder: Path) -> None:
    """Answers the one request in ``folder``."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    # If the tuner is killed nobody else ends a function that hangs.
    signal.setitimer(signal.ITIMER_REAL, request["time_limit_s"] + _GRACE_S)
    try:
        function = _find(request["function"])
        reply = _score(function, request, folder) if request["task"] == "score" else {}
        if request["task"] == "data":
            arrays = _batches(function)
            with (folder / "result.npz").open("wb") as file:
                write_arrays(file, arrays)
    except FunctionError as error:
        reply = {"error": str(error)}
    (folder / "reply.json").write_text(json.dumps(reply), "utf-8")


def _find(name: str) -> Function:
    module_name, _, attribute = name.partition(":")
    module = _call("cannot be imported", importlib.import_module, module_name)
    function: Any = getattr(module, attribute, None)
    if function is None:
        has = public_functions(module)
        raise FunctionError(f"does not exist: {module_name} has no {attribute!r}; it has {has}")
    if not callable(function):
        raise FunctionError(f"is not a function but {type(function).__name__}")
    return cast("Function", function)


def _call(failing: str, function: Function, *arguments: Any) -> Any:
    """Calls the user's code; whatever it raises is its own fault, and told."""
    try:
        return function(*arguments)
    except MemoryError as error:
        raise FunctionError(f"{failing}: more memory than the limit") from error
    except (Exception, SystemExit) as error:
        raise FunctionError(f"{failing}: {_last_line(error)}") from error


def _last_line(error: BaseException) -> str:
    last = traceback.format_exception_only(error)[-1].strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__]
    if own and "importlib" not in own[-1].filename:
        return f"{last} ({Path(own[-1].filename).name}, line {own[-1].lineno})"
    return last


def _score(function: Function, request: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    with np.load(folder / "arguments.npz", allow_pickle=False) as file:
        reference, candidate = file["reference"], file["candidate"]
        labels = file.get("labels")

    def score(outputs: Array, rows: Array | slice) -> float:
        some_labels = None if labels is None else labels[rows]
        found = _call("raised", function, outputs[rows], some_labels, reference[rows])
        return _finite(found)

    everything = slice(None)
    whole = {"reference": score(reference, everything), "candidate": score(candidate, everything)}
    order = np.random.default_rng(request["seed"]).permutation(len(reference))
    without_group = []
    for group in np.array_split(order, request["groups"]):
        if len(group) == len(order):
            break
        rows = np.setdiff1d(order, group)
        without_group.append((score(reference, rows), score(candidate, rows)))
    return {**whole, "without_group": without_group}


def _finite(found: Any) -> float:
    if isinstance(found, np.ndarray) and found.size == 1:
        found = found.item()
    if type(found) is bool or not isinstance(found, numbers.Real):
        raise FunctionError(f"gave {type(found).__name__}; allowed: one number")
    if not math.isfinite(found):
        raise FunctionError(f"gave {float(found)}; allowed: a finite number")
    return float(found)


def _batches(function: Function) -> dict[str, Array]:
    given = _call("raised", function)
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, Iterable):
        raise FunctionError(
            f"gave {type(given).__name__}; allowed: a mapping of names to arrays, or an iterable "
            "of such batches"
        )
    batches = [_batch(item) for item in _call("raised", list, given)]
    if not batches:
        raise FunctionError("gave no batches")
    names = list(batches[0])
    if any(list(batch) != names for batch in batches):
        raise FunctionError("gave batches with different names; allowed: the same in each")
    return {
        name: _call("gave arrays that do not fit", np.concatenate, [b[name] for b in batches])
        for name in names
    }


def _batch(item: Any) -> dict[str, Array]:
    if not isinstance(item, Mapping) or not item:
        raise FunctionError(
            f"gave a batch that is {type(item).__name__}; allowed: a mapping of names to arrays"
        )
    arrays = {str(name): _call("gave no array", np.asarray, item[name]) for name in sorted(item)}
    for name, array in arrays.items():
        if array.dtype.hasobject or array.ndim == 0:
            what = "Python objects" if array.dtype.hasobject else "a single value"
            raise FunctionError(
                f"gave {what} as {name!r}; allowed: numbers or text, one row a sample"
            )
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise FunctionError(f"gave a batch of different lengths: {lengths}")
    return arrays


if __name__ == "__main__":
    main(Path(sys.argv[1]))
