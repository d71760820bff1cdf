"""Rewrites assertions also in the modules that the tests share, so that a failure shows the compared values."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.engines.checkout", "tests.engines.engines", "tests.engines.life")
