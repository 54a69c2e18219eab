"""Settings of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples at every run, so that a change and not chance decides; --hypothesis-seed explores others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exported networks go into a folder of the test run, not into the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEELQUANT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
