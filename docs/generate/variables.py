"""The reference of environment variables, from the table that reads and writes them."""

from __future__ import annotations

import re

from amp_tuner.amp.environment import FAMILIES, family_variables, list_variables
from docs.generate.markdown import code, table

_INTRO = """\
# Variables

Two families of environment variables, one for each pass. TensorFlow reads its own when a session
runs a signature for the first time; ITEX's are read whenever a graph is optimised. Set them before
the program starts. `best.env` unsets a whole family before it sets what a setting needs.

Lists are op types with commas between them. Nothing is trimmed (`"A, B"` names `A` and ` B`), names
are exact, and an op type that nobody knows is ignored in silence. Additions come before removals.
An op type in two lists makes the pass fail, and the model then runs in FP32 without a word to the
program: to move an op type, add it to one list *and* remove it from the other. What amp-tune writes
always does both.
"""

#: What each variable does, by the end of its name.
_MEANINGS = {
    "": "`1` switches the pass on, `0` (the default) off; any other text, the empty one too, "
    "aborts the process",
    "DATA_TYPE": "`BFLOAT16` or `FLOAT16`; default: `BFLOAT16` on a CPU, `FLOAT16` on a GPU; any "
    "other text makes the pass fail",
    "UNSAFE_FORCE_ALL": "`1` makes this pass fail, whatever its documentation says",
    "LOG_PATH": "an existing folder, to which the pass writes the graph before and after, and its "
    "lists; `amp-tune inspect FOLDER` reads it",
    "LEVEL": "`TREAT_INFER_AS_DENY`, `TENSOR_CORES_ONLY` or `UNSAFE_FORCE_ALL`; other text is "
    "ignored in silence",
    "IGNORE_PERFORMANCE": "`1`: of FP16 on CUDA, do not ask whether the GPU has Tensor Cores",
    "SIMULATE_GPU": "`1`: take nodes without a device for nodes on a GPU",
    "EMULATE_FP16": "`0`: FP16 on a CPU computes in FP16; by default the pass computes in FP32 "
    "and only surrounds nodes with casts",
}
_TITLES = {"tensorflow": "Stock TensorFlow", "itex": "Intel Extension for TensorFlow"}
_SWITCHED_ON = {
    "tensorflow": "These variables do not switch the pass on. The program does, by an optimizer "
    "option before its first graph runs (`auto_mixed_precision_onednn_bfloat16` for BF16 on a CPU, "
    "with `TF_ENABLE_ONEDNN_OPTS=1`; `auto_mixed_precision_cpu` for FP16 on a CPU; "
    "`auto_mixed_precision` for FP16 on CUDA). `best.py` does all of it.",
    "itex": "These variables do all of it; the program needs no change. A field of ITEX's Python "
    "API that is not empty wins over its variable: use one of the two, never both.",
}


def variables() -> str:
    """The page."""
    parts = [_INTRO]
    for family in FAMILIES:
        parts += [f"\n## {_TITLES[family]}\n\n{_SWITCHED_ON[family]}\n\n", _family(family)]
    return "".join(parts)


def _family(family: str) -> str:
    edits = {variable: (name, edit) for variable, name, edit in list_variables(family)}
    names = family_variables(family)
    start = re.match(r"(?:TF|ITEX)_AUTO_MIXED_PRECISION(?:_GRAPH_REWRITE)?", names[0])
    assert start is not None

    def meaning(variable: str) -> str:
        if variable not in edits:
            return _MEANINGS[variable.removeprefix(start[0]).lstrip("_")]
        name, edit = edits[variable]
        what = "join" if edit == "ADD" else "leave"
        legacy = "" if name.upper() in variable else " (the older name, applied after the new one)"
        return f"op types that {what} {name.upper()}{legacy}"

    return table(("variable", "what it does"), ((code(name), meaning(name)) for name in names))
