"""Listings of the source and of the destinations, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from filecopy.errors import StackError
from filecopy.terminal import quoted


@dataclass(frozen=True, slots=True)
class Listed:
    """An object, as a listing or HeadObject describes it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes."""
    modified: datetime
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class Row:
    """An object of the source bucket, and the object of the same key in each destination."""

    source: Listed
    copies: Mapping[str, Listed | None]
    """By destination."""

    @property
    def key(self) -> str:
        return self.source.key


def objects_of(s3: Any, bucket: str, prefix: str) -> Iterator[Listed]:
    """List the objects of a bucket, with one request for each 1,000.

    Raises:
        ClientError: the bucket cannot be listed.
        StackError: the listing is not in order.
    """

    def items() -> Iterator[Listed]:
        # boto3 asks for keys in URL encoding, and decodes them: XML cannot hold every key.
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield Listed(
                    item["Key"],
                    item["Size"],
                    item["ETag"].strip('"'),
                    item["LastModified"],
                    item.get("StorageClass", "STANDARD"),
                )

    return in_order(bucket, items())


def in_order(bucket: str, listing: Iterable[Listed]) -> Iterator[Listed]:
    """Check that a listing has the order that S3 promises: that of UTF-8, in which Python sorts strings, too.

    Raises:
        StackError: it has not. Copies would look as if they were missing.
    """
    last = ""
    for item in listing:
        if item.key <= last:
            raise StackError(
                f"{bucket} lists {quoted(item.key)} after {quoted(last)}, so it cannot be compared. Name the other"
                " destinations with --to."
            )
        last = item.key
        yield item


def merge(source: Iterable[Listed], copies: Mapping[str, Iterable[Listed]]) -> Iterator[Row]:
    """Join each object of the source with its copies, from listings in the order of keys. Of each listing, one object
    is held at a time."""
    rests = {bucket: iter(listing) for bucket, listing in copies.items()}
    firsts = {bucket: next(rest, None) for bucket, rest in rests.items()}
    for item in source:
        found: dict[str, Listed | None] = {}
        for bucket, rest in rests.items():
            first = firsts[bucket]
            # Skip objects that only the destination has.
            while first is not None and first.key < item.key:
                first = next(rest, None)
            firsts[bucket] = first
            found[bucket] = first if first is not None and first.key == item.key else None
        yield Row(item, found)
