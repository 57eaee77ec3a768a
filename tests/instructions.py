"""What a test needs of this CPU."""

from __future__ import annotations

import pytest

from amp_tuner.measure.hardware import hardware_facts

HAS_AVX512 = "avx512bw" in str(hardware_facts()["cpu_flags"])

#: Elsewhere TensorFlow converts each number: a picture through MobileNet then takes seconds.
convolves_in_16_bits = pytest.mark.skipif(
    not HAS_AVX512,
    reason="NOT TESTED: convolutions in 16 bits take minutes on a CPU without AVX-512",
)
