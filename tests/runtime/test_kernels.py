from __future__ import annotations

import pytest
from tensorflow.core.framework import types_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.kernels import Kernel, KernelTable, kernel_table

FLOAT, HALF, INT32 = types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_INT32


def _kernel(device="CPU", label="", priority=0, **constraints):
    return Kernel(
        device, label, priority, tuple((key, frozenset(ok)) for key, ok in constraints.items())
    )


def _found(*kernels, device="CPU", label="", **types):
    return KernelTable("test", lambda _: kernels).has_kernel("Op", device, label, types)


def test_all_constraints_must_hold():
    kernel = _kernel(T=[HALF], Index=[INT32])
    assert _found(kernel, T=(HALF,), Index=(INT32,))
    assert not _found(kernel, T=(HALF,), Index=(FLOAT,))


def test_every_element_of_a_list_must_be_allowed():
    assert _found(_kernel(T=[HALF, FLOAT]), T=(HALF, FLOAT))
    assert not _found(_kernel(T=[HALF]), T=(HALF, FLOAT))


def test_a_constraint_on_an_attribute_that_the_node_lacks_does_not_hold():
    assert not _found(_kernel(T=[HALF]), U=(HALF,))


def test_two_kernels_of_equal_priority_count_as_none():
    assert not _found(_kernel(T=[HALF]), _kernel(T=[HALF, FLOAT]), T=(HALF,))
    assert _found(_kernel(T=[HALF]), _kernel(T=[FLOAT]), T=(HALF,))


def test_the_highest_priority_wins():
    assert _found(_kernel(T=[HALF]), _kernel(T=[HALF]), _kernel(priority=1), T=(HALF,))


def test_other_devices_fall_back_on_default():
    kernel = _kernel(device="DEFAULT", T=[HALF])
    assert _found(kernel, device="GPU", T=(HALF,))
    assert not _found(_kernel(T=[HALF]), device="GPU", T=(HALF,))


def test_a_label_must_match():
    assert not _found(_kernel(label="custom"), T=(HALF,))
    assert _found(_kernel(label="custom"), label="custom", T=(HALF,))


def test_this_runtimes_kernels_are_known():
    table = kernel_table(rule_set("tf-cpu-float16"))
    assert table.has_kernel("MatMul", "CPU", "", {"T": (HALF,)})
    assert not table.has_kernel("L2Normalize", "CPU", "", {"T": (HALF,)})
    assert table.source.startswith("TensorFlow")


def test_cuda_kernels_are_known_without_cuda():
    table = kernel_table(rule_set("tf-cuda-float16"))
    assert table.has_kernel("Relu", "GPU", "", {"T": (HALF,)})
    assert table.has_kernel("FusedBatchNormV3", "GPU", "", {"T": (HALF,), "U": (FLOAT,)})
    assert not table.has_kernel("FusedBatchNormV3", "GPU", "", {"T": (HALF,), "U": (HALF,)})
    assert not table.has_kernel("SparseMatMul", "GPU", "", {"Ta": (HALF,), "Tb": (HALF,)})


@pytest.mark.parametrize("name", ["itex-gpu-bfloat16", "itex-gpu-float16"])
def test_unknown_kernels_are_said_to_be_unknown(name):
    table = kernel_table(rule_set(name))
    assert table.source.startswith("unknown")
    assert table.has_kernel("Anything", "XPU", "", {})
