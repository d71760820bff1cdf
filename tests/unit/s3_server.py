"""An S3 on loopback that takes uploads, and can be interrupted while it does. A real connection behaves in ways that a
stubbed client does not: it sends a body piece by piece, and waits for the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from filecopy.stack.clients import Clients

_PIECE = 64 * 1024


class S3Server:
    """``objects`` has what was stored, ``requests`` each method and operation."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        """Those of the request that made the object."""
        self.requests: list[str] = []
        self.refused: set[str] = set()
        """The keys that are answered with AccessDenied."""
        self.on_piece: Callable[[str], None] = lambda _key: None
        """Called after each piece of a body."""
        self.on_stored: Callable[[str], None] = lambda _key: None
        self.clients_made = 0
        self._parts: dict[str, dict[int, bytes]] = {}
        self._uploads: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def open_uploads(self) -> set[str]:
        return set(self._parts)

    @contextmanager
    def running(self) -> Iterator[Clients]:
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                s3._answer(self, "PUT")

            def do_POST(self) -> None:
                s3._answer(self, "POST")

            def do_DELETE(self) -> None:
                s3._answer(self, "DELETE")

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        class Counted(Clients):
            def new(self, service: str) -> object:
                s3.clients_made += 1
                return super().new(service)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Counted(f"http://127.0.0.1:{server.server_port}", "us-east-1")
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, method: str) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query, keep_blank_values=True)
        key = unquote(url.path).split("/", 2)[2]
        body = self._body(request, key)
        if body is None:
            request.close_connection = True
            return
        with self._lock:
            status, answer, headers = self._handle(method, key, query, body, dict(request.headers))
        if status == 200 and key in self.objects:
            self.on_stored(key)
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(answer)

    def _body(self, request: BaseHTTPRequestHandler, key: str) -> bytes | None:
        """The body; ``None`` if the connection ended before it was complete."""
        length, body = int(request.headers.get("Content-Length") or 0), b""
        while len(body) < length:
            try:
                piece = request.rfile.read(min(_PIECE, length - len(body)))
            except ConnectionError:
                return None
            if not piece:
                return None
            body += piece
            self.on_piece(key)
        return body

    def _handle(
        self, method: str, key: str, query: dict[str, list[str]], body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        upload = query.get("uploadId", [""])[0]
        version = {"x-amz-version-id": f"version-of-{quote(key)}"}
        # As S3 writes it: with references that XML 1.0 does not have.
        named = "".join(
            character if character.isprintable() else f"&#x{ord(character):x};" for character in escape(key)
        )
        if key in self.refused:
            self.requests.append("refused")
            return 403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", {}
        if method == "POST" and "uploads" in query:
            self.requests.append("CreateMultipartUpload")
            self._parts[key], self._uploads[key] = {}, headers
            answer = f"<Key>{named}</Key><UploadId>of {quote(key)}</UploadId>"
            return 200, f"<InitiateMultipartUploadResult>{answer}</InitiateMultipartUploadResult>".encode(), {}
        if method == "DELETE":
            self.requests.append("AbortMultipartUpload")
            self._parts.pop(key, None)
            return 204, b"", {}
        if method == "POST":
            self.requests.append("CompleteMultipartUpload")
            parts = self._parts.pop(key)
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            self.headers[key] = self._uploads[key]
            answer = f"<CompleteMultipartUploadResult><Key>{named}</Key></CompleteMultipartUploadResult>"
            return 200, answer.encode(), version
        if upload:
            self.requests.append("UploadPart")
            self._parts[key][int(query["partNumber"][0])] = body
            return 200, b"", {"ETag": '"part"'}
        self.requests.append("PutObject")
        self.objects[key], self.headers[key] = body, headers
        return 200, b"", {"ETag": '"object"', **version}
