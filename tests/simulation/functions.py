"""The functions of handlers/, run as they are: their clients call the simulated world, their clocks are virtual.

A function runs as a process of its own and waits at each call, so anything else may happen meanwhile, and a function
can be killed there.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from handlers import clients, copy_worker, copying, environment, log, parts

from . import coverage
from .faults import is_transient
from .scheduler import Process
from .services.client import Client
from .stack import Function, Stack

if TYPE_CHECKING:
    from .world import World

# Seconds that a run of copy-worker has left when it begins, if it is slow: it needs as many for its end.
_SLOW = copy_worker.TIME_TO_END

is_watched = False
"""True if the branches of the functions are counted."""

_world: World | None = None
"""The world whose functions run now."""


def world() -> World:
    assert _world is not None
    return _world


@contextmanager
def of_world(current: World) -> Iterator[None]:
    """Has the functions run in this world."""
    global _world  # noqa: PLW0603 - handlers have no other way to find their world
    before, _world = _world, current
    try:
        yield
    finally:
        _world = before


@dataclass
class Run:
    """A run of a function, and how it ended: a result, an error, or neither if it was killed."""

    function: Function
    process: Process | None = None
    result: Any = None
    error: Exception | None = None
    has_timed_out: bool = False

    @property
    def has_succeeded(self) -> bool:
        return self.error is None and self.process is not None and not self.process.is_killed


class Context:
    """What Lambda gives a function besides the event."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return int((self._deadline - world().scheduler.now) * 1000)


def invoke(function: Function, event: Any, name: str) -> Run:
    """Starts a run of ``function``, which ends at its timeout at the latest."""
    here, run = world(), Run(function)
    handler: Callable[[Any, Any], Any] = sys.modules[function.module].handler
    is_slow = function.name == "copy-worker" and here.faults.has("slow", function.name)
    context = Context(here.scheduler.now + (_SLOW if is_slow else function.timeout))

    def body() -> None:
        if is_watched:
            coverage.watch()
        try:
            run.result = json.loads(json.dumps(handler(event, context)))
        except (AssertionError, NotImplementedError):
            raise
        except Exception as error:  # noqa: BLE001 - Lambda answers any error
            run.error = error

    def end() -> None:
        if run.process and not run.process.is_over:
            run.has_timed_out = True
            here.ended_runs.add(name)
            here.trace(name, "timed out")
            run.process.kill()

    run.process = here.scheduler.spawn(name, body)
    here.runs[run.process] = function
    here.scheduler.after(function.timeout, end)
    return run


# --- The seams ------------------------------------------------------------------------------------------------------


@contextmanager
def installed(stack: Stack) -> Iterator[None]:
    """Has handlers/ use the world of :func:`of_world` instead of AWS, and the stack's environment variables."""
    for function in stack.functions.values():
        importlib.import_module(function.module)
    modules = [module for name, module in sys.modules.items() if name.startswith("handlers.")]
    with ExitStack() as patches:
        # What exists now is not searched for garbage again and again, nor is each history at once.
        gc.freeze()
        patches.callback(gc.unfreeze)
        patches.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(1_000_000)
        patches.callback(environment._parse.cache_clear)
        environment._parse.cache_clear()
        for function in stack.functions.values():
            _read_environment(sys.modules[function.module], function.environment)
        session = SimpleNamespace(create_client=_create_client)
        patches.enter_context(patch.object(clients, "session", lambda: session))
        patches.enter_context(patch.object(clients, "_client", _cached_client))
        patches.enter_context(patch.object(copying, "client_of", copying.client_of.__wrapped__))
        patches.enter_context(patch.object(copying, "Config", SimpleNamespace))
        patches.enter_context(patch.object(log, "_write", _write_log))
        patches.enter_context(patch.object(log, "traceback", SimpleNamespace(format_exception=lambda _: ())))
        for module in modules:
            for name, value in [*vars(module).items()]:
                for real, virtual in _VIRTUAL:
                    if value is real:
                        patches.enter_context(patch.object(module, name, virtual))
        patches.enter_context(patch.object(parts, "ThreadPoolExecutor", _Pool))
        patches.enter_context(patch.object(parts, "wait", lambda futures, **_: (futures, set())))
        yield


def _read_environment(module: ModuleType, variables: Mapping[str, str]) -> None:
    """Reads the variables of a function once, as its container does."""
    with patch.dict(os.environ, variables):
        if hasattr(module, "Environment"):
            module.Environment.read()


class _Time:
    """The module ``time``."""

    @staticmethod
    def time() -> float:
        return world().scheduler.now

    monotonic = time

    @staticmethod
    def sleep(seconds: float) -> None:
        world().scheduler.sleep(seconds)


class _Datetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Datetime:
        return cls.fromtimestamp(world().scheduler.now, tz)


# What handlers/ import, and what stands for it.
_VIRTUAL: Sequence[tuple[Any, Any]] = (
    (time, _Time),
    (time.time, _Time.time),
    (time.monotonic, _Time.time),
    (time.sleep, _Time.sleep),
    (datetime, _Datetime),
)


class _Pool:
    """A ThreadPoolExecutor that does one thing after the other."""

    def __init__(self, _size: int) -> None:
        pass

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future


def _write_log(level: str, message: str, fields: Mapping[str, Any]) -> None:
    here = world()
    if here.is_traced and (process := here.scheduler.running) is not None:
        detail = "".join(f" {name}={fields[name]}" for name in ("problem", "error", "check") if name in fields)
        here.trace(process.name, f"{level} {message}{detail}")


def _create_client(service: str, *, region_name: str | None, config: Any) -> Any:
    """A client with the attempts and the read timeout of ``config``. Each run has its own, as each container has."""
    here = world()
    held = here.clients.setdefault(here.running_function, {})
    key = (service, region_name, config.read_timeout)
    if key not in held:

        def perform(service: str, region: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return _perform(service, region, operation, arguments, config)

        held[key] = Client(service, region_name or "", perform)
    return held[key]


def _cached_client(service: str, region: str | None) -> Any:
    return _create_client(service, region_name=region, config=clients._CONFIG)


def _perform(service: str, region: str, operation: str, arguments: dict[str, Any], config: Any) -> dict[str, Any]:
    """Makes a call of the function that runs now, and repeats it as botocore does."""
    here = world()
    process = here.running_function
    function = here.runs[process]
    attempts, patience = config.retries["total_max_attempts"], config.read_timeout
    for attempt in range(1, attempts + 1):
        if here.faults.has("killed", f"{function.name} {operation}"):
            here.trace(process.name, f"killed before {operation}")
            here.ended_runs.add(process.name)
            here.scheduler.after(0, process.kill)
            here.scheduler.wait()
        try:
            answer: dict[str, Any] = here.call(
                process.name, service, region or function.region, operation, arguments, patience=patience
            )
            return answer
        except Exception as error:
            if attempt == attempts or not is_transient(error):
                raise
            here.scheduler.sleep(2.0 ** (attempt - 1))
    raise AssertionError("A call has one attempt at least.")
