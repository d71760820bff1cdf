from __future__ import annotations

import os

import pytest

from filecopy.embedded.configuration import stack_configuration

from .mocks import Recording


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region, a setting or a port of the person who runs the tests changes nothing."""
    for name in os.environ:
        if name.startswith(("AWS_", "FILECOPY_", "PULUMI_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def whole_program() -> Recording:
    """The whole program as the local stack, with every resource that a setting can ask for."""
    addresses = '["ops@example.com"]'
    overrides = {"notificationEmails": addresses, "operationsEmails": addresses}
    configuration = stack_configuration("local", overrides=overrides)
    return Recording().run(configuration)
