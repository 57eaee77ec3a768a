"""Training steps: what makes a signature one, and its graph with variables that stay variables.

A step's state is its variables. Two settings can only be compared if each begins with the same
state, so what holds state of another kind, such as the generator behind ``tf.random.normal``, is
refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Optional

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from amp_tuner.runtime.loader_freeze import Frozen, fetchable, inlined, optimized, with_tables
from amp_tuner.runtime.loader_graph import (
    all_nodes,
    full_name,
    node_name,
    pruned,
    without_places,
)
from amp_tuner.runtime.loader_model import Step
from amp_tuner.runtime.outside_weights import put_outside
from amp_tuner.worker.protocol import Training

#: The argument that takes the loss scale: the step multiplies its loss by it and divides its
#: gradients.
LOSS_SCALE = "loss_scale"
_READING = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VarHandleOp"})


def step_problems(
    graph_def: tf.compat.v1.GraphDef, signature: Any, training: Training
) -> Iterator[str]:
    """What keeps a signature from being trained, one text each.

    Args:
        graph_def: the graph that the signature is of.
        signature: its ``SignatureDef``.
        training: how it is to be trained.
    """
    yield from _loss_scale_problems(signature, training)
    used = pruned(graph_def, [node_name(output.name) for output in signature.outputs.values()])
    nodes = list(all_nodes(used))
    for function, node in nodes:
        if _is_another_state(node):
            yield (
                f"node {full_name(function, node)!r} ({node.op}) holds state that cannot be set "
                "back for the next setting; allowed are resource variables, and random numbers "
                "without a state of their own (tf.random.stateless_*, tf.random.Generator, Keras 3)"
            )
    yield from _newer_attributes(nodes)
    if not any(_writes(node) for _, node in nodes):
        yield "it writes to no variable: this is no training step"


def step_of(signature: Any, training: Training) -> Step:
    """What a checked signature has besides as a training step."""
    takes_it = LOSS_SCALE in signature.inputs
    return Step(training, signature.inputs[LOSS_SCALE].name if takes_it else None)


def _loss_scale_problems(signature: Any, training: Training) -> Iterator[str]:
    if LOSS_SCALE not in signature.inputs:
        if training.loss_scale is not None:
            has = ", ".join(sorted(signature.inputs)) or "none"
            yield f"the step has no argument {LOSS_SCALE!r} to scale its loss by; it has: {has}"
        return
    argument = signature.inputs[LOSS_SCALE]
    shape = argument.tensor_shape
    if argument.dtype != tf.float32.as_datatype_enum or shape.unknown_rank or shape.dim:
        yield f"its argument {LOSS_SCALE!r} must be one float32 number: shape (), dtype float32"


def _newer_attributes(nodes: Iterable[tuple[str, tf.compat.v1.NodeDef]]) -> Iterator[str]:
    """One text for each op type with an attribute that this TensorFlow does not know.

    Those of gradients differ between versions (``grad_a`` of MatMul), and a plug-in's passes end
    the process at one that they do not know.
    """
    told = set()
    for function, node in nodes:
        op_def = op_def_registry.get(node.op)
        if op_def is None or node.op in told:
            continue
        known = {attribute.name for attribute in op_def.attr}
        unknown = sorted(name for name in node.attr if name not in known and name[0] != "_")
        if unknown:
            told.add(node.op)
            yield (
                f"attribute {unknown[0]!r} of node {full_name(function, node)!r} ({node.op}) is "
                f"not known to TensorFlow {tf.__version__}: save the step with the target's own, "
                "or give the Python file that makes it"
            )


def _is_another_state(node: tf.compat.v1.NodeDef) -> bool:
    """Whether a node has state that is no resource variable: a reference, a random generator."""
    op_def = op_def_registry.get(node.op)
    if op_def is None or not op_def.is_stateful:
        return False
    # Ops of ``tf.random.stateless_*`` have their seeds as inputs.
    draws = any(attribute.name == "seed2" for attribute in op_def.attr)
    return draws or any(port.is_ref for port in (*op_def.input_arg, *op_def.output_arg))


def _writes(node: tf.compat.v1.NodeDef) -> bool:
    """Whether a node changes a variable."""
    op_def = op_def_registry.get(node.op)
    if op_def is None or node.op in _READING:
        return False
    resource = tf.resource.as_datatype_enum
    return node.op.startswith(("Assign", "Resource")) and any(
        port.type == resource for port in op_def.input_arg
    )


def inlined_step(
    session: tf.compat.v1.Session,
    feeds: Sequence[str],
    fetches: Sequence[str],
    where: str,
    scratch: Optional[str],
) -> tuple[Frozen, str]:
    """The graph of a training step in an initialised session: inlined, with its variables.

    Arguments are those of ``freeze``.

    Returns:
        The graph, whose weights are the values of its variables, and the node that waits for all
        updates.

    Raises:
        InputError: the graph cannot be inlined.
    """
    ends = fetchable(session.graph, fetches)
    roots = [node_name(name) for name in (*feeds, *ends)]
    whole = pruned(session.graph.as_graph_def(), roots)
    graph_def, updates = inlined(whole, feeds, ends, where)
    graph_def = pruned(graph_def, [*roots, updates])
    without_places(graph_def)
    graph_def = optimized(graph_def, "dependency", [*feeds, *ends, updates], where)
    variables = [node for node in graph_def.node if node.op == "VarHandleOp"]
    weights = put_outside(session, variables, scratch)
    graph_def, initializers = with_tables(session, graph_def, where)
    return Frozen(graph_def, tuple(ends), initializers, weights), updates
