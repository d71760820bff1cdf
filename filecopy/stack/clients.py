"""boto3 clients of an emulator, or of AWS."""

from __future__ import annotations

import copy
import threading
from typing import Any

import boto3
import botocore.config
import botocore.session


class Clients:
    """boto3 clients of one emulator, or of AWS where there is no endpoint, made once each.

    An emulator takes the credentials that are given, AWS those of the person who runs this: their profile, their
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
            self._session: Any = boto3.Session(region_name=region)
            specific: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 5}}
        else:
            # A profile of the person who runs this is for AWS, and may not even exist.
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
                # An emulator is on this machine, whatever proxy leads elsewhere.
                "proxies": {},
                "retries": {"mode": "standard", "max_attempts": 2},
            }
        self._config = botocore.config.Config(connect_timeout=5, read_timeout=60, max_pool_connections=32, **specific)
        self._clients: dict[str, Any] = {}
        # Shared with those of other regions, as the session is.
        self._lock = threading.Lock()
        self._elsewhere: dict[str, Clients] = {}

    @property
    def is_emulator(self) -> bool:
        return self._endpoint is not None

    def in_region(self, region: str | None) -> Clients:
        """The clients of the same person, or of the same emulator, in another region; ``None`` is this one."""
        if region is None or region == self.region:
            return self
        with self._lock:
            if region not in self._elsewhere:
                self._elsewhere[region] = there = copy.copy(self)
                there.region, there._clients, there._elsewhere = region, {}, {}
            return self._elsewhere[region]

    def new(self, service: str) -> Any:
        """A client that nobody else has, such as one whose events are listened to."""
        with self._lock:
            return self._make(service)

    def __call__(self, service: str) -> Any:
        # Clients may be shared by threads, but not made by several at once.
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        return self._session.client(service, region_name=self.region, endpoint_url=self._endpoint, config=self._config)
