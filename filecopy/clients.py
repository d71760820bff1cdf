"""boto3 clients of an emulator."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import botocore.config
import botocore.session


class Clients:
    """boto3 clients of one emulator, made once each."""

    def __init__(
        self,
        endpoint: str,
        region: str,
        access_key: str = "test",
        secret_key: str = "test",  # noqa: S107 - what emulators take
        session_token: str | None = None,
    ) -> None:
        self.region = region
        self._endpoint = endpoint
        # A profile of the person who runs this is for AWS, and may not even exist.
        without_profile = botocore.session.Session(session_vars={"profile": (None, [], None, None)})
        self._session: Any = boto3.Session(
            botocore_session=without_profile,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=session_token,
            region_name=region,
        )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, service: str) -> Any:
        # Clients may be shared by threads, but not made by several at once.
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self._endpoint,
                    config=botocore.config.Config(
                        s3={"addressing_style": "path"},
                        # An emulator is on this machine, whatever proxy leads elsewhere.
                        proxies={},
                        retries={"mode": "standard", "max_attempts": 2},
                        connect_timeout=5,
                        read_timeout=60,
                        max_pool_connections=32,
                    ),
                )
            return self._clients[service]
