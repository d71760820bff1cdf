"""The embedded stack: an emulator with the Pulumi program deployed into it, one for each port."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filecopy.errors import EMBEDDED, StackError, missing_package
from filecopy.stack.clients import Clients

from . import emulator
from .configuration import PROJECT_ROOT, require_checkout, stack_configuration

DEFAULT_PORT = 4566
STACK = "local"
_STATE_FILE = "state.json"


@dataclass(frozen=True)
class EmbeddedStack:
    """A stack that is up."""

    port: int
    region: str
    outputs: dict[str, Any]

    @property
    def endpoint(self) -> str:
        return emulator.endpoint(self.port)


def folder_of(port: int) -> Path:
    """Where everything of the stack on ``port`` is kept while it is up."""
    return PROJECT_ROOT / ".filecopy" / str(port)


def up(
    port: int, *, overrides: Mapping[str, str] | None = None, emulator_settings: Mapping[str, str] | None = None
) -> tuple[EmbeddedStack, bool]:
    """Brings a stack up on ``port`` and leaves it running.

    Returns:
        The stack, and whether it was made just now: ``False`` where it was up already and is left as it is.

    Raises:
        StackError: the port is taken, something is not installed, or the program could not be deployed.
            Whatever had been started is ended again.
    """
    if running := _running(port):
        if overrides or emulator_settings:
            raise StackError(
                f"A stack is up on port {port}, and the embedded stack is never changed, only made."
                f" Run 'filecopy down --port {port}' first."
            )
        return running, False
    require_checkout()
    for package in EMBEDDED:
        if importlib.util.find_spec(package) is None:
            raise StackError(missing_package(package))
    configuration = stack_configuration(STACK, endpoint=emulator.endpoint(port), overrides=overrides)
    folder = folder_of(port)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise StackError(
            f"A stack is just being made on port {port}, or was left half-made."
            f" Wait, or run 'filecopy down --port {port}'."
        ) from None
    pid = None
    try:
        pid = emulator.start(
            port, folder, emulator_settings or {}, on_start=lambda new: _write_state(folder, {"pid": new, "port": port})
        )
        stack = EmbeddedStack(port, configuration["aws:region"], _deploy(port, configuration))
        _write_state(folder, {"pid": pid, "port": port, "region": stack.region, "outputs": stack.outputs})
    except BaseException:
        if pid is not None:
            emulator.stop(pid)
        _remove(folder)
        raise
    return stack, True


def down(port: int) -> bool:
    """Takes the stack on ``port`` down: no process and no file of it is left.

    Returns:
        Whether there was anything to take down.
    """
    require_checkout()
    folder = folder_of(port)
    if not folder.exists():
        return False
    pid = _read_state(folder).get("pid")
    if pid is not None and emulator.runs(pid):
        emulator.stop(pid)
    _remove(folder)
    return True


def others(port: int) -> str:
    """A sentence, with a space before it, about the other ports that have a stack, or what is left of one; nothing
    where there is none."""
    ports = sorted(int(folder.name) for folder in folder_of(port).parent.glob("[0-9]*") if folder != folder_of(port))
    if len(ports) == 1:
        return f" There is one on port {ports[0]}."
    return f" There are stacks on ports {', '.join(map(str, ports[:-1]))} and {ports[-1]}." if ports else ""


def get(port: int) -> EmbeddedStack:
    """The stack that is up on ``port``.

    Raises:
        StackError: there is none, or its emulator has died.
    """
    require_checkout()
    running = _running(port)
    if running is None:
        raise StackError(f"No stack is up on port {port}.{others(port)} Run 'filecopy up --port {port}'.")
    return running


def _running(port: int) -> EmbeddedStack | None:
    folder = folder_of(port)
    state = _read_state(folder)
    if "outputs" not in state:
        return None
    if not emulator.runs(state["pid"]) or not emulator.answers(port):
        raise StackError(
            f"The emulator on port {port} has died or does not answer; its log is {folder / 'emulator.log'}."
            f" Run 'filecopy down --port {port}', then 'filecopy up --port {port}'."
        )
    return EmbeddedStack(port, state["region"], state["outputs"])


def _deploy(port: int, configuration: Mapping[str, str]) -> dict[str, Any]:
    # Pulumi takes longer to import than everything else together, and only "up" and "demo" deploy.
    import pulumi

    from .program import run_program
    from .provisioning import EmulatorProvider

    clients = Clients(emulator.endpoint(port), configuration["aws:region"])
    try:
        return run_program(EmulatorProvider(clients), configuration, stack=STACK)
    except ModuleNotFoundError as error:
        raise StackError(missing_package(error.name)) from error
    except TimeoutError as error:
        raise StackError(f"The program did not come to its end on port {port}. Try again.") from error
    except Exception as error:
        # Pulumi wraps what a resource raised in one error after another; one of them says what happened.
        for cause in _causes(error):
            if isinstance(cause, (StackError, pulumi.RunError)):
                raise StackError(str(cause)) from error
        raise


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, what caused it, what caused that, and so on, each once: Pulumi links them into circles."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / _STATE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return state


def _write_state(folder: Path, state: Mapping[str, Any]) -> None:
    temporary = folder / f"{_STATE_FILE}.new"
    temporary.write_text(json.dumps(state, indent=2), encoding="utf-8")
    temporary.replace(folder / _STATE_FILE)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)
    # The folder of all stacks goes with the last of them.
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
