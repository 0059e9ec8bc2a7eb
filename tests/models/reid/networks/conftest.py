"""Networks that a module keeps in a cache are kept for that module only."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def cleared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty the cache of the module's `network`, where it has one."""
    yield
    kept = getattr(request.module, "network", None)
    if hasattr(kept, "cache_clear"):
        kept.cache_clear()
