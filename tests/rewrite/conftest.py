"""The real passes, one live process each for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.environments import OLDER, interpreter
from tests.oracle import Oracle


@pytest.fixture(scope="session")
def cpu_oracle() -> Iterator[Oracle]:
    """The bfloat16 and float16 passes for CPU of the TensorFlow in use."""
    with closing(Oracle()) as oracle:
        yield oracle


@pytest.fixture(scope="session")
def cuda_oracle() -> Iterator[Oracle]:
    """The CUDA float16 pass, with a GPU that it is told of."""
    with closing(Oracle(cuda=True)) as oracle:
        yield oracle


@pytest.fixture(scope="session", params=[*OLDER, "itex"])
def older_oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    """TensorFlow 2.15's own passes, where there is nothing but TensorFlow and NumPy."""
    with closing(Oracle(interpreter(request.param))) as oracle:
        yield oracle


@pytest.fixture(scope="session")
def itex_oracle() -> Iterator[Oracle]:
    """ITEX's pass."""
    with closing(Oracle(interpreter("itex"))) as oracle:
        yield oracle
