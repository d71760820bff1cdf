"""Uploads files to the source bucket, some at a time."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore.exceptions import HTTPClientError

from filecopy.stack.stack import Stack
from handlers.s3_protocol import accept_any_key
from handlers.text import iso

from .plan import NotSent, Upload
from .unchanged import CannotSendError, UnchangedFile, UploadCancelledError

# Files that are uploaded at once, each in up to four parts at a time.
UPLOADS_AT_ONCE = 4

# Files from 16 MiB on go up in parts, four at a time. S3 takes 10,000 parts; boto3 makes them larger if there would be
# more. "classic": the other client of boto3 opens files itself.
_TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024**2,
    multipart_chunksize=16 * 1024**2,
    max_concurrency=4,
    preferred_transfer_client="classic",
)

# A checksum of the whole file, also if it goes up in parts: each copy gets the same checksum, and the two are compared.
# The default is a checksum of the parts, which says nothing about a copy. CRC64NVME would need another package here.
_CHECKSUM = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}

# The table of Python alone, without the files and the registry of this machine.
_TYPES = mimetypes.MimeTypes()


@dataclass(frozen=True)
class Sent:
    """A file that is in the source bucket."""

    key: str
    version: str | None
    """``None`` if the bucket keeps no versions."""
    after: str
    """ISO 8601, UTC: an execution that started at this time or later read this file, or a newer one."""


def content_type(name: str) -> str | None:
    """The content type of a file by its name, as the AWS CLI guesses it; ``None`` if the name does not say.

    Like the AWS CLI, this does not set a content encoding: ``page.html.gz`` is ``text/html``.
    """
    return _TYPES.guess_type(name)[0]


class Sending:
    """The uploads of one command. The results are there also after :meth:`run` was interrupted."""

    def __init__(self, stack: Stack, uploads: Sequence[Upload]) -> None:
        self.uploads = uploads
        self.bucket = stack.source_bucket
        self._results: dict[str, Sent | NotSent] = {}
        self._is_cancelled = threading.Event()
        self._answers: dict[str, Any] = {}
        # A client of its own, because the handlers are for these uploads.
        self._s3 = stack.clients.new("s3")
        accept_any_key(self._s3)
        # boto3 does not return S3's answer, which has the version. To ask for it would need another permission.
        for operation in ("PutObject", "CompleteMultipartUpload"):
            self._s3.meta.events.register(f"provide-client-params.s3.{operation}", _keep_key)
            self._s3.meta.events.register(f"after-call.s3.{operation}", self._keep_answer)
        self._s3.meta.events.register("needs-retry.s3", _retry_no_file_that_cannot_be_sent)

    @property
    def sent(self) -> list[Sent]:
        return [result for result in self._results.values() if isinstance(result, Sent)]

    @property
    def not_sent(self) -> list[NotSent]:
        return [result for result in self._results.values() if isinstance(result, NotSent)]

    def run(self, on_progress: Callable[[int], None], on_end: Callable[[Upload, Sent | NotSent], None]) -> None:
        """Upload every file that can be uploaded.

        Args:
            on_progress: called with each number of bytes that was sent, in any thread. Negative for bytes that are
                sent again.
            on_end: called for each file with its result, in this thread.

        Raises:
            BotoCoreError: S3 cannot be reached. No other file is started.
        """
        pool = ThreadPoolExecutor(UPLOADS_AT_ONCE)
        uploads: dict[Future[Sent | NotSent], Upload] = {}
        try:
            for upload in self.uploads:
                uploads[pool.submit(self._send, upload, on_progress)] = upload
            for future in as_completed(uploads):
                upload = uploads[future]
                self._results[upload.key] = future.result()
                on_end(upload, future.result())
        except BaseException:
            self._is_cancelled.set()
            pool.shutdown(cancel_futures=True)
            # Some may have been complete before they could be cancelled.
            for future, upload in uploads.items():
                if not future.cancelled() and not future.exception():
                    self._results[upload.key] = future.result()
            raise
        finally:
            pool.shutdown()
            self._s3.close()

    def _send(self, upload: Upload, on_progress: Callable[[int], None]) -> Sent | NotSent:
        if self._is_cancelled.is_set():
            raise UploadCancelledError
        type_ = content_type(upload.path.name)
        try:
            file = UnchangedFile(upload.path, self._is_cancelled)
            with S3Transfer(self._s3, _TRANSFER, file) as transfer:  # type: ignore[arg-type]  # its own example
                transfer.upload_file(
                    str(upload.path),
                    self.bucket,
                    upload.key,
                    callback=on_progress,
                    extra_args=_CHECKSUM | ({"ContentType": type_} if type_ else {}),
                )
        except CannotSendError as error:
            return NotSent(upload.path, str(error))
        except S3UploadFailedError as error:
            try:
                # S3 refuses a file that changed between its checksum and its bytes.
                file.check()
            except CannotSendError as change:
                return NotSent(upload.path, str(change))
            return NotSent(upload.path, f"refused by S3: {error.__context__ or error}")
        return _sent(upload.key, self._answers.pop(upload.key))

    def _keep_answer(self, parsed: dict[str, Any], context: dict[str, Any], **_more: object) -> None:
        self._answers[context[_KEY]] = parsed


_KEY = "filecopy_key"


def _keep_key(params: dict[str, Any], context: dict[str, Any], **_more: object) -> None:
    # The context goes with the request, to the handlers of its answer.
    context[_KEY] = params["Key"]


def _retry_no_file_that_cannot_be_sent(caught_exception: Exception | None = None, **_more: object) -> None:
    if isinstance(caught_exception, HTTPClientError):
        error = caught_exception.kwargs.get("error")
        if isinstance(error, CannotSendError | UploadCancelledError):
            raise error


def _sent(key: str, answer: dict[str, Any]) -> Sent:
    answered = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    # The header has whole seconds.
    return Sent(key, answer.get("VersionId"), iso(answered + timedelta(seconds=1)))
