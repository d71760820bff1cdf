"""A stand-in for a client of botocore, whose calls go wherever the world sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from botocore import xform_name
from botocore.exceptions import ParamValidationError
from botocore.model import ServiceModel
from botocore.session import get_session
from botocore.validate import ParamValidator

from .service import Answer

if TYPE_CHECKING:
    from botocore.model import Shape


class Perform(Protocol):
    """Performs a call: the world decides when, and whether its answer arrives."""

    def __call__(self, service: str, region: str, operation: str, arguments: dict[str, Any]) -> Answer: ...


class Client:
    """A client: ``client.put_object(**arguments)`` performs ``PutObject``.

    The first call of each operation with the same names of arguments is checked as botocore checks every call.
    """

    def __init__(self, service: str, region: str, perform: Perform) -> None:
        self._service, self._region, self._perform = service, region, perform
        self.meta = SimpleNamespace(
            region_name=region, events=Events(), service_model=SimpleNamespace(service_name=service)
        )

    def __getattr__(self, method: str) -> Callable[..., Answer]:
        operation = _operations(self._service).get(method)
        if operation is None:
            raise AttributeError(f"{self._service} has no {method}.")

        return partial(self._call, operation)

    def _call(self, operation: str, /, **arguments: Any) -> Answer:
        _check(self._service, operation, arguments)
        if more := self.meta.events.headers(f"before-call.{self._service}.{operation}"):
            arguments = {**arguments, **_members(more)}
        return self._perform(self._service, self._region, operation, arguments)

    def get_paginator(self, method: str) -> SimpleNamespace:
        """A paginator, with ``paginate``. Only that of ``list_parts`` is modelled."""
        if method != "list_parts":
            raise NotImplementedError(f"A paginator for {method} is not modelled.")

        def paginate(**arguments: Any) -> Iterator[Answer]:
            while True:
                answer = self.list_parts(**arguments)
                yield answer
                if not answer["IsTruncated"]:
                    return
                arguments["PartNumberMarker"] = answer["NextPartNumberMarker"]

        return SimpleNamespace(paginate=paginate)

    def upload_fileobj(
        self,
        body: IO[bytes],
        bucket: str,
        key: str,
        ExtraArgs: dict[str, Any],  # noqa: N803 - boto3's name
        Config: Any,  # noqa: N803 - boto3's name
    ) -> None:
        """Uploads what it reads, in parts if it is as large as ``Config`` says, as boto3 does."""
        pieces = iter(lambda: body.read(Config.multipart_chunksize), b"")
        first = next(pieces, b"")
        place = {"Bucket": bucket, "Key": key}
        if len(first) < Config.multipart_threshold:
            self.put_object(
                **place, Body=first, **{name: ExtraArgs[name] for name in ExtraArgs if name != "ChecksumType"}
            )
            return
        upload = self.create_multipart_upload(**place, **ExtraArgs)["UploadId"]
        try:
            parts = []
            for number, piece in enumerate([first, *pieces], start=1):
                part = self.upload_part(**place, UploadId=upload, PartNumber=number, Body=piece)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            self.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
        except Exception:
            self.abort_multipart_upload(**place, UploadId=upload)
            raise


class Events:
    """Handlers of botocore's events. Only those that add headers to a call are called."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Callable[..., None]]] = {}

    def register(self, event: str, handler: Callable[..., None]) -> None:
        self._handlers.setdefault(event, []).append(handler)

    def unregister(self, event: str, handler: Callable[..., None]) -> None:
        self._handlers[event].remove(handler)

    def headers(self, event: str) -> dict[str, str]:
        """The headers that handlers add."""
        found: dict[str, str] = {}
        for handler in self._handlers.get(event, ()):
            handler(params={"headers": found})
        return found


def _members(headers: dict[str, str]) -> dict[str, Any]:
    """Headers of a request, as the arguments that they stand for."""
    prefix = "x-amz-meta-"
    metadata = {name.removeprefix(prefix): text for name, text in headers.items() if name.startswith(prefix)}
    found: dict[str, Any] = {"Metadata": metadata} if metadata else {}
    if "Expires" in headers:
        found["ExpiresString"] = headers["Expires"]
    if left := headers.keys() - {"Expires"} - {prefix + name for name in metadata}:
        raise NotImplementedError(f"The headers {sorted(left)} are not modelled.")
    return found


# --- botocore's descriptions of the services --------------------------------------------------------------------


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(get_session().get_component("data_loader").load_service_model(service, "service-2"), service)


@cache
def _operations(service: str) -> dict[str, str]:
    """The operations of a service, by the names of the client's methods."""
    return {xform_name(name): name for name in _model(service).operation_names}


_checked: set[tuple[str, str, frozenset[str]]] = set()


def _check(service: str, operation: str, arguments: dict[str, Any]) -> None:
    shape = service, operation, frozenset(arguments)
    if shape in _checked:
        return
    # botocore itself turns the members of a source into a text.
    texts = {"CopySource": "bucket/key"} if "CopySource" in arguments else {}
    taken = cast("Shape", _model(service).operation_model(operation).input_shape)
    report = ParamValidator().validate({**arguments, **texts}, taken)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
    _checked.add(shape)
