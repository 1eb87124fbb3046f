"""Fixtures of the engine's tests."""

from tests.support.toy_sources import transfers

__all__ = ["transfers"]
