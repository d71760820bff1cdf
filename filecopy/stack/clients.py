"""boto3 clients of an emulator, or of AWS."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError

from filecopy.errors import StackError
from filecopy.polling import RequestLimit


class Clients:
    """boto3 clients of one emulator, or of AWS if there is no endpoint. Each is made once.

    For an emulator they have the given credentials, for AWS those of the person who runs this: their profile, their
    environment.
    """

    def __init__(
        self,
        endpoint: str | None,
        region: str,
        access_key: str = "test",
        secret_key: str = "test",  # noqa: S107 - what emulators take
        session_token: str | None = None,
    ) -> None:
        self.region = region
        self._endpoint = endpoint
        if endpoint is None:
            with _own_configuration():
                self._session: Any = boto3.Session(region_name=region)
            specific: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 5}}
        else:
            # The profile of the person who runs this is for AWS, and may not even exist.
            without_profile = botocore.session.Session(session_vars={"profile": (None, [], None, None)})
            self._session = boto3.Session(
                botocore_session=without_profile,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                aws_session_token=session_token,
                region_name=region,
            )
            specific = {
                "s3": {"addressing_style": "path"},
                # An emulator is on this machine. A proxy leads elsewhere.
                "proxies": {},
                "retries": {"mode": "standard", "max_attempts": 2},
            }
        self._config = botocore.config.Config(connect_timeout=5, read_timeout=60, max_pool_connections=32, **specific)
        self._clients: dict[str, Any] = {}
        self._limit = RequestLimit()
        # Shared with the clients of other regions, as the session is.
        self._lock = threading.Lock()
        self._elsewhere: dict[str, Clients] = {}

    @property
    def is_emulator(self) -> bool:
        return self._endpoint is not None

    def on_request(self, handler: Callable[..., None]) -> None:
        """Call ``handler`` before each request of the clients that are made from now on."""
        self._session.events.register("before-send", handler)

    def in_region(self, region: str | None) -> Clients:
        """The clients of the same person, or of the same emulator, in another region; ``None`` is this region."""
        if region is None or region == self.region:
            return self
        with self._lock:
            if region not in self._elsewhere:
                self._elsewhere[region] = there = copy.copy(self)
                there.region, there._clients, there._elsewhere = region, {}, {}
            return self._elsewhere[region]

    def new(self, service: str) -> Any:
        """A new client, for a caller that registers event handlers."""
        with self._lock:
            return self._make(service)

    def __call__(self, service: str) -> Any:
        # Threads may share clients, but may not make them at the same time.
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        with _own_configuration():
            client = self._session.client(
                service, region_name=self.region, endpoint_url=self._endpoint, config=self._config
            )
        if service == "stepfunctions" and not self.is_emulator:
            self._limit.watch(client)
        return client


@contextmanager
def _own_configuration() -> Iterator[None]:
    """Report what is wrong with the AWS configuration of the person who runs this.

    boto3 reads the configuration, and runs the command that prints credentials, when it makes a client. For what it
    does not expect there, it raises Python's own errors.

    Raises:
        StackError: boto3 cannot read it.
    """
    try:
        yield
    except BotoCoreError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise StackError(
            f"Your AWS configuration cannot be used: {type(error).__name__}: {str(error).rstrip('.')}. Check the files"
            " ~/.aws/config and ~/.aws/credentials, the command of credential_process in them, and the environment"
            " variables that begin with AWS_."
        ) from error
