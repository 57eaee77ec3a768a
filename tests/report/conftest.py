"""One Chromium for the tests of all pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.report import browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    if not browser.available():
        pytest.skip("NOT TESTED: needs chromium and chromedriver on the PATH")
    with browser.Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running
