"""Ties each emulator that a test run starts to the run: it ends with the run, even if the run is killed."""

from __future__ import annotations

import os

from filecopy.embedded.emulator import ENDS_WITH

# With xdist, the workers inherit the process ID of the run that started them.
os.environ.setdefault(ENDS_WITH, str(os.getpid()))
