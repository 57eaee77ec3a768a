"""Small TensorFlow graphs for tests of the rewrite engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

v1 = tf.compat.v1
raw = tf.raw_ops
SIDE = 4


@contextmanager
def building():
    """A graph to build in; yields it."""
    graph = tf.Graph()
    with graph.as_default():
        yield graph


def hollow(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph with one value repeated for large constants: the passes do not read weights."""
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for node in result.node:
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is not None and tensor.dtype == tf.float32 and len(tensor.tensor_content) > 1024:
            tensor.ClearField("tensor_content")
            tensor.float_val.append(0.5)
    return result


def matrix(seed: float = 0.5) -> tf.Tensor:
    return tf.constant(np.linspace(0.1, seed + 0.5, SIDE * SIDE, dtype=np.float32).reshape(4, 4))


def chain(*op_types: str, source: str = "const") -> graph_pb2.GraphDef:
    """Unary ops (and MatMul, BatchMatMulV2, SparseMatMul with a constant) one after the other.

    Nodes are called by op type and place: ``Relu2``; the last is followed by the fetch ``out``.
    """
    with building() as graph:
        tensor = matrix() if source == "const" else v1.placeholder(tf.float32, [4, 4], "x")
        for place, op_type in enumerate(op_types, start=1):
            name = f"{op_type}{place}"
            if op_type in ("MatMul", "SparseMatMul"):
                tensor = getattr(raw, op_type)(a=tensor, b=matrix(place), name=name)
            elif op_type == "BatchMatMulV2":
                tensor = raw.BatchMatMulV2(x=tensor, y=matrix(place), name=name)
            else:
                tensor = unary(op_type, tensor, name)
        tf.identity(tensor, name="out")
    return graph.as_graph_def()


def unary(op_type: str, tensor: tf.Tensor, name: str | None = None) -> tf.Tensor:
    """A unary op by its op type, whatever its argument is called."""
    argument = {"Relu": "features", "Relu6": "features", "Elu": "features", "Selu": "features"}
    argument |= {"Softplus": "features", "Softsign": "features", "LeakyRelu": "features"}
    argument |= {"Identity": "input", "StopGradient": "input", "Softmax": "logits"}
    argument |= {"LogSoftmax": "logits", "OnesLike": "x", "Snapshot": "input"}
    argument |= {"PreventGradient": "input"}
    return getattr(raw, op_type)(**{argument.get(op_type, "x"): tensor}, name=name)


def conv_net() -> graph_pb2.GraphDef:
    """Convolution, two kinds of BatchNorm, pooling, padding, a classifier; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [2, 8, 8, 3], name="x")
        chance = np.random.default_rng(0)
        weights = tf.constant(chance.normal(size=(3, 3, 3, 4)).astype(np.float32))
        dense = tf.constant(chance.normal(size=(36, 5)).astype(np.float32))
        ones = tf.ones([4])
        y = tf.nn.conv2d(x, weights, 1, "SAME")
        norm = {"offset": ones, "mean": ones, "variance": ones, "is_training": False}
        y = raw.FusedBatchNorm(x=y, scale=ones, **norm).y
        y = tf.nn.relu(y)
        y = raw.FusedBatchNormV3(x=y, scale=ones, **norm).y
        y = tf.pad(tf.nn.relu6(y), [[0, 0], [1, 1], [1, 1], [0, 0]])
        y = tf.nn.avg_pool2d(y, 2, 2, "SAME")
        y = tf.nn.max_pool2d(y, 2, 2, "SAME") + tf.reduce_mean(y)
        y = tf.reshape(y, [2, -1])
        y = tf.nn.bias_add(tf.matmul(y, dense), tf.zeros([5]))
        tf.nn.softmax(y, name="out")
    return graph.as_graph_def()


def training_step() -> graph_pb2.GraphDef:
    """Forward, gradients and update of a small net on reference variables; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [2, 8, 8, 3], name="x")
        labels = v1.placeholder(tf.float32, [2, 5], name="labels")
        kernel = v1.get_variable("kernel", initializer=tf.zeros([3, 3, 3, 4]), use_resource=False)
        dense = v1.get_variable("dense", initializer=tf.zeros([256, 5]), use_resource=True)
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        ones = tf.ones([4])
        y = raw.FusedBatchNorm(
            x=y, scale=ones, offset=ones, mean=[], variance=[], is_training=True
        ).y
        y = tf.nn.leaky_relu(tf.nn.relu(y))
        y = tf.matmul(tf.reshape(y, [2, -1]), dense)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, y))
        loss += 0.1 * tf.nn.l2_loss(kernel)
        step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        with tf.control_dependencies([step]):
            tf.identity(loss, name="out")
    return graph.as_graph_def()


def while_loop() -> graph_pb2.GraphDef:
    """A loop of the old kind over a matrix and a counter; fetch ``out``."""
    with building() as graph:
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        weights = matrix()

        def body(step, state, other):
            state = tf.nn.relu(tf.matmul(state, weights)) + 1.0
            return step + 1, state, tf.exp(other)

        out = v1.while_loop(lambda step, *_: step < 3, body, [0, tf.nn.relu(x), tf.exp(x)])
        tf.add(tf.matmul(out[1], weights), out[2], name="out")
    return graph.as_graph_def()


def constant_in_loop() -> graph_pb2.GraphDef:
    """A loop whose weights are a constant of its own frame; fetch ``out``."""
    with building() as graph:
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        loop = v1.while_loop(
            lambda step, _: step < 3,
            lambda step, state: (step + 1, tf.matmul(state, matrix())),
            [0, x],
        )
        tf.identity(loop[1], name="out")
    return graph.as_graph_def()


def recurrent_edges() -> graph_pb2.GraphDef:
    """One NextIteration that feeds two Merges, of which one is denied; fetch ``out``."""
    with building() as graph:
        x = tf.exp(v1.placeholder(tf.float32, [4, 4], name="x"))
        enter1 = raw.Enter(data=x, frame_name="loop", name="Enter1")
        enter2 = raw.Enter(data=matrix(), frame_name="loop", name="Enter2")
        merge1 = raw.Merge(inputs=[enter1, enter1], name="Merge1").output
        stop = raw.LoopCond(input=tf.reduce_all(merge1 < 100.0))
        exit_, go = raw.Switch(data=merge1, pred=stop)
        y = raw.MatMul(
            a=tf.sqrt(go),
            b=raw.Enter(data=matrix(), frame_name="loop", is_constant=True),
            name="MatMul",
        )
        following = raw.NextIteration(data=y, name="NextIteration")
        merge1.op._update_input(1, following)
        merge2 = raw.Merge(inputs=[enter2, following], name="Merge2").output
        raw.Switch(data=merge2, pred=stop)
        tf.identity(raw.Exit(data=exit_), name="out")
    return graph.as_graph_def()


def tensor_lists(kind: str) -> graph_pb2.GraphDef:
    """Two TensorLists, one that holds products and one that only holds the input; fetch ``out``.

    Args:
        kind: ``set``, ``push``, ``tensor`` or ``batch``.
    """
    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        shape = tf.constant([4, 4])
        product = tf.matmul(x, matrix(), name="product")
        second = _LISTS[kind](x, product, shape)
        first_read = tf.tanh(second[0], name="Tanh")
        tf.matmul(first_read, second[1], name="MatMul2")
        result = tf.matmul(first_read, matrix(), name="MatMul3")
        tf.add(result, second[1], name="out")
    return graph.as_graph_def()


def _set_lists(x, product, shape):
    def empty():
        return raw.TensorListReserve(element_shape=shape, num_elements=3, element_dtype=tf.float32)

    def put(handle, index, item):
        return raw.TensorListSetItem(input_handle=handle, index=index, item=item)

    def get(handle, index):
        return raw.TensorListGetItem(
            input_handle=handle, index=index, element_shape=shape, element_dtype=tf.float32
        )

    one = put(put(empty(), 0, x), 1, product)
    one = raw.TensorListResize(input_handle=one, size=6)
    return get(one, 1), get(put(empty(), 0, x), 0)


def _push_lists(x, product, shape):
    def empty():
        return raw.EmptyTensorList(
            element_shape=shape, max_num_elements=10, element_dtype=tf.float32
        )

    def push(handle, item):
        return raw.TensorListPushBack(input_handle=handle, tensor=item)

    def pop(handle):
        return raw.TensorListPopBack(
            input_handle=handle, element_shape=shape, element_dtype=tf.float32
        ).tensor

    return pop(push(push(empty(), x), product)), pop(push(empty(), x))


def _from_tensor(x, product, shape):
    row = tf.constant([4])
    one = raw.TensorListFromTensor(tensor=product, element_shape=row)
    other = raw.TensorListFromTensor(tensor=tf.matmul(x, matrix()), element_shape=row)
    other = raw.TensorListPushBack(input_handle=other, tensor=x[0])

    def stack(handle):
        return raw.TensorListStack(input_handle=handle, element_shape=row, element_dtype=tf.float32)

    return stack(one), stack(other)[:4]


def _batch_lists(x, product, shape):
    lists = [raw.TensorListFromTensor(tensor=t, element_shape=[4]) for t in (x, product)]
    batch = raw.TensorListPushBackBatch(input_handles=tf.stack(lists), tensor=product[:2])
    parts = tf.split(batch, 2)
    joined = raw.TensorListConcatLists(
        input_a=tf.reshape(parts[0], []),
        input_b=tf.reshape(parts[1], []),
        element_dtype=tf.float32,
    )
    popped = raw.TensorListPopBack(
        input_handle=joined, element_shape=[4], element_dtype=tf.float32
    ).tensor
    return tf.reshape(popped, [1, 4]), tf.ones([4, 4]) * popped


_LISTS: dict[str, Callable] = {
    "set": _set_lists,
    "push": _push_lists,
    "tensor": _from_tensor,
    "batch": _batch_lists,
}


def list_through_function() -> graph_pb2.GraphDef:
    """Two TensorLists of products, of which a function pushes to the first; fetch ``out``."""

    @tf.function(autograph=False)
    def push(handle, item):
        return raw.TensorListPushBack(input_handle=handle, tensor=item)

    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")

        def started(name):
            with tf.name_scope(name):
                handle = raw.EmptyTensorList(
                    element_shape=[4, 4], max_num_elements=10, element_dtype=tf.float32
                )
                return raw.TensorListPushBack(input_handle=handle, tensor=tf.matmul(x, matrix()))

        def popped(name, handle):
            with tf.name_scope(name):
                return raw.TensorListPopBack(
                    input_handle=handle, element_shape=[4, 4], element_dtype=tf.float32
                ).tensor

        first = popped("first", push(started("first"), x))
        second = tf.tanh(popped("second", started("second")), name="Tanh")
        tf.matmul(first, second, name="product")
        tf.identity(graph.get_tensor_by_name("product:0"), name="out")
    return graph.as_graph_def()


def recurrent_cell() -> graph_pb2.GraphDef:
    """A cell on float16's ALLOW list whose op takes float32 only; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        wide, narrow = tf.ones([8, 8]), tf.ones([8, 4])
        state = raw.GRUBlockCell(
            x=tf.nn.relu(x), h_prev=x, w_ru=wide, w_c=narrow, b_ru=tf.ones([8]), b_c=tf.ones([4])
        ).h
        tf.matmul(tf.nn.relu(state), matrix(), name="product")
        tf.identity(graph.get_tensor_by_name("product:0"), name="out")
    return graph.as_graph_def()


LIST_KINDS = tuple(_LISTS)


def sideways() -> graph_pb2.GraphDef:
    """CLEAR that 16 bits reach over a common ShapeN only; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        one, two = raw.Relu(features=x, name="Relu1"), raw.Relu(features=matrix(), name="Relu2")
        tf.matmul(one, matrix(), name="MatMul")
        raw.ShapeN(input=[one, two], name="ShapeN")
        tf.identity(raw.Relu(features=two, name="Relu4"), name="out")
    return graph.as_graph_def()


def recurrent_net() -> graph_pb2.GraphDef:
    """A loop over time steps that reads and writes TensorLists; fetch ``out``."""
    with building() as graph:
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [3, 4, 4], name="x")
        weights = matrix()
        steps = raw.TensorListFromTensor(tensor=x, element_shape=[4, 4])
        results = raw.TensorListReserve(
            element_shape=[4, 4], num_elements=3, element_dtype=tf.float32
        )

        def body(step, state, results):
            item = raw.TensorListGetItem(
                input_handle=steps, index=step, element_shape=[4, 4], element_dtype=tf.float32
            )
            state = tf.tanh(tf.matmul(tf.concat([item, state], 1), tf.tile(weights, [2, 1])))
            results = raw.TensorListSetItem(input_handle=results, index=step, item=state)
            return step + 1, state, results

        loop = v1.while_loop(lambda step, *_: step < 3, body, [0, tf.zeros([4, 4]), results])
        stacked = raw.TensorListStack(
            input_handle=loop[2], element_shape=[4, 4], element_dtype=tf.float32
        )
        tf.linalg.matmul(stacked, tf.stack([weights] * 3), name="out")
    return graph.as_graph_def()


def lists_of_types() -> graph_pb2.GraphDef:
    """IdentityN and ShapeN over several tensors, existing Casts; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        flags = v1.placeholder(tf.bool, [4, 4], name="flags")
        product = tf.matmul(tf.cast(flags, tf.float32, name="ToFloat"), x)
        same = raw.IdentityN(input=[product, x, product, flags], name="IdentityN")
        shapes = raw.ShapeN(input=[same[0], tf.nn.relu(x)])
        total = tf.add_n(same[:3])
        half = tf.cast(tf.cast(total, tf.float16), tf.float32, name="Back")
        total = tf.matmul(tf.reshape(half, shapes[0]), total)
        where = tf.where(same[3], total, tf.nn.relu(x))
        tf.identity(where, name="out")
    return graph.as_graph_def()


def variables() -> graph_pb2.GraphDef:
    """Products of a reference variable and of a constant, behind Identities; fetch ``out``."""
    with building() as graph:
        variable = raw.VariableV2(shape=[4, 4], dtype=tf.float32, name="Variable")
        read = raw.Identity(input=variable, name="Read")
        one = tf.matmul(read, matrix(), name="MatMul1")
        two = tf.matmul(tf.identity(matrix(), name="Same"), matrix(), name="MatMul2")
        tf.add(one, two, name="out")
    return graph.as_graph_def()
