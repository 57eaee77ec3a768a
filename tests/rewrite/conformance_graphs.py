"""More small graphs: the cases of TensorFlow's own unit tests of the pass, and rarer op types."""

from __future__ import annotations

import tensorflow as tf

from tests.rewrite.graphs import building, chain, matrix, raw, v1

CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
GPU = "/job:localhost/replica:0/task:0/device:GPU:0"


def already_16bit(dtype):
    """A product that is 16-bit already, between its Casts; fetch ``out``."""
    with building() as graph:
        product = raw.MatMul(a=tf.cast(matrix(), dtype), b=tf.cast(matrix(), dtype))
        relu = raw.Relu(features=product)
        tf.identity(raw.Relu(features=tf.cast(relu, tf.float32), name="last"), name="out")
    return graph.as_graph_def()


def two_devices():
    """A chain whose second product and all after it are on the CPU, the rest on a GPU."""
    with building() as graph:
        with tf.device(GPU):
            tanh = tf.tanh(raw.MatMul(a=tf.nn.relu(matrix()), b=matrix(), name="MatMul1"))
        with tf.device(CPU):
            product = raw.MatMul(a=tanh, b=matrix(), name="MatMul2")
            tf.identity(tf.nn.relu(product), name="out")
    return graph.as_graph_def()


def batch_norm_and_gradient():
    """Conv2D, FusedBatchNorm with its gradient, AddV2, Conv2D; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [1, 4, 4, 4], name="x")
        kernel, row = tf.ones([3, 3, 4, 4]), tf.ones([4])
        y = tf.nn.conv2d(x, kernel, 1, "SAME", name="first")
        norm = raw.FusedBatchNorm(x=y, scale=row, offset=row, mean=[], variance=[], name="norm")
        gradient = raw.FusedBatchNormGrad(
            y_backprop=y,
            x=y,
            scale=row,
            reserve_space_1=norm.reserve_space_1,
            reserve_space_2=norm.reserve_space_2,
            name="gradient",
        )
        y = tf.nn.conv2d(norm.y + gradient.x_backprop, kernel, 1, "SAME", name="second")
        tf.identity(y, name="out")
    return graph.as_graph_def()


def bias_after(op_type):
    """Conv2D or Pow, BiasAdd, Relu; fetch ``out``."""
    with building() as graph:
        image = tf.ones([1, 4, 4, 4])
        if op_type == "Conv2D":
            y = tf.nn.conv2d(image, tf.ones([3, 3, 4, 4]), 1, "SAME")
        else:
            y = raw.Pow(x=image, y=image)
        tf.identity(tf.nn.relu(tf.nn.bias_add(y, tf.ones([4]))), name="out")
    return graph.as_graph_def()


def repeated_types():
    """A product thrice through an IdentityN into AddN and a product; fetch ``out``."""
    with building() as graph:
        product = raw.MatMul(a=matrix(), b=matrix(), name="MatMul1")
        same = raw.IdentityN(input=[product] * 3, name="IdentityN")
        total = raw.AddN(inputs=list(same), name="AddN")
        tf.identity(raw.MatMul(a=total, b=total, name="MatMul2"), name="out")
    return graph.as_graph_def()


def quantized():
    """Quantized and fake-quantized tensors around products; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        product = tf.matmul(x, matrix())
        packed = raw.QuantizeV2(input=product, min_range=-1.0, max_range=1.0, T=tf.quint8)
        relu = raw.QuantizedRelu(
            features=packed.output,
            min_features=packed.output_min,
            max_features=packed.output_max,
            out_type=tf.quint8,
        )
        wide = raw.QuantizedMatMul(
            a=relu.activations,
            b=relu.activations,
            min_a=-1.0,
            max_a=1.0,
            min_b=-1.0,
            max_b=1.0,
            Toutput=tf.qint32,
        )
        back = raw.Dequantize(input=wide.out, min_range=wide.min_out, max_range=wide.max_out)
        fake = raw.FakeQuantWithMinMaxArgs(inputs=tf.matmul(back, x))
        tf.identity(tf.matmul(fake, x), name="out")
    return graph.as_graph_def()


def volumes():
    """3-D convolution, pooling and their gradients; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [1, 4, 4, 4, 2], name="x")
        kernel = v1.get_variable("kernel", initializer=tf.ones([2, 2, 2, 2, 2]))
        y = tf.nn.relu(tf.nn.conv3d(x, kernel, [1] * 5, "SAME"))
        y = tf.nn.avg_pool3d(tf.nn.max_pool3d(y, 2, 2, "SAME"), 2, 1, "SAME")
        loss = tf.reduce_mean(y * y)
        tf.identity(tf.gradients(loss, kernel)[0], name="out")
    return graph.as_graph_def()


def resized():
    """Down by convolution, up by both ways of resizing, joined as in a U-Net; fetch ``out``."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [1, 8, 8, 2], name="x")
        kernel = tf.ones([3, 3, 2, 2])
        down = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))
        near = raw.ResizeNearestNeighbor(images=down, size=[8, 8])
        linear = raw.ResizeBilinear(images=down, size=[8, 8])
        both = tf.concat([near, linear, x], -1)
        tf.identity(tf.nn.conv2d(both, tf.ones([1, 1, 6, 1]), 1, "SAME"), name="out")
    return graph.as_graph_def()


def calls():
    """A function with a product in it, called between products; fetch ``out``."""

    @tf.function(autograph=False)
    def body(value):
        return tf.nn.relu(tf.matmul(value, value))

    with building() as graph:
        x = v1.placeholder(tf.float32, [4, 4], name="x")
        y = body(tf.matmul(x, matrix()))
        tf.identity(tf.matmul(tf.nn.relu(y), y), name="out")
    return graph.as_graph_def()


def mixed_fanout():
    """A product that another product and an exponential read; fetch ``out``."""
    with building() as graph:
        one = matrix()
        first = tf.matmul(one, one, name="first")
        second = tf.matmul(first, one, name="second")
        tf.identity(tf.add(tf.exp(first), second), name="out")
    return graph.as_graph_def()


def on_cpu(graph_def):
    """The graph with every node placed on the CPU, where alone float16 is emulated."""
    for node in graph_def.node:
        node.device = CPU
    return graph_def


EMULATED = {
    "simple": on_cpu(
        chain(
            *("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Relu"),
            *("SparseMatMul", "Relu"),
        )
    ),
    "mixed fanout": on_cpu(mixed_fanout()),
}

CONFORMANCE = {
    "float16 already": already_16bit(tf.float16),
    "bfloat16 already": already_16bit(tf.bfloat16),
    "two devices": two_devices(),
    "batch norm and its gradient": batch_norm_and_gradient(),
    "bias after convolution": bias_after("Conv2D"),
    "bias after power": bias_after("Pow"),
    "repeated types": repeated_types(),
    "quantized": quantized(),
    "volumes": volumes(),
    "resized": resized(),
    "calls": calls(),
}
