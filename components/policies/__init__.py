"""IAM policies, as pure functions from ARNs to dicts. Each grants what one principal uses. No Pulumi here.

- ``roles.py``: the roles that the stack creates
- ``resources.py``: access to buckets, queues, topics and roles
- ``people.py``: users and operators of the stack, and owners of external buckets
- ``deployer.py``: the deployer of the stack
- ``statements.py``: the common parts
- ``sizes.py``: the roles' policies at their longest
"""

from __future__ import annotations

from .people import existing_destination, operate_workflow, use_workflow
from .resources import (
    bucket_refuses_plain_http,
    queue_accepts,
    queue_accepts_bucket_events,
    queue_refuses_plain_http,
    topic_accepts_alarms,
    topic_accepts_only,
    trust,
    trust_state_machines,
)
from .roles import (
    close_records,
    copy_through_worker,
    copy_workflow,
    handler_function,
    send_digests,
    start_workflow,
    store_builds,
    verify_arrivals,
    write_api_logs,
)
from .statements import Policy, Statement, account_of, allow, bucket_arn, keys_like, partition_of, policy, region_of

__all__ = [
    "Policy",
    "Statement",
    "account_of",
    "allow",
    "bucket_arn",
    "bucket_refuses_plain_http",
    "close_records",
    "copy_through_worker",
    "copy_workflow",
    "existing_destination",
    "handler_function",
    "keys_like",
    "operate_workflow",
    "partition_of",
    "policy",
    "queue_accepts",
    "queue_accepts_bucket_events",
    "queue_refuses_plain_http",
    "region_of",
    "send_digests",
    "start_workflow",
    "store_builds",
    "topic_accepts_alarms",
    "topic_accepts_only",
    "trust",
    "trust_state_machines",
    "use_workflow",
    "verify_arrivals",
    "write_api_logs",
]
