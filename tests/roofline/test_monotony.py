"""A device that is better in one respect is never slower, whatever the painting."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.roofline.cost import CostModel
from amp_tuner.roofline.device import DeviceProfile
from amp_tuner.roofline.fusion import STYLES
from tests.roofline.typed import convolution, device, graph_of, painted

PREPARED, RUN = graph_of(convolution(3, "Mul", "BiasAdd", "AddV2", "Relu", "Softmax"))
OP_TYPES = ("Conv2D", "Mul", "BiasAdd", "AddV2", "Relu", "Softmax")
positive = st.floats(1e-3, 1e3)
factors = st.floats(1.0, 100.0)


@st.composite
def profiles(draw: st.DrawFn) -> DeviceProfile:
    def rates() -> dict[str, float]:
        return {name: 1e9 * draw(positive) for name in ("float32", "float16")}

    memory = 1e9 * draw(positive)
    return device(
        fusion=draw(st.sampled_from(sorted(STYLES))),
        rates={kind: rates() for kind in ("matrix", "vector", "transcendental")},
        matrix_efficiency={name: draw(st.floats(0.1, 1)) for name in ("float32", "float16")},
        memory_bytes_per_s=memory,
        cache_bytes_per_s=memory * draw(factors),
        cache_bytes=1e5 * draw(positive),
        launch_s=1e-6 * draw(positive),
        dispatch_s=1e-6 * draw(positive),
        compute_units=float(draw(st.integers(1, 99))),
        tile=float(draw(st.integers(1, 64))),
    )


def better(profile: DeviceProfile, name: str, factor: float) -> DeviceProfile:
    """The profile with one figure improved."""
    if name.endswith("_s") and "bytes" not in name:
        return replace(profile, **{name: getattr(profile, name) / factor})
    return replace(profile, **{name: getattr(profile, name) * factor})


@given(
    profile=profiles(),
    name=st.sampled_from(
        ("cache_bytes", "cache_bytes_per_s", "launch_s", "dispatch_s", "winograd", "both")
    ),
    factor=factors,
    moves=st.dictionaries(st.sampled_from(OP_TYPES), st.sampled_from(DESTINATIONS)),
)
def test_more_of_anything_is_never_slower(
    profile: DeviceProfile, name: str, factor: float, moves: dict[str, str]
) -> None:
    if name == "both":
        # The cache stays at least as fast as the memory.
        improved = better(
            better(profile, "memory_bytes_per_s", factor), "cache_bytes_per_s", factor
        )
    else:
        improved = better(profile, name, factor)
    painting = painted(PREPARED, **moves)
    slow, fast = (CostModel(PREPARED, RUN, one) for one in (profile, improved))
    assert 0 < fast.milliseconds(painting) <= slow.milliseconds(painting) * (1 + 1e-12)
    assert 0 < fast.float32_milliseconds() <= slow.float32_milliseconds() * (1 + 1e-12)


@given(profile=profiles(), factor=factors, kind=st.sampled_from(("matrix", "vector")))
def test_a_faster_unit_is_never_slower(profile: DeviceProfile, factor: float, kind: str) -> None:
    # The style whose layout changes depend on which unit is faster is left out.
    profile = replace(profile, fusion="tensorflow-cuda")
    rates = {name: rate * factor for name, rate in profile.rates[kind].items()}
    improved = replace(profile, rates={**profile.rates, kind: rates})
    slow, fast = (CostModel(PREPARED, RUN, one) for one in (profile, improved))
    painting = painted(PREPARED)
    assert fast.milliseconds(painting) <= slow.milliseconds(painting) * (1 + 1e-12)
    assert fast.float32_milliseconds() <= slow.float32_milliseconds() * (1 + 1e-12)
