"""Files that must not change while they are read for an upload."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from boto3.s3.transfer import OSUtils  # type: ignore[attr-defined]  # S3Transfer takes one


class CannotSendError(Exception):
    """The file changed while it was read, or cannot be read. The text is the reason.

    This is not an OSError, because urllib3 takes an OSError for a broken connection, and the request is retried.
    """


class UploadCancelledError(Exception):
    """The upload was cancelled."""


CHANGED = "changed while it was sent, so nothing of it is in the bucket; send it again"


class UnchangedFile(OSUtils):
    """Opens one file for boto3, which opens it once for each part.

    Each read checks the file as :meth:`check` does. So does the last one, so an upload of a mixture is never complete.
    """

    def __init__(self, path: Path, is_cancelled: threading.Event) -> None:
        """
        Args:
            path: the file.
            is_cancelled: if it is set, each read raises :class:`UploadCancelledError`.

        Raises:
            CannotSendError: the file is gone, or its folder cannot be read.
        """
        super().__init__()
        self._path, self._is_cancelled = path, is_cancelled
        try:
            self._state = self._state_now()
        except OSError as error:
            raise CannotSendError(reason_of(error)) from None
        self.size: int = self._state[0]

    def _state_now(self) -> tuple[int, int, int, int]:
        found = self._path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev

    def check(self) -> None:
        """Compare the file with what it was when this object was made: the same file, its size, and its last change.

        Raises:
            CannotSendError: they differ.
            UploadCancelledError: the upload is cancelled.
        """
        if self._is_cancelled.is_set():
            raise UploadCancelledError
        try:
            is_same = self._state_now() == self._state
        except OSError:
            is_same = False
        if not is_same:
            raise CannotSendError(CHANGED)

    def get_file_size(self, filename: str) -> int:  # noqa: ARG002 - boto3's signature
        return self.size

    def open(self, filename: str, mode: str) -> Any:
        try:
            return _CheckedReader(super().open(filename, mode), self)
        except OSError as error:
            raise CannotSendError(reason_of(error)) from None


def reason_of(error: OSError) -> str:
    """The system's text for an error, as the rest of a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


class _CheckedReader:
    """The part of a file's interface that boto3 uses."""

    def __init__(self, file: Any, unchanged: UnchangedFile) -> None:
        self._file, self._unchanged = file, unchanged

    def read(self, amount: int = -1) -> Any:
        try:
            data = self._file.read(amount)
        except OSError as error:
            raise CannotSendError(reason_of(error)) from None
        self._unchanged.check()
        return data

    def seek(self, where: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(where, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
