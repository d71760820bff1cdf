"""Clients, which a container makes once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handlers import clients


@pytest.mark.parametrize("make", [clients.s3, clients.stepfunctions, clients.dynamodb, clients.sns])
def test_a_client_is_made_once_and_gives_up_in_time(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client per call would open a connection per call; one without limits would hang until Lambda ends it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    client = make()
    assert make() is client
    assert client.meta.endpoint_url == "http://127.0.0.1:4566"
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (3, 10, 3)
