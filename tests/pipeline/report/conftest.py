"""What tests of the report share."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium for all tests of a module."""
    from tests.browser import started  # other tests here do without what it needs

    with started() as driver:
        yield driver
