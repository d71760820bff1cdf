"""Answers and headers as S3 has them and botocore does not expect them, from a server on the loopback interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from handlers.s3_protocol import accept_any_key, header_text, headers_as_they_are

from . import account

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Characters that XML 1.0 does not have, and some that it has, in keys and as S3 writes them.
KEYS = {
    "bell\x08.bin": "bell&#x8;.bin",
    "\x1f\x00.bin": "&#x1f;&#x0;.bin",
    "a\ufffe.bin": "a&#xFFFE;.bin",
    "decimal\x08": "decimal&#8;",
    "raw\x08\ufffe": "raw\x08\ufffe",
    "fine\n\t é📦": "fine&#xA;&#x9; é&#x1F4E6;",
    "half": "half&#xD800;",
}


class S3Server(ThreadingHTTPServer):
    """Answers every request with ``status`` and ``body``, and keeps the headers of each request in ``sent``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = 200, b""
        self.sent: list[dict[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        server = cast("S3Server", self.server)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.sent.append({name.lower(): value for name, value in self.headers.items()})
        assert urlsplit(self.path).path.startswith("/bucket/")
        self.send_response(server.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class S3:
    server: S3Server
    client: S3Client = field(repr=False)

    def answers(self, body: str, status: int = 200) -> None:
        self.server.status = status
        self.server.body = f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()


@contextmanager
def _serving() -> Iterator[S3Server]:
    with S3Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def s3() -> Iterator[S3]:
    with _serving() as server:
        client = account.botocore_session().create_client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        yield S3(server=server, client=cast("S3Client", client))


@pytest.mark.parametrize(("key", "written"), KEYS.items(), ids=map(repr, KEYS))
def test_answers_with_any_key_are_read(s3: S3, key: str, written: str) -> None:
    """S3 writes every character of a key into its XML. An answer that cannot be read costs the upload that it names."""
    accept_any_key(s3.client)
    target: Any = {"Bucket": "bucket", "Key": key}
    upload: Any = {**target, "UploadId": "u"}
    s3.answers(
        f"<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>{written}</Key><UploadId>u</UploadId>"
        "</InitiateMultipartUploadResult>"
    )
    assert s3.client.create_multipart_upload(**target)["UploadId"] == "u"
    s3.answers(
        f"<ListPartsResult><Key>{written}</Key><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></ListPartsResult>"
    )
    assert [part["ETag"] for part in s3.client.list_parts(**upload)["Parts"]] == ["e"]
    s3.answers(
        f"<CompleteMultipartUploadResult><Location>http://bucket/{written}</Location><Key>{written}</Key>"
        "<ETag>e-1</ETag></CompleteMultipartUploadResult>"
    )
    assert s3.client.complete_multipart_upload(**upload)["ETag"] == "e-1"


@pytest.mark.parametrize(("key", "written"), KEYS.items(), ids=map(repr, KEYS))
def test_errors_with_any_key_are_read(s3: S3, key: str, written: str) -> None:
    """An error names the key, too, and is told by its code, not by what cannot be read."""
    accept_any_key(s3.client)
    s3.answers(f"<Error><Code>NoSuchKey</Code><Message>No &lt;key&gt;</Message><Key>{written}</Key></Error>", 404)
    with pytest.raises(ClientError) as error:
        s3.client.copy_object(Bucket="bucket", Key=key, CopySource={"Bucket": "b", "Key": key})
    assert error.value.response["Error"]["Code"] == "NoSuchKey"
    assert error.value.response["Error"]["Message"] == "No <key>"
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.client.abort_multipart_upload(Bucket="bucket", Key=key, UploadId="u")
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.client.get_object_tagging(Bucket="bucket", Key=key)


def test_botocore_itself_does_not_read_them(s3: S3) -> None:
    """The reason for accept_any_key. When this fails, it is not needed any more."""
    s3.answers("<InitiateMultipartUploadResult><Key>&#x8;</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    with pytest.raises((ClientError, ResponseParserError)):
        s3.client.create_multipart_upload(Bucket="bucket", Key="\x08")


def test_the_rest_of_an_answer_is_as_it_was(s3: S3) -> None:
    """References to characters that XML has, and text that looks like one, stay."""
    accept_any_key(s3.client)
    upload_id = "a&b&#x8;<é>"
    s3.answers(
        f"<InitiateMultipartUploadResult><UploadId>{escape(upload_id)}</UploadId></InitiateMultipartUploadResult>"
    )
    assert s3.client.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"] == upload_id


def test_headers_go_as_they_are_in_the_block_alone(s3: S3) -> None:
    """S3 stores an Expires that is not a date, and metadata in any bytes; a copy has to give it the same."""
    s3.answers("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    raw = {"Expires": "5d", "x-amz-meta-name": header_text("r\u00c3\u00a9sum\u00c3\u00a9")}
    assert raw["x-amz-meta-name"] == "résumé"
    with headers_as_they_are(s3.client, "CreateMultipartUpload", raw):
        s3.client.create_multipart_upload(Bucket="bucket", Key="k", Metadata={"other": "x"})
    s3.client.create_multipart_upload(Bucket="bucket", Key="k")
    first, second = s3.server.sent
    assert (first["expires"], first["x-amz-meta-other"]) == ("5d", "x")
    assert first["x-amz-meta-name"].encode("latin-1") == "résumé".encode()
    assert "expires" not in second


@pytest.mark.parametrize("value", ["plain", "résumé 📦", "=?UTF-8?Q?r=C3=A9?="])
def test_a_header_is_sent_as_it_was_read(s3: S3, value: str) -> None:
    """The bytes of a header survive being read and being written."""
    s3.answers("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    read = value.encode().decode("latin-1")
    s3.client.create_multipart_upload(Bucket="bucket", Key="k", ContentDisposition=header_text(read))
    assert s3.server.sent[-1]["content-disposition"] == read


def test_a_header_that_is_not_utf_8_is_still_sent() -> None:
    """Bytes of another encoding change theirs, and hinder no copy."""
    assert header_text("r\u00e9") == "r\u00e9"
