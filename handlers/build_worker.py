"""Fetches a build's artifact into the source bucket: ``POST /builds`` with ``{"commit": "abc123"}``.

The artifact passes through in parts, and is never in memory as a whole. Under its key appears all of it, or nothing.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Any, cast
from urllib.parse import urlsplit

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from . import clients, http, log, text
from .environment import Variables

# The hash of a commit, abbreviated or full (SHA-1 or SHA-256). Nothing else can get into the URL.
_COMMIT = re.compile(r"[0-9a-f]{6,64}")

# Larger than any build, and less than a host that never stops sending would send in a quarter of an hour.
MAX_ARTIFACT_BYTES = 5 * 1024**3

# Seconds. API Gateway waits 29 for an answer, so a fetch through the API ends before that. A direct invocation may take
# longer, and ends before Lambda's timeout.
API_TIME_LIMIT = 18.0
TIME_LEFT_FOR_ANSWER = 12.0
# A single read may exceed either limit by this much.
SOCKET_TIMEOUT = 10.0

# The size of one read. The clock is checked between two reads.
_PIECE_BYTES = 256 * 1024

# At most ten parts are in memory.
_TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024**2,
    multipart_chunksize=16 * 1024**2,
    max_concurrency=4,
)


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    artifact_base_url: str
    source_bucket: str
    key_prefix: str


class FetchError(Exception):
    """The artifact could not be fetched. ``status`` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answers 201 with bucket, key and size; 400 for an invalid request; 404 if the artifact does not exist; 502 or 504
    if its host fails; 503 if the stack has no artifact host, or S3 fails.

    A direct invocation, with ``{"commit": …}`` as the event, returns the same members, or raises the error.
    """
    time_left = context.get_remaining_time_in_millis() / 1000 - TIME_LEFT_FOR_ANSWER
    if not isinstance(event, dict) or "httpMethod" not in event:
        return _store(event, time_left)
    try:
        stored = _store(http.json_body(event), min(time_left, API_TIME_LIMIT))
    except http.BadRequestError as error:
        return http.bad_request(error)
    except FetchError as error:
        log.error("Artifact not fetched", error)
        return http.response(error.status, {"message": str(error)})
    except (ClientError, BotoCoreError) as error:
        log.error("Artifact not stored", error)
        return http.response(503, {"message": "The artifact could not be stored. Try again later."})
    return http.response(201, stored)


def _store(request: Any, time_limit: float) -> dict[str, Any]:
    problems = _problems(request)
    if problems:
        raise http.BadRequestError(problems)
    commit: str = request["commit"]
    base, bucket = Environment.read().artifact_base_url, Environment.read().source_bucket
    key, url = f"{Environment.read().key_prefix}{commit}.zip", f"{base}/{commit}"
    log.about(bucket=bucket, key=key)
    if not base:
        raise FetchError(503, "The stack has no artifact host. Set artifactBaseUrl, and deploy the stack again.")
    deadline = time.monotonic() + time_limit
    with _open(url) as answer:
        artifact = Artifact(answer, deadline)
        clients.s3().upload_fileobj(
            cast("IO[bytes]", artifact),
            bucket,
            key,
            # Every copy gets the metadata, so it does not contain the address of the artifact host.
            ExtraArgs={
                "ContentType": "application/zip",
                "Metadata": {"commit": commit},
                # A checksum of the whole artifact, with which each copy can be compared.
                "ChecksumAlgorithm": "CRC32",
                "ChecksumType": "FULL_OBJECT",
            },
            Config=_TRANSFER,
        )
    log.info("Artifact stored", size=artifact.size)
    return {"bucket": bucket, "key": key, "size": artifact.size}


def _problems(request: Any) -> list[str]:
    """One sentence for each thing that is wrong with ``request``."""
    members = request if isinstance(request, dict) else {}
    found = [f"{json.dumps(name)[:100]} is not a member of the request." for name in members if name != "commit"]
    commit = members.get("commit")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        actual = "and is missing" if commit is None else f"not {str(commit)[:100]!r}"
        found.append(f"commit must be the hash of a commit, 6 to 64 characters of 0-9 and a-f, {actual}.")
    return found


class Artifact:
    """An artifact while it is read. A read fails if the body ends early, takes too long, or is too large."""

    def __init__(self, answer: HTTPResponse, deadline: float) -> None:
        self._answer = answer
        self._deadline = deadline
        # From Content-Length. None if that is not a number, or if the body comes in chunks.
        self._expected = answer.length
        self.size = 0
        self._refuse_if_too_large(self._expected or 0)

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, or fewer at the end; all the rest if ``size`` is negative."""
        pieces: list[bytes] = []
        left = size
        while left and (piece := self._read_piece(min(left, _PIECE_BYTES) if left > 0 else _PIECE_BYTES)):
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        return b"".join(pieces)

    def _read_piece(self, size: int) -> bytes:
        """The bytes that have arrived, at most ``size``; empty at the end."""
        # A read of a whole part would go on for as long as single bytes arrive.
        if time.monotonic() > self._deadline:
            raise FetchError(504, "The artifact did not arrive in time. If it is large, invoke build-worker directly.")
        try:
            piece = self._answer.read1(size)
        except (HTTPException, OSError) as error:
            raise FetchError(502, f"The artifact host closed the connection: {error!r}.") from error
        self.size += len(piece)
        self._refuse_if_too_large(self.size)
        if not piece and self.size == 0:
            raise FetchError(502, "The artifact is empty.")
        # http.client reports no error if the body ends early.
        if not piece and self._expected is not None and self.size != self._expected:
            raise FetchError(
                502,
                f"The artifact host closed the connection after {self.size} of {text.count(self._expected, 'byte')}.",
            )
        return piece

    def _refuse_if_too_large(self, size: int) -> None:
        if size > MAX_ARTIFACT_BYTES:
            raise FetchError(502, f"The artifact is larger than {MAX_ARTIFACT_BYTES} bytes.")


class _SameOriginRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the artifact host only: another host could be inside our network."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            raise FetchError(
                502,
                f"The artifact host redirects to another host, {new.netloc!r}. That is not followed.",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@cache
def _opener() -> urllib.request.OpenerDirector:
    """An opener for HTTP and HTTPS, without proxies, and without ``file:`` and ``ftp:`` URLs."""
    opener = urllib.request.OpenerDirector()
    for part in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameOriginRedirects(),
    ):
        opener.add_handler(part)
    return opener


def _open(url: str) -> HTTPResponse:
    try:
        answer: HTTPResponse = _opener().open(url, timeout=SOCKET_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise FetchError(404, f"The artifact {url} does not exist.") from error
        raise FetchError(502, f"The artifact host answered {error.code} for {url}.") from error
    # ValueError: a redirect to something that is not a URL.
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise FetchError(502, f"The artifact host could not be reached at {url}: {error!r}.") from error
    if answer.status != 200:
        answer.close()
        raise FetchError(502, f"The artifact host answered {answer.status} for {url}. An artifact needs 200.")
    return answer
