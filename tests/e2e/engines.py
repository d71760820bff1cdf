"""What runs a stack that the tests are given, how long it may take, and what it cannot show."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

EMBEDDED, MINISTACK, LOCALSTACK, AWS = "embedded", "MiniStack", "LocalStack", "AWS"


@dataclass(frozen=True)
class Engine:
    name: str
    version: str
    deadline: float
    """Seconds. Generous, because machines are shared; nothing waits this long unless it is broken."""
    interval: float
    """Seconds between two looks."""
    burst: int
    """How many files are uploaded at once, where as many as one likes would do."""

    @property
    def has_response_templates(self) -> bool:
        """Whether its API Gateway answers a body that a model refuses as the API says. LocalStack's says no more than
        that it refuses it."""
        return self.name != LOCALSTACK


_KINDS = {
    EMBEDDED: (90.0, 0.02, 60),
    MINISTACK: (90.0, 0.05, 60),
    # Each queue is polled by one thread there, and executions that run at once starve each other until its own calls of
    # DynamoDB time out: 60 files would take minutes, and show no more. Each look takes some 50 ms of the processor that
    # it needs for its work.
    LOCALSTACK: (240.0, 0.5, 10),
    # GetExecutionHistory refills at 20 calls a second, DescribeExecution at 15 (10 outside the large regions).
    AWS: (300.0, 0.5, 60),
}


def engine(name: str, version: str = "") -> Engine:
    deadline, interval, burst = _KINDS[name]
    return Engine(name, version, deadline, interval, burst)


def engine_at(endpoint: str | None) -> Engine:
    """What answers at the endpoint of a stack; AWS where there is none.

    Raises:
        OSError: nothing answers there.
        ValueError: it is none that is known.
    """
    if not endpoint:
        return engine(AWS)
    for name in (MINISTACK, LOCALSTACK):
        if (health := _health(f"{endpoint}/_{name.lower()}/health")) is not None:
            return engine(name, health)
    raise ValueError(f"{endpoint} is neither LocalStack nor MiniStack: it has no /_localstack/health.")


def _health(url: str) -> str | None:
    """The version that it tells; ``None`` where there is no such page."""
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with without_proxy.open(url, timeout=30) as answer:
            return str(json.load(answer).get("version", ""))
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except json.JSONDecodeError:
        return None


@dataclass(frozen=True)
class Limit:
    """Tests that a stack which is given cannot pass, and why."""

    engines: tuple[str, ...]
    tests: tuple[str, ...]
    """A file, a file and a test of it, or one with what is in its brackets."""
    reason: str


GIVEN = (MINISTACK, LOCALSTACK, AWS)

# The one list of what is not shown, and why. A test is skipped with the first reason that it is in.
LIMITS = (
    Limit(
        GIVEN,
        ("test_stack.py", "test_readme.py", "test_bench.py", "test_screens.py", "test_console.py"),
        "is about the embedded stack: how it comes up, what its commands and its console show, how fast it is",
    ),
    Limit(
        GIVEN,
        ("test_deployer.py", "test_least_privilege.py", "test_security.py"),
        "asks what IAM lets through, of the embedded stack's emulator; the policies are the same documents everywhere",
    ),
    Limit(
        GIVEN,
        ("test_monitoring.py::test_nobody_but_cloudwatch_tells_operators", "test_backfill.py::test_documented_permis"),
        "needs IAM enforced and users made for the test, which the embedded stack has",
    ),
    Limit(
        GIVEN,
        (
            "test_regions.py",
            "test_ring.py",
            "test_change.py",
            "test_backfill.py::test_what_the_filter_leaves_out_is_left_out",
            "test_operator.py::test_upload_that_does_not_arrive_everywhere_is_a_failure",
        ),
        "needs a stack of its own: with other settings, or one that it breaks for good",
    ),
    Limit(
        GIVEN,
        ("test_api_fuzz.py",),
        "sends 2,000 wrong requests at once, which the limits of a deployed API do not let through",
    ),
    Limit(
        (LOCALSTACK,),
        ("test_backfill.py::test_interrupted_run_is_gone_on_with",),
        "has 60 executions begin faster than LocalStack ends them, so there is no middle to interrupt",
    ),
    Limit(
        (LOCALSTACK,),
        ("test_direct_start.py::test_subject_and_message_stay_inside_the_limits_of_sns",),
        "copies to 600 destinations, of which LocalStack answers a few a second",
    ),
    Limit(
        (LOCALSTACK,),
        ("test_monitoring.py::test_a_file_that_was_copied_everywhere_is_measured_once",),
        "measures the time until an execution's end, which events tell in milliseconds, and LocalStack's as a text",
    ),
    Limit(
        (AWS,),
        ("test_backfill.py",),
        "uploads while the bucket's notification is taken away; S3 may take minutes to follow either change",
    ),
    Limit(
        (AWS,),
        (
            "test_retry_and_replay.py::test_failed_copies_alone_are_retried_and_merged",
            "test_retry_and_replay.py::test_retry_through_the_api",
            "test_copy_worker.py::test_a_retry_of_a_large_copy_keeps_the_others",
            "test_monitoring.py::test_failed_copies_are_counted_and_a_retry_counts_its_own",
        ),
        "copies to a bucket that the test makes later; on AWS the workflow may write to the stack's destinations only",
    ),
)


def limit(name: str, engine_name: str) -> str | None:
    """Why the engine cannot show the test of this name, such as ``test_api.py::test_x[y]``; ``None`` where it can."""
    for one in LIMITS:
        if engine_name in one.engines and name.startswith(one.tests):
            return one.reason
    return None


def unknown_tests(names: Sequence[str]) -> list[str]:
    """What the list names and is the beginning of none of these."""
    return [test for one in LIMITS for test in one.tests if not any(name.startswith(test) for name in names)]
