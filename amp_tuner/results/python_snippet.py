"""``best.py``: a module that makes the program that imports it run a published point.

For runtimes whose own pass rewrites the graph it has ``apply()``, to be called before TensorFlow is
imported: for stock TensorFlow with variables and an option (and a ``session_config()``), for ITEX
with its Python API. For runtime ``engine`` it has ``load()``, which loads the baked SavedModel
beside it; for runtime ``xla`` it has ``compiled()`` too. The text needs nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from amp_tuner.amp.environment import family_variables, itex_switches
from amp_tuner.amp.rules import ITEX, rule_set
from amp_tuner.records import FLOAT32, Point
from amp_tuner.results.activation import (
    Activation,
    activation,
    baked_activation,
    onednn_switch,
)
from amp_tuner.results.certificate import certificate
from amp_tuner.text import one_line

_HEAD = '''"""A setting found by amp-tune, ready to use. See the comments for what was {told}.

{usage}
"""

{comments}

import functools
import os
import sys
{imports}
#: Variables that are removed first, and variables that are then set.
UNSET = (
{unset}
)
VARIABLES = {{
{variables}
}}


@functools.cache
def apply():
    """{promise}

    Raises RuntimeError where TensorFlow is imported already: it has read its variables by then.
    """
    if "tensorflow" in sys.modules:
        raise RuntimeError("apply() comes too late: call it before anything imports TensorFlow")
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(VARIABLES)
'''

_PUBLIC_OPTION = """
    import tensorflow as tf

    # Small graphs too: without it a graph of less than four nodes is left alone.
    tf.config.optimizer.set_experimental_options({{{option!r}: True, "min_graph_nodes": -1}})
"""

# There is no key for this pass in set_experimental_options; what is not a key is ignored there.
_PRIVATE_OPTION = """
    import tensorflow as tf
    from tensorflow.python.eager import context

    # TensorFlow's public optimizer options do not know this pass; the context's own config does.
    config = context.context()._config or tf.compat.v1.ConfigProto()
    config.MergeFrom(session_config())
    context.context()._config = config
    if not context.context().config.graph_options.rewrite_options.{option}:
        raise RuntimeError("this TensorFlow does not take {option}")
"""

_SESSION_CONFIG = '''

def session_config():
    """A tf.compat.v1.ConfigProto with the pass switched on, for programs that use sessions."""
    import tensorflow as tf
    from tensorflow.core.protobuf import rewriter_config_pb2

    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.{option} = rewriter_config_pb2.RewriterConfig.ON
    options.min_graph_nodes = -1
    return config
'''

# Its fields win over variables, which apply() has removed: never both.
_ITEX_API = """
    import intel_extension_for_tensorflow as itex

    config = itex.get_config()
    config.graph_options.auto_mixed_precision = itex.{switch}
    options = config.graph_options.auto_mixed_precision_options
    options.Clear()
    for name, value in FIELDS.items():
        setattr(options, name, value)
    itex.set_config(config)


#: Fields of itex.AutoMixedPrecisionOptions.
FIELDS = {{
{fields}
}}
"""

_LOAD = '''

def load():
    """The baked model: the graph is rewritten and weights are stored in 16 bits already."""
    folder = pathlib.Path(__file__).resolve().with_name("best")
    if not (folder / "saved_model.pb").is_file():
        raise FileNotFoundError(f"{folder} is not there: amp-tune export --format savedmodel")
    import tensorflow as tf

    return tf.saved_model.load(str(folder))
'''

_COMPILED = '''

def compiled():
    """The baked model as XLA runs it: a function of keyword arguments, compiled at its first call.

    Each shape of the inputs is compiled anew.
    """
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution({tf32})
    model = load()
    (serve,) = model.signatures.values()

    @tf.function(jit_compile=True)
    def run(**inputs):
        return serve(**inputs)

    run.model = model  # its weights live as long as the function
    return run
'''
_USAGE_OF_BAKED = (
    "load() gives the baked SavedModel, which needs no variables. apply() is optional."
)
_USAGE_OF_COMPILED = (
    "compiled() gives the baked SavedModel under tf.function(jit_compile=True). Call apply()\n"
    "before anything imports TensorFlow: it sets XLA's flags as they were measured."
)


def python_text(point: Point, *, baked: bool) -> str:
    """The module's source.

    Args:
        point: what to run.
        baked: with ``load()`` for the baked model, which is what runtime ``engine`` measures, and
            for runtime ``xla`` with ``compiled()``; else with ``apply()``, which has the family's
            own pass rewrite the graph.

    Raises:
        InputError: the point names a rule set that is not known.
    """
    if baked:
        return _baked(point)
    how = activation(point)
    itex = point.family == ITEX
    text = _head(
        point,
        Activation(how.unset, onednn_switch(point), None) if itex else how,
        usage="Call apply() before anything imports TensorFlow.",
        promise="Sets the variables and switches the pass on, in this process.",
    )
    if itex:
        return text + _itex_api(point)
    if how.option is None:
        return text
    private = how.option == "auto_mixed_precision_cpu"
    body = _PRIVATE_OPTION if private else _PUBLIC_OPTION
    return text + body.format(option=how.option) + _SESSION_CONFIG.format(option=how.option)


def _itex_api(point: Point) -> str:
    """The pass's switch and fields; ITEX calls the fields as the variables, in lower case."""
    if point.setting.data_type == FLOAT32:
        return _ITEX_API.format(switch="OFF", fields="")
    switch, *_ = family_variables(ITEX)
    variables = {**itex_switches(rule_set(point.rules)), **point.environment}
    fields = {
        name.removeprefix(f"{switch}_").lower(): value
        for name, value in variables.items()
        if name != switch
    }
    return _ITEX_API.format(switch="ON", fields=_dictionary(fields))


def _baked(point: Point) -> str:
    compiled = point.runtime == "xla"
    usage = _USAGE_OF_COMPILED if compiled else _USAGE_OF_BAKED
    text = _head(
        point,
        baked_activation(point),
        usage=usage,
        promise="Sets TensorFlow's process-wide switches as they were when accuracy was measured."
        if point.modelled_for
        else "Sets TensorFlow's process-wide switches as they were measured (for the speed).",
        imports="import pathlib\n",
    )
    return text + (_LOAD + _COMPILED.format(tf32=bool(point.setting.tf32)) if compiled else _LOAD)


def _told(point: Point) -> str:
    """What the figures are."""
    if point.modelled_for is None:
        return "measured"
    return f"modelled (for {one_line(point.modelled_for)}) and not measured"


def _head(point: Point, how: Activation, *, usage: str, promise: str, imports: str = "") -> str:
    return _HEAD.format(
        told=_told(point).replace('"', "'").replace("\\", "/"),
        usage=usage,
        promise=promise,
        imports=imports,
        comments="\n".join(f"# {line}".rstrip() for line in certificate(point)),
        unset=_rows(f"{name!r}," for name in how.unset),
        variables=_dictionary(how.variables),
    )


def _dictionary(variables: Mapping[str, str]) -> str:
    return _rows(f"{name!r}: {value!r}," for name, value in variables.items())


def _rows(rows: Iterable[str]) -> str:
    return "\n".join(f"    {row}" for row in rows)
