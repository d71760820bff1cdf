"""Protection of the console: who may read a page, and which requests may change something.

Other pages in the same browser, and other users of this machine, must not reach the stack through the console.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # A page loads only what the console serves, and runs no script that is inside it.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Other sites get no referrer. With "no-referrer", browsers send "Origin: null" with the console's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_FORWARD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>filecopy</title>
<meta http-equiv="refresh" content="0; url={url}"></head>
<body><p><a href="{url}">Open the console</a></p></body></html>
"""

FORM_TOKEN_HEADER = "X-Form-Token"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class Secrets:
    """The secrets of one run of the console. The next run has others."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """In the URL that the console prints."""
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """In the cookie of a browser that has opened that URL."""
    form: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """In the pages, and sent back with each action. Another site cannot read it."""
    _once: set[str] = field(default_factory=set, repr=False)

    def token_for_once(self) -> str:
        """A token that works once: for the command line of a browser, which other users of this machine can read."""
        token = secrets.token_urlsafe(32)
        self._once.add(token)
        return token

    def accept(self, token: str | None) -> bool:
        if token in self._once:
            self._once.remove(token)
            return True
        return equal(token, self.token)


def equal(given: str | None, secret: str) -> bool:
    """Compare without revealing by the time how much of the secret was right."""
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


class Guard:
    """Middleware that refuses requests of other sites and of other users, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, *, port: int, keys: Secrets) -> None:
        self._app = app
        self._keys = keys
        # Browsers leave out the port of HTTP.
        self._hosts = {f"{name}:{port}".removesuffix(":80") for name in ("127.0.0.1", "localhost")}
        # Cookies do not know ports, and each console has its own.
        self._cookie = f"filecopy-console-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that must not reach a page; ``None`` for one that may."""
        headers = Headers(scope=scope)
        if scope["type"] != "http":
            return _refused("The console has no WebSockets.")
        host = headers.get("host", "")
        if host not in self._hosts:
            # A name of another site that leads to this machine (DNS rebinding).
            return _refused("The console answers only at 127.0.0.1 and localhost.")
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return _refused("The request comes from another site.")
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and scope["method"] != "GET":
            return _refused("The request comes from another site.")
        if equal(self._session(headers), self._keys.session):
            return None
        return self._first_visit(scope)

    def _session(self, headers: Headers) -> str | None:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return cookie.value if cookie else None

    def _first_visit(self, scope: Scope) -> Response:
        """The answer to a browser without the cookie: the cookie if the URL has the token."""
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        if scope["method"] != "GET" or not self._keys.accept(dict(query).get("token")):
            return _refused(
                "Open the URL that 'filecopy console' has printed. It has a token, and is new after each start."
            )
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # The token does not stay in the address bar, nor in the history. After a redirect, a browser that came from a
        # link of another site would not send the cookie.
        url = "/" + quote(scope["path"].lstrip("/")) + (f"?{rest}" if rest else "")
        answer = HTMLResponse(_FORWARD.format(url=escape(url)))
        answer.set_cookie(self._cookie, self._keys.session, httponly=True, samesite="strict", path="/")
        return answer


def _refused(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status_code=403)
