"""What a container makes once: its clients and its environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handlers import build_worker, clients, regional_sync, replication_worker, step_function_invoker

ENVIRONMENTS: list[tuple[Callable[[], Any], str]] = [
    (build_worker.environment, "ARTIFACT_BASE_URL SOURCE_BUCKET"),
    (regional_sync.environment, "SOURCE_BUCKET TABLE_NAME TOPIC_ARN"),
    (replication_worker.environment, "DESTINATION_BUCKETS STATE_MACHINE_ARN"),
    (step_function_invoker.environment, "STATE_MACHINE_ARN"),
]


@pytest.mark.parametrize("make", [clients.s3, clients.stepfunctions, clients.dynamodb, clients.sns])
def test_a_client_is_made_once_and_gives_up_in_time(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client per call would open a connection per call; one without limits would hang until Lambda ends it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    client = make()
    assert make() is client
    assert client.meta.endpoint_url == "http://127.0.0.1:4566"
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (3, 10, 3)


@pytest.mark.parametrize(
    ("environment", "variables", "missing"),
    [(environment, names.split(), missing) for environment, names in ENVIRONMENTS for missing in names.split()],
)
def test_a_missing_variable_is_named(
    environment: Callable[[], Any], variables: list[str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that was deployed without a variable says which, instead of working on a bucket named None."""
    for variable in variables:
        monkeypatch.setenv(variable, "[]")
    monkeypatch.delenv(missing)
    with pytest.raises(KeyError, match=missing):
        environment()
