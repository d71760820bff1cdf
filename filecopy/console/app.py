"""The console's routes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from filecopy.pages import svg
from filecopy.pages.report import DARK, LIGHT, SIGNS, environment
from filecopy.replay import replay
from filecopy.terminal import between, command, counted, duration, local, moment, size

from .actions import Actions
from .dead_letters import dead_letters
from .destinations import destinations
from .events import Change, Live
from .executions import execution, executions
from .file import file, retry_failed_copies
from .files import files
from .overview import overview
from .reader import EXPECTED, NotFoundError, Reader, said
from .security import FORM_TOKEN_HEADER, Guard, Secrets, equal
from .uploads import store, upload
from .words import ago, status_words

HERE = Path(__file__).parent

# Bytes of the form of an action: a token and a number.
_MAX_FORM = 4096

View = Callable[[Reader, dict[str, str]], dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """A page: its title, and the view that reads what its template shows. ``entry`` is the entry of the menu."""

    title: str
    template: str
    view: View
    entry: str


PAGES = {
    "/": Page("Overview", "overview", overview, "/"),
    "/files": Page("Files", "files", files, "/files"),
    "/file": Page("File", "file", file, "/files"),
    "/executions": Page("Executions", "executions", executions, "/executions"),
    "/execution": Page("Execution", "run", execution, "/executions"),
    "/destinations": Page("Destinations", "destinations", destinations, "/destinations"),
    "/dead-letters": Page("Dead letters", "dead_letters", dead_letters, "/dead-letters"),
    "/upload": Page("Upload", "upload", upload, "/upload"),
}

_NO_PAGE = Page("Not found", "problem", lambda _reader, _query: {}, "")


@dataclass
class Console:
    """A console of one stack."""

    reader: Reader
    port: int
    is_read_only: bool = False
    keys: Secrets = field(default_factory=Secrets)
    actions: Actions = field(default_factory=Actions)
    _uploads: set[str] = field(default_factory=set)

    def url(self, token: str) -> str:
        """The URL to open."""
        return f"http://127.0.0.1:{self.port}/?token={token}"

    def warm_up(self) -> None:
        """Make the clients and compile the templates that the first page needs, so that it is as fast as the others."""
        self._change("/")
        for page in self._pages.values():
            self._template(page.template)

    @cached_property
    def live(self) -> Live:
        return Live(self._change, self.reader.pace, lambda: self.reader.requests)

    @cached_property
    def app(self) -> Starlette:
        """The ASGI application. One that is read-only has no route that changes something."""
        routes = [Route(path, self._get, methods=["GET"]) for path in self._pages]
        routes += [
            Route("/live", self._live, methods=["GET"]),
            Route("/static/{name}", _static, methods=["GET"]),
        ]
        if not self.is_read_only:
            routes += [
                Route("/retry", self._retry, methods=["POST"]),
                Route("/replay", self._replay, methods=["POST"]),
                Route("/upload", self._upload, methods=["POST"]),
            ]
        guard = Middleware(Guard, port=self.port, keys=self.keys)
        return Starlette(routes=routes, middleware=[guard], exception_handlers={404: self._missing})

    @property
    def _pages(self) -> dict[str, Page]:
        return {path: page for path, page in PAGES.items() if path != "/upload" or not self.is_read_only}

    # --- Pages --------------------------------------------------------------------------------------------------

    def _get(self, request: Request) -> Response:
        # Starlette calls this in a thread, because it waits for AWS.
        path = request.url.path
        try:
            return HTMLResponse(self._render(path, dict(request.query_params), "base.html.j2"))
        except Exception as error:  # noqa: BLE001 - said() logs it
            status = 404 if isinstance(error, NotFoundError) else 502 if isinstance(error, EXPECTED) else 500
            return self._problem(path, said(error), status)

    def _missing(self, request: Request, _error: Exception) -> Response:
        return self._problem(request.url.path, "There is no such page.", 404)

    def _problem(self, path: str, problem: str, status: int) -> Response:
        page = PAGES.get(path, _NO_PAGE)
        context = self._context(path, page, "base.html.j2") | {"problem": problem, "title": page.title}
        return HTMLResponse(self._template("problem").render(context), status_code=status)

    def _render(self, path: str, query: dict[str, str], base: str) -> str:
        page = self._pages[path]
        values = page.view(self.reader, query)
        html: str = self._template(page.template).render(self._context(path, page, base) | values)
        return html

    def _template(self, name: str) -> Any:
        return _environment().get_template(f"{name}.html.j2")

    def _context(self, path: str, page: Page, base: str) -> dict[str, Any]:
        return {
            "base": base,
            "menu": {entry.title: entry.entry for url, entry in self._pages.items() if url == entry.entry},
            "entry": page.entry,
            "title": page.title,
            "path": path,
            "stack": self.reader.stack,
            "is_read_only": self.is_read_only,
            "form_token": self.keys.form,
            "actions": self.actions,
            "now": datetime.now(UTC),
            "is_live": path in self._pages,
        }

    # --- Live pages ---------------------------------------------------------------------------------------------

    async def _live(self, request: Request) -> Response:
        url = request.query_params.get("of", "")
        if url.partition("?")[0] not in self._pages or self.live.is_full:
            return PlainTextResponse("This page cannot be followed.\n", status_code=404)
        return StreamingResponse(self.live.follow(url), media_type="text/event-stream")

    def _change(self, url: str) -> Change:
        """Read a page again."""
        path, _, query = url.partition("?")
        try:
            return Change(html=self._render(path, dict(parse_qsl(query, keep_blank_values=True)), "live.html.j2"))
        except Exception as error:  # noqa: BLE001 - said() logs it
            # The thread reads the other pages, too.
            return Change(problem=said(error))

    # --- Actions ------------------------------------------------------------------------------------------------

    async def _number(self, request: Request) -> int | None:
        """The number in the form of an action; ``None`` if the form is not one of the console's pages."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM:
                return None
        form = parse_qs(body.decode("utf-8", "replace"))
        token, number = form.get("token", [""])[0], form.get("number", [""])[0]
        return int(number) if equal(token, self.keys.form) and number.isdecimal() else None

    async def _act(self, request: Request, kind: str, target: str, act: Callable[[], str], then: str) -> Response:
        number = await self._number(request)
        if number is None:
            return PlainTextResponse("The form is not one of this console. Load the page again.\n", status_code=403)
        await run_in_threadpool(self.actions.run, kind, target, number, act)
        return RedirectResponse(then, status_code=303)

    async def _retry(self, request: Request) -> Response:
        key = request.query_params.get("key", "")
        then = f"/file?{urlencode({'key': key}, quote_via=quote)}"
        return await self._act(request, "retry", key, lambda: retry_failed_copies(self.reader, key), then)

    async def _replay(self, request: Request) -> Response:
        queue = request.query_params.get("queue", "")

        def act() -> str:
            count = replay(self.reader.stack, queue)
            return f"Moved {counted(count, 'event')} back into {queue}."

        return await self._act(request, "replay", queue, act, f"/dead-letters?{urlencode({'queue': queue})}")

    async def _upload(self, request: Request) -> Response:
        if not equal(request.headers.get(FORM_TOKEN_HEADER), self.keys.form):
            return JSONResponse({"problem": "The page is not one of this console. Load it again."}, status_code=403)
        identity = request.query_params.get("id", "")
        if not identity or identity in self._uploads:
            return JSONResponse({"problem": "This upload was started already."}, status_code=409)
        self._uploads.add(identity)
        key, announced = request.query_params.get("key", ""), request.headers.get("content-length", "")
        length = int(announced) if announced.isdecimal() else None
        try:
            return JSONResponse({"message": await store(self.reader, key, length, request.stream())})
        except ClientDisconnect:
            return JSONResponse({"problem": "The browser has gone."}, status_code=400)
        except EXPECTED as error:
            return JSONResponse({"problem": said(error)}, status_code=400)


def _environment() -> Any:
    found = environment(HERE / "templates")
    if "ago" not in found.globals:
        found.globals.update(
            SIGNS=SIGNS,
            ago=ago,
            between=between,
            command=command,
            counted=counted,
            duration=duration,
            local=local,
            moment=moment,
            size=size,
            static=_static_url,
            status_words=status_words,
        )
        found.filters["url"] = lambda text: quote(str(text), safe="", errors="replace")
    return found


_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}


@cache
def _content(name: str) -> bytes:
    """A file of static/. The style begins with the colours, the parts that the report has, too, and the drawing's."""
    content = (HERE / "static" / name).read_bytes()
    if name != "console.css":
        return content
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}"
    shared = (Path(svg.__file__).parent / "page.css").read_text(encoding="utf-8")
    return f":root {{ color-scheme: light dark; {LIGHT} }}\n{dark}\n{shared}{svg.STYLE}".encode() + content


def _static_url(name: str) -> str:
    """The URL of a file of static/. With other content it is another one, so browsers may keep the file."""
    return f"/static/{name}?{hashlib.sha256(_content(name)).hexdigest()[:16]}"


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _TYPES:
        return PlainTextResponse("There is no such file.\n", status_code=404)
    kept = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(_content(name), media_type=_TYPES[name], headers=kept)
