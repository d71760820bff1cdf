"""The stack that the simulation runs: what the Pulumi program deploys, read from the resources that it registers.

So timeouts, batch sizes, retry settings, environments and the definition are the program's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.unit.mocks import ACCOUNT, REGION, Recording, arn, project

SOURCE = "global-builds"
OWN, EXTERNAL, FAR = "region-a-builds", "partner-builds", "eu-builds"
FAR_REGION, PARTNER = "eu-west-1", "210987654321"
THRESHOLD = 5 * 1024**2
"""Bytes. copy-worker copies larger files in parts."""

# One destination of each kind: the stack's own, one of another account, and one in another region. Two copies at a
# time, so that the third waits.
SETTINGS = {
    "destinations": json.dumps(
        [
            {"bucket": OWN},
            {"bucket": EXTERNAL, "existing": True, "account": PARTNER},
            {"bucket": FAR, "region": FAR_REGION},
        ]
    ),
    "maxConcurrency": "2",
    "multipartThresholdMiB": str(THRESHOLD // 1024**2),
    "notificationEmails": '["people@example.com"]',
}


@dataclass(frozen=True)
class Queue:
    """A queue, with the number of receives after which a message moves to its dead-letter queue."""

    name: str
    arn: str
    region: str
    visibility: float
    dead_letters: str | None
    max_receives: int | None


@dataclass(frozen=True)
class Function:
    """A function of handlers/."""

    name: str
    arn: str
    region: str
    module: str
    timeout: float
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Poller:
    """An event source mapping: a function that reads a queue, in batches."""

    queue: str
    function: str
    batch_size: int
    window: float
    concurrency: int


@dataclass(frozen=True)
class Stack:
    """What is deployed. Queues, functions and topics are named by their ARNs."""

    queues: Mapping[str, Queue]
    functions: Mapping[str, Function]
    mappings: Sequence[Poller]
    buckets: Mapping[str, tuple[str, str]]
    """Region and owner."""
    notifications: Mapping[str, str]
    """The queue of each bucket's events."""
    endings: Sequence[str]
    """The queues of the status changes of executions."""
    tables: Mapping[str, Mapping[str, Any]]
    """The inputs of the resources, by the tables' names."""
    topics: Sequence[str]
    subscriptions: Sequence[tuple[str, str, str]]
    """Topic, protocol and endpoint."""
    schedules: Sequence[tuple[str, str]]
    """Expression, such as ``rate(1 minute)``, and the function that it invokes."""
    state_machine: str
    definition: Mapping[str, Any]

    def function(self, kind: str) -> Function:
        """The function of the stack's own region with this name."""
        return self.functions[arn("lambda", f"function:{kind}")]


@cache
def deployed(**settings: str) -> Stack:
    """The stack with these settings, or with :data:`SETTINGS`."""
    recorded = Recording().run(project(**(settings or SETTINGS)))

    def inputs(kind: str) -> list[dict[str, Any]]:
        """In the order of their names: Pulumi registers them in any order, and a history chooses among them."""
        return [one for _, one in sorted(recorded.inputs(kind).items())]

    queues = [_queue(one) for one in inputs("sqs/queue:Queue")]
    functions = [_function(one) for one in inputs("lambda/function:Function")]
    (machine,) = inputs("sfn/stateMachine:StateMachine")
    buckets = {one["bucket"]: (one.get("region", REGION), ACCOUNT) for one in inputs("s3/bucket:Bucket")}
    rules = {one["name"]: one for one in inputs("cloudwatch/eventRule:EventRule")}
    targets = [(rules[one["rule"]], one["arn"]) for one in inputs("cloudwatch/eventTarget:EventTarget")]
    return Stack(
        queues={one.arn: one for one in queues},
        functions={one.arn: one for one in functions},
        mappings=[_mapping(one) for one in inputs("lambda/eventSourceMapping:EventSourceMapping")],
        buckets={**buckets, **({} if settings else {EXTERNAL: (REGION, PARTNER)})},
        notifications={
            one["bucket"]: queue["queueArn"]
            for one in inputs("s3/bucketNotification:BucketNotification")
            for queue in one["queues"]
        },
        endings=[target for rule, target in targets if "eventPattern" in rule],
        tables={one["name"]: one for one in inputs("dynamodb/table:Table")},
        topics=[arn("sns", one["name"], one.get("region", REGION)) for one in inputs("sns/topic:Topic")],
        subscriptions=[
            (one["topic"], one["protocol"], one["endpoint"])
            for one in inputs("sns/topicSubscription:TopicSubscription")
        ],
        schedules=[(rule["scheduleExpression"], target) for rule, target in targets if "scheduleExpression" in rule],
        state_machine=arn("states", f"stateMachine:{machine['name']}"),
        definition=json.loads(machine["definition"]),
    )


def _queue(inputs: Mapping[str, Any]) -> Queue:
    region = inputs.get("region", REGION)
    redrive = json.loads(inputs.get("redrivePolicy", "{}"))
    return Queue(
        name=inputs["name"],
        arn=arn("sqs", inputs["name"], region),
        region=region,
        visibility=inputs.get("visibilityTimeoutSeconds", 30.0),
        dead_letters=redrive.get("deadLetterTargetArn"),
        max_receives=redrive.get("maxReceiveCount"),
    )


def _function(inputs: Mapping[str, Any]) -> Function:
    region = inputs.get("region", REGION)
    variables = dict(inputs["environment"]["variables"])
    if "PARTS_AT_ONCE" in variables:
        # The simulation's files have three parts, so that a run that has little time copies one of them.
        variables["PARTS_AT_ONCE"] = "1"
    return Function(
        name=inputs["name"],
        arn=arn("lambda", f"function:{inputs['name']}", region),
        region=region,
        module=inputs["handler"].rpartition(".")[0],
        timeout=inputs["timeout"],
        environment=variables,
    )


def _mapping(inputs: Mapping[str, Any]) -> Poller:
    return Poller(
        queue=inputs["eventSourceArn"],
        function=inputs["functionName"],
        batch_size=int(inputs["batchSize"]),
        window=inputs.get("maximumBatchingWindowInSeconds", 0.0),
        concurrency=int(inputs.get("scalingConfig", {}).get("maximumConcurrency", 5)),
    )
