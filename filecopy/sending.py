"""Uploads files to the source bucket, and follows their copies to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig

from filecopy.polling import Poller
from filecopy.stack.records import TrackingRecord, read_record
from filecopy.stack.stack import Stack

from .errors import StackError

# Files from 16 MiB on go up in parts, four at a time. S3 takes 10,000 parts; boto3 makes them larger where it would be
# more.
_TRANSFER = TransferConfig(multipart_threshold=16 * 1024**2, multipart_chunksize=16 * 1024**2, max_concurrency=4)

# Of the whole file, also where it goes up in parts: its copies get the same checksum, and the two are compared. One of
# the parts, which would be the default, says nothing of a copy. CRC64NVME would need another package here.
_CHECKSUM = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}


@dataclass(frozen=True)
class Upload:
    """A file, and the key that it gets."""

    path: Path
    key: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Sent:
    """A file that is in the source bucket."""

    key: str
    version: str | None
    """``None`` where the bucket keeps no versions."""
    after: str
    """ISO 8601, UTC: what started at this time or later saw the file."""


@dataclass(frozen=True)
class Outcome:
    """How a file's copies have ended."""

    sent: Sent
    record: TrackingRecord
    missing: list[str]
    """Those of the destinations followed that have no copy."""
    is_superseded: bool
    """Whether another upload of the key has taken its place; the record is that one's."""


def plan(paths: Sequence[Path], key: str | None) -> list[Upload]:
    """What goes where: a file under its name or ``key``, a folder's files under their paths in it.

    Args:
        key: the key of a single file; or, ending in ``/``, what goes in front of every name.

    Raises:
        StackError: something is not there, two files would get one key, or the key of one is given for several.
    """
    found: list[Upload] = []
    prefix = key if key and key.endswith("/") else ""
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if not file.is_dir())
            if wrong := [str(file) for file in files if not file.is_file()]:
                raise StackError(f"{', '.join(map(repr, wrong))}: no file, but a link to nothing or a device.")
            found += [_upload(file, prefix + file.relative_to(path).as_posix()) for file in files]
        elif path.is_file():
            found.append(_upload(path, prefix + path.name))
        else:
            raise StackError(f"There is no file or folder {str(path)!r}.")
    if not found:
        raise StackError(f"There is no file in {', '.join(repr(str(path)) for path in paths)}.")
    if key and not prefix:
        if len(found) > 1:
            raise StackError(
                f"--key {key!r} is for one file, and there are {len(found)}. End it with / to put it in front."
            )
        found = [_upload(found[0].path, key)]
    keys = [upload.key for upload in found]
    if twice := {name for name in keys if keys.count(name) > 1}:
        raise StackError(f"Two files would get the same key: {', '.join(sorted(map(repr, twice)))}.")
    return found


def _upload(path: Path, key: str) -> Upload:
    return Upload(path, key, path.stat().st_size)


def send(target: Stack, upload: Upload, on_progress: Callable[[int], None]) -> Sent:
    """Uploads one file, in parts where it is large.

    Args:
        on_progress: is told how many bytes more have gone, from several threads.

    Raises:
        StackError: it could not be uploaded.
    """
    answers: list[dict[str, Any]] = []

    def remember(parsed: dict[str, Any], **_more: object) -> None:
        answers.append(parsed)

    # A client of its own: uploads go side by side, and each has to hear its own answer.
    s3 = target.clients.new("s3")
    # The last of these is the answer to the upload; asking S3 for the version would need another permission.
    for event in ("after-call.s3.PutObject", "after-call.s3.CompleteMultipartUpload"):
        s3.meta.events.register(event, remember)
    try:
        s3.upload_file(
            str(upload.path),
            target.source_bucket,
            upload.key,
            ExtraArgs=_CHECKSUM,
            Callback=on_progress,
            Config=_TRANSFER,
        )
    except (S3UploadFailedError, OSError) as error:
        raise StackError(f"{str(upload.path)!r} was not uploaded: {error}") from error
    finally:
        s3.close()
    answered = parsedate_to_datetime(answers[-1]["ResponseMetadata"]["HTTPHeaders"]["date"])
    # The header has whole seconds.
    after = (answered + timedelta(seconds=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Sent(upload.key, answers[-1].get("VersionId"), after)


def follow(target: Stack, sent: Sequence[Sent], destinations: Sequence[str], timeout: float) -> Iterator[Outcome]:
    """Looks at the records of the files again and again, and yields each file's outcome when it is over.

    Args:
        destinations: whose copies count.
        timeout: seconds, after which the rest is given up.

    Raises:
        StackError: the time is up.
    """
    waiting = list(sent)
    for _ in Poller.of(target).looks(timeout):
        for one in list(waiting):
            if outcome := look(target, one, destinations):
                waiting.remove(one)
                yield outcome
        if not waiting:
            return
    names = ", ".join(repr(one.key) for one in waiting[:5])
    raise StackError(
        f"After {timeout:.0f} s, {len(waiting)} of {len(sent)} files are not through: {names}. They go on"
        " without this command: see 'filecopy watch'. What keyPrefix and keySuffix leave out never starts."
    )


def look(target: Stack, sent: Sent, destinations: Sequence[str]) -> Outcome | None:
    """How the copies of a file have ended; ``None`` as long as they have not.

    Executions for one file take turns, and each copies the newest version that it sees. So the record of another
    version is an older upload's, and to be waited for, unless its execution started when this file was there already.
    """
    record = read_record(target, sent.key)
    if record is None or not record.is_over:
        return None
    is_other = sent.version is not None and record.version_id not in (sent.version, None)
    is_earlier = record.started is not None and record.started < datetime.fromisoformat(sent.after)
    if is_earlier and (is_other or sent.version is None):
        return None
    missing = [bucket for bucket in destinations if bucket not in record.copied]
    return Outcome(sent, record, missing, is_superseded=is_other)
