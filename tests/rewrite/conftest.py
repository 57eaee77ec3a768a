"""The real passes, one live process each for all tests."""

from __future__ import annotations

import pytest

from tests.oracle import Oracle


@pytest.fixture(scope="session")
def cpu_oracle():
    """The bfloat16 and float16 passes for CPU of the TensorFlow in use."""
    oracle = Oracle()
    yield oracle
    oracle.close()


@pytest.fixture(scope="session")
def cuda_oracle():
    """The CUDA float16 pass, with a GPU that it is told of."""
    oracle = Oracle(cuda=True)
    yield oracle
    oracle.close()
