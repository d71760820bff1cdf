"""The stack's outputs: their names, for the program, the command line and the tests; their types; and their export.

Commands import this module, so it imports Pulumi and the components only where the program calls :func:`export`.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any, TypedDict

if typing.TYPE_CHECKING:
    import pulumi

    from .api import RestApi
    from .buckets import BuildBuckets
    from .digests import Digests
    from .failures import FailureTopic
    from .handler_function import HandlerFunction
    from .monitoring.component import Monitoring
    from .queues import EventQueue
    from .settings import Settings
    from .tracking import TrackingTable
    from .workflow.component import CopyWorkflow

REGION = "region"
ENDPOINT = "endpoint"
STEP_FUNCTION_ARN = "step_function_arn"
STEP_FUNCTION_VERSION_ARN = "step_function_version_arn"
STEP_FUNCTION_ROLE_ARN = "step_function_role_arn"
COPY_WORKER_ROLE_ARN = "copy_worker_role_arn"
API_GATEWAY_URL = "api_gateway_url"
SNS_TOPIC_ARN = "sns_topic_arn"
DIGEST_TOPIC_ARN = "digest_topic_arn"
OPERATIONS_TOPIC_ARN = "operations_topic_arn"
DASHBOARD_NAME = "dashboard_name"
DYNAMODB_TABLE_NAME = "dynamodb_table_name"
SOURCE_BUCKET = "source_bucket"
KEY_PREFIX = "key_prefix"
KEY_SUFFIX = "key_suffix"
DESTINATION_BUCKETS = "destination_buckets"
DESTINATION_REGIONS = "destination_regions"
EXISTING_DESTINATION_BUCKETS = "existing_destination_buckets"
UPLOAD_QUEUE_URL = "upload_queue_url"
DEAD_LETTER_QUEUE_URLS = "dead_letter_queue_urls"
LAMBDA_FUNCTIONS = "lambda_functions"


class StackOutputs(TypedDict):
    """The outputs of a deployed stack, as the Pulumi CLI prints them."""

    region: str
    endpoint: str
    """The endpoint of the emulator; empty on AWS."""
    step_function_arn: str
    step_function_version_arn: str
    """The version with the definition of the last deployment; the number is at its end."""
    step_function_role_arn: str
    copy_worker_role_arn: str
    api_gateway_url: str
    """The URL in front of a route's path."""
    sns_topic_arn: str
    """The topic that has each failure, for machines."""
    digest_topic_arn: str
    """The topic that has at most one message a minute, for people."""
    operations_topic_arn: str
    """The topic for alarms, in the stack's own region."""
    dashboard_name: str
    dynamodb_table_name: str
    source_bucket: str
    key_prefix: str
    """The beginning of the keys that are copied; empty for all keys."""
    key_suffix: str
    """The end of the keys that are copied; empty for all keys."""
    destination_buckets: list[str]
    destination_regions: dict[str, str]
    """Regions by bucket name."""
    existing_destination_buckets: list[str]
    """The external buckets among the destinations."""
    upload_queue_url: str
    dead_letter_queue_urls: dict[str, str]
    """URLs by the name of the main queue, without the prefix."""
    lambda_functions: dict[str, str]
    """ARNs by function name, without the prefix."""


def export(
    settings: Settings,
    *,
    buckets: BuildBuckets,
    tracking: TrackingTable,
    failures: FailureTopic,
    digests: Digests,
    workflow: CopyWorkflow,
    copy_worker: HandlerFunction,
    upload_queue: EventQueue,
    api: RestApi,
    monitoring: Monitoring,
    queues: Sequence[EventQueue],
    functions: Sequence[HandlerFunction],
) -> None:
    """Exports every output of :class:`StackOutputs`."""
    import pulumi

    values: dict[str, pulumi.Input[Any]] = {
        REGION: tracking.region,
        ENDPOINT: settings.emulator_endpoint or "",
        STEP_FUNCTION_ARN: workflow.arn,
        STEP_FUNCTION_VERSION_ARN: workflow.version_arn,
        STEP_FUNCTION_ROLE_ARN: workflow.role_arn,
        COPY_WORKER_ROLE_ARN: copy_worker.role_arn,
        API_GATEWAY_URL: api.url,
        SNS_TOPIC_ARN: failures.arn,
        DIGEST_TOPIC_ARN: digests.topic.arn,
        OPERATIONS_TOPIC_ARN: monitoring.topic_arn,
        DASHBOARD_NAME: monitoring.dashboard_name,
        DYNAMODB_TABLE_NAME: tracking.table_name,
        SOURCE_BUCKET: buckets.source.name,
        KEY_PREFIX: settings.key_prefix,
        KEY_SUFFIX: settings.key_suffix,
        DESTINATION_BUCKETS: buckets.destination_names,
        DESTINATION_REGIONS: {
            destination.bucket: destination.region or tracking.region for destination in settings.destinations
        },
        EXISTING_DESTINATION_BUCKETS: [
            destination.bucket for destination in settings.destinations if destination.existing
        ],
        UPLOAD_QUEUE_URL: upload_queue.url,
        DEAD_LETTER_QUEUE_URLS: {queue.label: queue.dead_letter_url for queue in queues},
        LAMBDA_FUNCTIONS: {function.label: function.arn for function in functions},
    }
    for name, value in values.items():
        pulumi.export(name, value)
