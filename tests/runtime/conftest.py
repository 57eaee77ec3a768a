"""Models in every form, made once for all tests of the loader."""

from __future__ import annotations

import pytest

from tests.runtime.loader_models import Example, make_all


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Example]:
    """Every small model by its name, as in ``loader_models.NAMES``."""
    return make_all(tmp_path_factory.mktemp("models"))
