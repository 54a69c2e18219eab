"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples at every run, so that a change and not chance decides; --hypothesis-seed explores others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
