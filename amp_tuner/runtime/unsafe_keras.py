"""Keras files are not trusted: what could run code or read other files is found before Keras does.

A ``.keras`` archive and an ``.h5`` file carry a configuration, which names classes, functions and
modules to import, and may carry Python bytecode (``Lambda`` layers). Their HDF5 weights may point
to other files. The configuration is read as JSON, the weights' structure as HDF5.
"""

from __future__ import annotations

import builtins
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, Optional

import h5py

from amp_tuner.runtime.file_names import leads_out

_SMALL_BYTES = 1 << 26
_DENSEST = 50
_LARGEST_CONFIG_BYTES = 1 << 26
_ALLOW = "; set allow_unsafe: true if you trust the model"

#: Layers that run code or load files of the author's choice.
_UNSAFE_LAYERS = {
    "Lambda": "runs Python code that the file carries",
    "TorchModuleWrapper": "unpickles data that the file carries",
    "JaxLayer": "runs code that the file carries",
    "FlaxLayer": "runs code that the file carries",
    "TFSMLayer": "loads another model from a path",
}
_KERAS_MODULE = re.compile(r"(builtins|(tf_)?keras(\.\w+)*)\Z", re.ASCII)
#: Where Keras keeps what a configuration may name as a function.
_KERAS_FUNCTIONS = re.compile(
    r"(tf_)?keras\.(src\.)?(activations|constraints|initializers|losses|metrics|ops|regularizers)\b"
)
#: Classes have such names; what else a module holds under ``class_name`` would be called.
_CLASS_NAME = re.compile(r"(\w+>)?_?[A-Z]\w*\Z|__[a-z_]+__\Z", re.ASCII)
#: Arguments of lookup layers and of Keras 2's feature columns that may name a file.
_FILE_KEYS = ("vocabulary", "vocabulary_file")
_PLAIN_TYPES = frozenset({"bool", "dict", "float", "int", "list", "set", "slice", "str", "tuple"})
#: Keras 2 layers that call a part of TensorFlow by its name, while the file is opened.
_TENSORFLOW_LAYERS = frozenset({"ClassMethod", "InstanceMethod", "SlicingOpLambda", "TFOpLambda"})
#: What they may name: mathematics. Not ``io``, ``py_function``, ``saved_model``, ``load_library``.
_TENSORFLOW_FUNCTION = re.compile(
    r"((compat\.v[12]\.)?"
    r"(__operators__|bitwise|image|linalg|math|nn|quantization|ragged|random|signal|sparse|strings)"
    r"(\.\w+)*|RaggedTensor|SparseTensor)\Z",
    re.ASCII,
)
_TENSORFLOW_ARRAY_FUNCTIONS = frozenset(
    """
abs acos acosh add add_n argmax argmin argsort asin asinh atan atan2 atanh batch_to_space
bitcast boolean_mask broadcast_to cast ceil clip_by_norm clip_by_value complex concat constant
cos cosh cumsum divide dynamic_partition dynamic_stitch einsum ensure_shape equal exp
expand_dims eye fill floor gather gather_nd greater greater_equal identity less less_equal
linspace logical_and logical_not logical_or matmul maximum meshgrid minimum multiply negative
norm not_equal one_hot ones ones_like pad pow range rank realdiv reduce_all reduce_any
reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum repeat reshape reverse
reverse_sequence roll round saturate_cast scalar_mul scatter_nd searchsorted sequence_mask shape
sigmoid sign sin sinh size slice sort space_to_batch split sqrt square squeeze stack
stop_gradient strided_slice subtract tan tanh tensordot tile transpose truediv truncatediv
unique unstack where zeros zeros_like
""".split()  # noqa: SIM905 - a hundred quoted names would be a hundred lines
)


def unsafe_archive(archive: zipfile.ZipFile) -> list[str]:
    """One text for each member of a ``.keras`` archive that is never allowed.

    It would land outside its folder, or takes far more memory than the archive's size tells.
    """
    problems = [
        f"the archive's member {info.filename!r} leads out of its folder, which is never allowed"
        for info in archive.infolist()
        if leads_out(info.filename)
    ]
    # What Keras writes is not compressed at all; a bomb of zeros is, a thousandfold.
    unpacked_bytes = sum(info.file_size for info in archive.infolist())
    packed_bytes = sum(info.compress_size for info in archive.infolist())
    if unpacked_bytes > max(_SMALL_BYTES, _DENSEST * packed_bytes):
        problems.append(
            f"the archive's {packed_bytes} bytes unpack to {unpacked_bytes}; allowed are "
            f"{_DENSEST} times as many"
        )
    configs = [info.file_size for info in archive.infolist() if info.filename.endswith(".json")]
    if max(configs, default=0) > _LARGEST_CONFIG_BYTES:
        problems.append(
            f"its configuration has {max(configs)} bytes; allowed are {_LARGEST_CONFIG_BYTES}"
        )
    return problems


def pickled_members(names: Iterable[str]) -> list[str]:
    """One text for each member that Keras 2 would unpickle."""
    return [
        f"the archive's member {name!r} may hold pickled objects, which is refused{_ALLOW}"
        for name in names
        if name.endswith((".npz", ".npy", ".pkl", ".pickle"))
    ]


def unsafe_hdf5(file: h5py.File) -> list[str]:
    """One text for each link or dataset whose content lies in another file."""
    return [f"{text}{_ALLOW}" for text in _hdf5_problems(file, "")]


def _hdf5_problems(group: h5py.Group, prefix: str) -> Iterator[str]:
    """Walks through hard links, which cannot leave the file; every group is visited once."""
    seen = {group.id}
    waiting = [(prefix, group)]
    while waiting:
        place, current = waiting.pop()
        for name in current:
            link, full = current.get(name, getlink=True), f"{place}/{name}"
            if isinstance(link, h5py.ExternalLink):
                yield f"{full!r} is a link to the file {link.filename!r}, which is refused"
            if not isinstance(link, h5py.HardLink):
                continue
            item = current[name]
            if isinstance(item, h5py.Group) and item.id not in seen:
                seen.add(item.id)
                waiting.append((full, item))
            if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                yield f"{full!r} takes its data from another file, which is refused"


def unsafe_keras_config(config: Any) -> list[str]:
    """One text for each part of a Keras configuration that runs code, imports or reads files.

    Args:
        config: a model's configuration as JSON, of Keras 2 or 3.
    """
    return list(dict.fromkeys(f"{text}{_ALLOW}" for text in _keras_problems(config, "the model")))


def _keras_problems(value: Any, layer: str) -> Iterator[str]:
    """Walks through ``value``; ``layer`` is the innermost named object around it."""
    if isinstance(value, list):
        for item in value:
            yield from _keras_problems(item, layer)
    elif isinstance(value, dict):
        inner = value.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            layer = f"layer {inner['name']!r}"
        yield from _object_problems(value, layer)
        for item in value.values():
            yield from _keras_problems(item, layer)


def _object_problems(value: dict[str, Any], layer: str) -> Iterator[str]:
    """What is wrong with one object of a configuration, its parts aside."""
    for key in _FILE_KEYS:
        if isinstance(value.get(key), str):
            yield f"{layer} reads its vocabulary from the file {value[key]!r}, refused"
    kind = value.get("class_name")
    if kind is None:
        return
    for name in (kind, value.get("registered_name")):
        plain = name.rpartition(">")[2] if isinstance(name, str) else ""
        if plain in _UNSAFE_LAYERS:
            yield f"{layer} ({plain}) {_UNSAFE_LAYERS[plain]}, which is refused"
            return
    problem = _class_problem(value, kind)
    if problem is not None:
        yield f"{layer} {problem}"


def _class_problem(value: dict[str, Any], kind: Any) -> Optional[str]:
    """What is wrong with the class or function that an object names."""
    module = value.get("module")
    if kind == "__lambda__":
        return "carries a Python lambda, which is refused"
    if kind == "function":
        named = f"{module}.{value.get('config')}"
        refused = f"names the function {named!r}, which is refused"
        return None if _is_keras_function(value) else refused
    if not isinstance(kind, str) or not (_CLASS_NAME.match(kind) or kind in _PLAIN_TYPES):
        return f"has the class_name {kind!r}, which is no class and is refused"
    for key in ("registered_name", "spec_name"):
        # Where the module has no class_name, Keras takes this one.
        other = value.get(key, kind)
        if other is not None and not (isinstance(other, str) and _CLASS_NAME.match(other)):
            return f"has the {key} {other!r}, which is no class and is refused"
    if isinstance(module, str) and not _KERAS_MODULE.match(module):
        named = f"{module}.{kind}"
        return f"imports {named!r}, which is refused; allowed are Keras' own"
    if kind in _TENSORFLOW_LAYERS and not _is_mathematics(value.get("config")):
        return f"({kind}) calls what may be no mathematics of TensorFlow, which is refused"
    return None


def _is_keras_function(value: dict[str, Any]) -> bool:
    """Whether a function's name can only mean one of Keras' own harmless functions."""
    module, name = value.get("module"), value.get("config")
    if not isinstance(name, str):
        return False
    if module in (None, "builtins"):
        return not hasattr(builtins, name)
    return isinstance(module, str) and bool(_KERAS_FUNCTIONS.match(module))


def _is_mathematics(config: Any) -> bool:
    """Whether what a Keras 2 layer calls by name is a function on tensors."""
    if not isinstance(config, dict):
        return False
    named = [config[key] for key in ("function", "cls_symbol", "cls_ref") if key in config]
    return all(
        isinstance(name, str)
        and (name in _TENSORFLOW_ARRAY_FUNCTIONS or bool(_TENSORFLOW_FUNCTION.match(name)))
        for name in named
    )
