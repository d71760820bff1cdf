"""Has assertions say what they compared, also in the modules that the tests share."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.engines.checkout", "tests.engines.engines", "tests.engines.life")
