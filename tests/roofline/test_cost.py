"""What small graphs cost, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amp_tuner.errors import InputError
from amp_tuner.roofline.cost import CostModel
from tests.roofline.typed import (
    Node,
    convolution,
    device,
    graph_of,
    painted,
    prices,
    product,
)

FAST = {"memory_bytes_per_s": 1e15, "cache_bytes_per_s": 1e15}


def test_a_large_product_takes_its_arithmetic() -> None:
    full, half = prices(product(1024, 1024, 1024), device(**FAST))
    operations = 2 * 1024**3
    assert full.seconds == pytest.approx(operations / 1e12, rel=1e-3)
    assert half.arithmetic_s == pytest.approx(operations / 4e12)
    assert (full.traffic_s, half.traffic_s) == (0, 0)


def test_a_product_of_one_row_takes_its_traffic() -> None:
    full, half = prices(product(1, 1000, 500), device())
    moved = 1000 + 1000 * 500 + 500
    assert full.seconds == pytest.approx(4 * moved / 1e9)
    assert full.arithmetic_s == 0
    # In 16 bits with the weights' Cast folded; the input is cast, and the output back.
    assert half.traffic_s == pytest.approx(2 * moved / 1e9)
    assert half.casts_s == pytest.approx(6 * (1000 + 500) / 1e9)
    assert (full.kernels, half.kernels, half.casts) == (1, 3, 2)
    assert half.seconds == pytest.approx(half.traffic_s + half.casts_s)


def test_weights_that_are_variables_are_cast_on_every_run() -> None:
    _, folded = prices(product(1, 1000, 500), device())
    _, served = prices(product(1, 1000, 500), device(), folded=False)
    assert served.casts == folded.casts + 1
    assert served.seconds == pytest.approx(folded.seconds + 6 * 1000 * 500 / 1e9)


def test_a_tensor_in_the_cache_is_read_from_there() -> None:
    cached = device(cache_bytes=8e6, cache_bytes_per_s=1e10)
    full, _ = prices(product(1, 1000, 500), cached)
    assert full.seconds == pytest.approx(4 * (1000 + 1000 * 500 + 500) / 1e10)
    # Weights of 2 MB are more than half of 3 MB.
    full, _ = prices(product(1, 1000, 500), replace(cached, cache_bytes=3e6))
    assert full.seconds == pytest.approx(4 * 1000 * 500 / 1e9 + 4 * 1500 / 1e10)


def test_weights_are_kept_in_the_type_that_is_read() -> None:
    # 2 MB in float32, 1 MB in 16 bits, and half of the cache is 1.5 MB.
    _, half = prices(product(1, 1000, 500), device(cache_bytes=3e6, cache_bytes_per_s=1e10))
    weights, rest = 1000 * 500, 1000 + 500
    assert half.traffic_s == pytest.approx(2 * (weights + rest) / 1e10)


def test_a_constant_that_is_only_renamed_or_reordered_takes_no_room_of_its_own() -> None:
    x, w, multiply, out = product(1, 1000, 500)
    read = Node("read", "Identity", ("w",), (1000, 500))
    renamed = [x, w, read, replace(multiply, inputs=("x", "read")), out]
    profile = device(cache_bytes=4.1e6, cache_bytes_per_s=1e10)
    for one, other in zip(prices(product(1, 1000, 500), profile), prices(renamed, profile)):
        assert one.traffic_s == pytest.approx(other.traffic_s)


def test_a_sum_over_segments_reads_a_row_for_each_index() -> None:
    nodes = [
        Node("table", "Const", (), (100_000, 64)),
        Node("keys", "Placeholder", (), (1000,)),
        Node("bags", "Placeholder", (), (1000,)),
        Node("sum", "SparseSegmentSum", ("table", "keys", "bags"), (10, 64)),
        Node("out", "Identity", ("sum",), (10, 64)),
    ]
    full, _ = prices(nodes, device())
    assert full.traffic_s == pytest.approx(4 * (1000 * 64 + 2 * 1000 + 10 * 64) / 1e9)


def test_tiles_that_do_not_fill_a_wave_waste_the_rest_of_it() -> None:
    # 128 x 65 are 2 x 2 tiles of 64: two waves of three units, where 12 tiles' places are paid for.
    tiled = device(**FAST, compute_units=3.0, tile=64.0)
    full, _ = prices(product(128, 64, 65), tiled)
    assert full.arithmetic_s == pytest.approx(2 * 64 * (2 * 3 * 64 * 64) / 1e12)


@pytest.mark.parametrize(
    ("fusion", "side", "behind", "in_full", "in_half"),
    [
        ("tensorflow-cpu", 1, ("BiasAdd", "Relu"), 1, 1),
        ("tensorflow-cpu", 3, ("BiasAdd", "AddV2", "Relu"), 1, 1),
        ("tensorflow-cpu", 3, ("Mul", "BiasAdd", "Relu6"), 1, 1),
        ("tensorflow-cpu", 3, ("BiasAdd", "Softmax"), 2, 2),
        ("tensorflow-cpu", 3, ("Softmax", "FusedBatchNormV3", "Relu"), 3, 3),
        ("tensorflow-cpu", 3, ("Softmax", "FusedBatchNormV3", "Tanh"), 4, 4),
        ("tensorflow-cuda", 3, ("BiasAdd", "Relu"), 1, 3),
        ("tensorflow-cuda", 1, ("BiasAdd", "Relu"), 3, 3),
        ("tensorflow-cuda", 3, ("BiasAdd", "Relu6"), 3, 3),
        ("tensorflow-cuda", 3, ("Mul", "Softmax"), 2, 2),
        ("itex-gpu", 3, ("BiasAdd", "Relu"), 1, 1),
    ],
)
def test_a_runtime_fuses_what_its_optimiser_fuses(
    fusion: str, side: int, behind: tuple[str, ...], in_full: int, in_half: int
) -> None:
    full, half = prices(convolution(side, *behind), device(fusion=fusion))
    assert (full.kernels, half.kernels - half.casts) == (in_full, in_half)


def test_a_cpu_without_16_bit_instructions_fuses_float32_alone() -> None:
    profile = device(fusion="tensorflow-cpu", fused=("float32",))
    full, half = prices(convolution(3, "BiasAdd", "Relu"), profile)
    assert (full.kernels, half.kernels - half.casts) == (1, 3)


def test_what_a_convolution_gathers_takes_its_time_beside_the_arithmetic() -> None:
    rates = device().rates
    gathered = {"float32": 1e9, "float16": 1e8}
    rows = {"float32": 1e7, "float16": 1e6}
    profile = device(**FAST, rates={**rates, "gathered": gathered, "window_rows": rows})
    plain, gathering = (
        [price.arithmetic_s for price in prices(convolution(3), one)]
        for one in (device(**FAST), profile)
    )
    # 64 x 64 places of windows of 3 rows, each of 3 x 64 elements.
    places, elements = 2 * 64, 9 * 64
    for index, name in enumerate(("float32", "float16")):
        extra = places * elements / gathered[name] + places * 3 / rows[name]
        assert gathering[index] == pytest.approx(plain[index] + extra)
    # A filter of one element multiplies the input as it is.
    assert prices(convolution(1), profile) == prices(convolution(1), device(**FAST))


def test_a_cast_in_a_chain_splits_the_kernel() -> None:
    prepared, run = graph_of(convolution(3, "BiasAdd", "Relu"))
    model = CostModel(prepared, run, device(fusion="tensorflow-cpu"))
    split = model.price(painted(prepared, BiasAdd="deny", Relu="deny"))
    # The convolution in 16 bits; bias and Relu apart in FP32, which no pattern begins with.
    assert (split.kernels - split.casts, split.casts) == (3, 2)


def test_what_stays_within_a_kernel_is_not_moved() -> None:
    picture, weights, bias = 4 * 2 * 64 * 64, 4 * 9 * 64 * 64, 4 * 64
    fused, _ = prices(convolution(3, "BiasAdd", "Relu"), device(fusion="tensorflow-cpu"))
    assert fused.traffic_s == pytest.approx((2 * picture + weights + bias) / 1e9)
    apart, _ = prices(convolution(1, "BiasAdd", "Relu"), device())
    assert apart.traffic_s == pytest.approx((6 * picture + weights / 9 + bias) / 1e9)


def test_itex_writes_float32_behind_a_product_instead_of_casting() -> None:
    _, cast = prices(product(8, 16, 32), device())
    _, written = prices(product(8, 16, 32), device(fusion="itex-gpu"))
    assert (cast.casts, written.casts) == (2, 1)
    assert written.traffic_s == pytest.approx((2 * (8 * 16 + 16 * 32) + 4 * 8 * 32) / 1e9)


def test_winograd_saves_multiplications_of_3_x_3_convolutions_in_float32_alone() -> None:
    profile = device(**FAST)
    for side, saved in ((3, 2.25), (1, 1.0)):
        full, half = prices(convolution(side), profile)
        faster, same = prices(convolution(side), replace(profile, winograd=2.25))
        assert faster.arithmetic_s == pytest.approx(full.arithmetic_s / saved)
        assert same == half


def test_tensor_cores_under_tensorflow_1_change_the_layout() -> None:
    full, half = prices(convolution(3), device(fusion="tensorflow-1-cuda"))
    # float32's matrix rate is the vector units'. Input and output are read and written again.
    assert full.layout_s == 0
    assert half.layout_s == pytest.approx(2 * 2 * 2 * (2 * 64 * 64) / 1e9)


def test_a_gather_reads_the_rows_that_it_writes() -> None:
    nodes = [
        Node("table", "Const", (), (100_000, 64)),
        Node("keys", "Placeholder", (), (10,)),
        Node("rows", "GatherV2", ("table", "keys"), (10, 64)),
    ]
    full, _ = prices([*nodes, Node("out", "Relu", ("rows",), (10, 64))], device())
    # Rows are read and written, and read by what is behind; keys are read.
    assert full.seconds == pytest.approx(4 * (3 * 640 + 10) / 1e9)


def test_a_node_in_a_loop_counts_as_often_as_it_ran() -> None:
    once = product(1, 1000, 500)
    seven = [replace(node, runs=7 if node.op == "MatMul" else 1) for node in once]
    full, _ = prices(once, device())
    repeated, _ = prices(seven, device())
    assert repeated.seconds == pytest.approx(7 * full.seconds)
    assert repeated.kernels == 7
    never, _ = prices([replace(node, runs=0) for node in once], device(launch_s=1e-6))
    assert (never.kernels, never.seconds) == (0, 1e-6)


def test_a_host_that_dispatches_more_slowly_than_the_device_computes_is_waited_for() -> None:
    full, half = prices(product(1, 1000, 500), device(dispatch_s=1.0, run_s=0.5))
    assert (full.seconds, half.seconds) == (1.5, 3.5)
    # Casts of weights wait for nothing, so other threads dispatch them.
    _, served = prices(product(1, 1000, 500), device(dispatch_s=1.0), folded=False)
    assert served.seconds == 3.0


def test_what_cannot_be_costed_is_refused() -> None:
    nodes = [Node("x", "Placeholder", (), (2,)), Node("call", "PartitionedCall", ("x",), (2,))]
    with pytest.raises(InputError, match=r"cannot see into call \(PartitionedCall\)"):
        prices(nodes, device())
    prepared, run = graph_of(product(1, 2, 3))
    with pytest.raises(InputError, match="3 nodes, the graph 4"):
        CostModel(prepared, replace(run, nodes=run.nodes[1:]), device())
    bfloat16_only = {"matrix": {"float32": 1.0, "bfloat16": 1.0}, "vector": {"float32": 1.0}}
    with pytest.raises(InputError, match="Imaginary 9000 has no rates for float16"):
        CostModel(prepared, run, device(rates=bfloat16_only))
