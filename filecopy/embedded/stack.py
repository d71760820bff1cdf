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
    """Bring a stack up on ``port`` and leave it running.

    Returns:
        The stack, and ``True`` if it is new, ``False`` if it was up already. A stack that was up is not changed.

    Raises:
        StackError: the port or the folder cannot be used, a package is not installed, or the program could not be
            deployed. Nothing that was started is left.
    """
    if running := _running(port):
        if overrides or emulator_settings:
            raise StackError(
                f"A stack is up on port {port}, and the settings of an embedded stack cannot be changed."
                f" Run 'filecopy down --port {port}' first."
            )
        return running, False
    require_checkout()
    for package in EMBEDDED:
        if importlib.util.find_spec(package) is None:
            raise StackError(missing_package(package))
    configuration = stack_configuration(STACK, endpoint=emulator.endpoint(port), overrides=overrides)
    folder = folder_of(port)
    with emulator.writing(folder):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise StackError(
                f"Another command creates a stack on port {port}, or was killed while it did."
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
    """Take the stack on ``port`` down: no process and no file of it is left.

    Returns:
        ``False`` if there was nothing to take down.

    Raises:
        StackError: the emulator does not end, or the files cannot be removed.
    """
    require_checkout()
    folder = folder_of(port)
    if not folder.exists():
        return False
    try:
        pid = _read_state(folder).get("pid")
    except DamagedStateError:
        pid = None
    if pid is not None and emulator.runs(pid):
        emulator.stop(pid)
    _remove(folder)
    if pid is None and emulator.answers(port):
        raise StackError(
            f"The files of the stack on port {port} are removed, but an emulator still answers there, and its process"
            " ID is unknown. If it belongs to this stack, end its process."
        )
    return True


def others(port: int) -> str:
    """A sentence, with a space before it, that names the other ports that have a stack or its files; empty if there are
    none."""
    names = {folder.name for folder in folder_of(port).parent.glob("[0-9]*") if folder.name.isdecimal()}
    ports = sorted(int(name) for name in names - {str(port)})
    if len(ports) == 1:
        return f" There is one on port {ports[0]}."
    return f" There are stacks on ports {', '.join(map(str, ports[:-1]))} and {ports[-1]}." if ports else ""


def get(port: int) -> EmbeddedStack:
    """The stack that is up on ``port``.

    Raises:
        StackError: no stack is up on the port, or its emulator has died or does not answer.
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
    emulator.wait_until_it_answers(state["pid"], port, folder)
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
        raise StackError(f"The Pulumi program did not finish in time on port {port}. Try again.") from error
    except Exception as error:
        # Pulumi wraps the error of a resource in others.
        for cause in _causes(error):
            if isinstance(cause, (StackError, pulumi.RunError)):
                raise StackError(str(cause)) from error
        raise


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and the chain of its causes, each once: Pulumi links them into circles."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


class DamagedStateError(StackError):
    """The state file is not what ``up`` wrote."""


def _read_state(folder: Path) -> dict[str, Any]:
    """The state that ``up`` wrote. While it starts the emulator, the state has no outputs; before, it is empty.

    Raises:
        DamagedStateError: the file is something else.
    """
    file = folder / _STATE_FILE
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from None
    kinds = {"pid": int, "port": int, "region": str, "outputs": dict}
    if not isinstance(state, dict):
        raise _damaged(file, "it is not a JSON object")
    if wrong := [name for name, kind in kinds.items() if not isinstance(state.get(name, kind()), kind)]:
        raise _damaged(file, f"{wrong[0]} is {state[wrong[0]]!r}")
    if "outputs" in state and (missing := kinds.keys() - state.keys()):
        raise _damaged(file, f"{min(missing)} is missing")
    return state


def _damaged(file: Path, problem: str) -> DamagedStateError:
    port = file.parent.name
    return DamagedStateError(
        f"The state file {file} is damaged: {problem}. Run 'filecopy down --port {port}', then"
        f" 'filecopy up --port {port}'."
    )


def _write_state(folder: Path, state: Mapping[str, Any]) -> None:
    temporary = folder / f"{_STATE_FILE}.new"
    with emulator.writing(folder):
        temporary.write_text(json.dumps(state, indent=2), encoding="utf-8")
        temporary.replace(folder / _STATE_FILE)


def _remove(folder: Path) -> None:
    with emulator.writing(folder):
        shutil.rmtree(folder)
        # The folder of all stacks goes with the last of them.
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
