"""Faults of AWS and of networks, each with a rate. Which kinds a history has at all is its own choice, so that some
histories have one kind of fault often, and few have all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from .choices import Choices

# Of calls. Everything works in some histories.
_RATES = (0.0, 0.02, 0.1, 0.3)
_RATE_WEIGHTS = (0.0, 0.25, 0.15, 0.05)
# Of damage: of the rates above, seldom.
_DAMAGE_WEIGHTS = (0.0, 0.0, 0.05, 0.02)

CALLS = ("error", "throttling", "lost", "late")
"""A call that fails before its work, is refused because there are too many, is done but its answer is lost, or is done
only after the caller has given up."""
EVENTS = ("twice", "delayed", "missing")
"""A message. Only status changes of executions may be missing: AWS promises no more than best effort."""
COPIES = ("damaged",)
"""A copy that has other bytes than S3's answer says."""
RUNS = ("killed", "crash", "slow")
"""A run of a function that is killed at one of its calls, an execution that dies of an error that nothing catches, and
a run of copy-worker in which S3 is so slow that there is time for one part only."""

# By service: code and status of an error of the service, and of throttling.
_CODES = {
    "s3": (("InternalError", 500), ("SlowDown", 503)),
    "dynamodb": (("InternalServerError", 500), ("ThrottlingException", 400)),
    "sns": (("InternalError", 500), ("Throttling", 400)),
    "sqs": (("InternalError", 500), ("ThrottlingException", 403)),
    "stepfunctions": (("InternalServerError", 500), ("ThrottlingException", 400)),
    "lambda": (("ServiceException", 500), ("TooManyRequestsException", 429)),
}
_THROTTLING = {code for _, (code, _) in _CODES.values()}


class Faults:
    """The faults of one history."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self.is_calm = False
        """No fault occurs any more."""
        self.happened: Counter[str] = Counter()
        self._rates = {kind: _RATES[choices.pick(f"rate {kind}", _RATE_WEIGHTS)] for kind in (*CALLS, *EVENTS, *RUNS)}
        self._rates |= {kind: _RATES[choices.pick(f"rate {kind}", _DAMAGE_WEIGHTS)] for kind in COPIES}
        self._call_weights = (0.0, *[self._rates[kind] for kind in CALLS])
        self._quick_weights = self._call_weights[:-1]
        self.unavailable: dict[tuple[str, str | None], float] = {}
        """The end of the time for which a service is not available, by its name and its region, or any region."""

    def of_call(self, service: str, operation: str, *, may_be_late: bool) -> str | None:
        """One of :data:`CALLS`, or ``None``."""
        if self.is_calm:
            return None
        chosen = self._choices.pick(
            f"fault {service} {operation}", self._call_weights if may_be_late else self._quick_weights
        )
        return self._counted(f"call {CALLS[chosen - 1]}", CALLS[chosen - 1]) if chosen else None

    def has(self, kind: str, where: str) -> bool:
        """True if a fault of this kind, one of :data:`EVENTS`, :data:`COPIES` or :data:`RUNS`, happens now."""
        if self.is_calm or not self._choices.pick(f"{kind} {where}", (0.0, self._rates[kind])):
            return False
        self._counted(kind, kind)
        return True

    def is_unavailable(self, service: str, region: str, now: float) -> bool:
        if self.is_calm or not self.unavailable:
            return False
        return any(now < self.unavailable.get((service, where), 0.0) for where in (region, None))

    def _counted(self, name: str, kind: str) -> str:
        self.happened[name] += 1
        return kind


def service_error(service: str, operation: str, kind: str) -> ClientError:
    """The error of a call that fails by ``error`` or ``throttling``."""
    code, status = _CODES[service][kind == "throttling"]
    response: Any = {
        "Error": {"Code": code, "Message": "Please try again."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


def lost_answer() -> ReadTimeoutError:
    """The error of a call whose answer never came."""
    return ReadTimeoutError(endpoint_url="https://aws")


def is_transient(error: Exception) -> bool:
    """True if botocore's standard mode of retries calls again (boto3 guide, "Retries")."""
    if isinstance(error, ReadTimeoutError):
        return True
    if not isinstance(error, ClientError):
        return False
    response: Mapping[str, Any] = error.response
    return response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or response["Error"]["Code"] in _THROTTLING
