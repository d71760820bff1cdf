"""The plan of a command: the files to upload, their keys, and the files that cannot be sent."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filecopy.errors import StackError
from filecopy.stack.key_filter import KeyFilter
from filecopy.terminal import quoted
from handlers.keys import problem_of_key

from .unchanged import reason_of


@dataclass(frozen=True)
class Upload:
    """A file to upload."""

    path: Path
    key: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class NotSent:
    """A file or a folder that is not sent."""

    path: Path
    reason: str
    """The rest of a sentence."""


@dataclass
class Plan:
    """The files of a command."""

    uploads: list[Upload] = field(default_factory=list)
    not_sent: list[NotSent] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A file, and its name below the prefix."""

    path: Path
    name: str
    size: int


def plan(paths: Sequence[Path], key: str | None, key_filter: KeyFilter | None = None) -> Plan:
    """Give each file its key: its name or ``key``; and each file of a folder its path in the folder.

    Links are followed, except a link to a folder that it is in.

    Args:
        paths: files and folders.
        key: the key of a single file; or, if it ends in ``/``, a prefix for every name.
        key_filter: the keys that the stack copies, if known.

    Raises:
        StackError: there is nothing to send, two files would get the same key, or ``key`` is for one file and there are
            several.
    """
    result = Plan()
    found: list[_Found] = []
    for path in paths:
        for one in _files(path):
            if isinstance(one, NotSent):
                result.not_sent.append(one)
            else:
                found.append(one)
    count = len(found) + len(result.not_sent)
    if not count:
        raise StackError(f"There is no file in {', '.join(quoted(str(path)) for path in paths)}.")
    prefix, name = (key, None) if key and key.endswith("/") else ("", key)
    if name and count > 1:
        raise StackError(
            f"--key {quoted(name)} is for one file, and there are {count}. End it with / to make it a prefix."
        )
    for one in found:
        upload = Upload(one.path, name or f"{prefix}{one.name}", one.size)
        if reason := _problem_of(upload.key, key_filter):
            result.not_sent.append(NotSent(one.path, reason))
        else:
            result.uploads.append(upload)
    keys = Counter(upload.key for upload in result.uploads)
    if twice := sorted(quoted(name) for name, number in keys.items() if number > 1):
        raise StackError(f"Two files would get the same key: {', '.join(twice)}. Send them one by one, with --key.")
    return result


def _problem_of(key: str, key_filter: KeyFilter | None) -> str | None:
    try:
        key.encode()
    except UnicodeEncodeError:
        # Python decodes other bytes of a file name to lone surrogates.
        return "its key would not be UTF-8; send it alone, with another --key"
    if problem := problem_of_key(key):
        return f"its key {problem}"
    if key_filter and (left_out := key_filter.problem_of(key)):
        return f"{left_out}; try --key {key_filter.instead_of(key)}"
    return None


def _files(path: Path) -> Iterator[_Found | NotSent]:
    """The file at ``path``, or the files of the folder there."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        yield NotSent(path, "a link to nothing" if path.is_symlink() else "there is no such file or folder")
    except OSError as error:
        yield NotSent(path, reason_of(error))
    else:
        if is_folder:
            yield from _in_folder(path, path, {})
        else:
            yield _file(path, path.name)


def _in_folder(root: Path, folder: Path, above: dict[tuple[int, int], Path]) -> Iterator[_Found | NotSent]:
    """The files below ``folder``, in the order of their names.

    Args:
        root: the folder that names begin in.
        above: the folders that ``folder`` is in, by device and inode.
    """
    try:
        status = folder.stat()
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield NotSent(folder, reason_of(error))
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        yield NotSent(folder, f"a link back to {quoted(str(above[identity]))}, which it is in")
        return
    inside = {**above, identity: folder}
    for path in paths:
        # Unlike Path.is_dir, this is False where the folder may be listed and not entered.
        if os.path.isdir(path):  # noqa: PTH112
            yield from _in_folder(root, path, inside)
        else:
            yield _file(path, path.relative_to(root).as_posix())


def _file(path: Path, name: str) -> _Found | NotSent:
    try:
        status = path.stat()
    except FileNotFoundError:
        return NotSent(path, "a link to nothing" if path.is_symlink() else "it was removed")
    except OSError as error:
        return NotSent(path, reason_of(error))
    if not stat.S_ISREG(status.st_mode):
        return NotSent(path, "not a regular file, but a device, a pipe or a socket")
    return _Found(path, name, status.st_size)
