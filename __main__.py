"""The file copy workflow. Read from the top: settings, then what a file passes through, then who watches, then the
outputs.
"""

import pulumi

from components import functions, outputs, request_models
from components.api import RestApi, Route
from components.buckets import BuildBuckets
from components.endings import ExecutionEventQueue
from components.failures import FailureTopic
from components.monitoring.component import Monitoring
from components.names import in_region
from components.queues import BucketEventQueue
from components.settings import Settings
from components.tags import tag_everything
from components.tracking import TrackingTable
from components.workflow.component import CopyWorkflow

settings = Settings.load()
tag_everything(settings)

# What a file is copied from and to, where each copy is recorded, and who is told when one fails.
buckets = BuildBuckets("builds", settings)
tracking = TrackingTable("tracking", settings)
failures = FailureTopic("failures", settings)
copy_worker = functions.copy_worker(settings, buckets, tracking)
workflow = CopyWorkflow(
    "workflow", settings, buckets=buckets, tracking=tracking, failures=failures, copy_worker=copy_worker
)

# An upload starts the workflow.
uploads = BucketEventQueue(
    "uploads",
    settings,
    buckets=[buckets.source],
    function_timeout=functions.REPLICATION_WORKER_TIMEOUT,
    key_prefix=settings.key_prefix,
    key_suffix=settings.key_suffix,
)
replication_worker = functions.replication_worker(settings, uploads, buckets, workflow)

# A copy that arrives is checked, in the region that it arrives in: S3 tells only queues of the bucket's own.
arrivals = {
    in_region("arrivals", region): BucketEventQueue(
        "arrivals",
        settings,
        buckets=buckets.owned_in(region),
        function_timeout=functions.REGIONAL_SYNC_TIMEOUT,
        region=region,
    )
    for region in buckets.owning_regions
}
regional_syncs = {
    in_region("regional-sync", queue.region): functions.regional_sync(settings, queue, buckets, tracking, failures)
    for queue in arrivals.values()
}

# An execution that ends is measured, and one that fails, times out or is stopped is noticed.
endings = ExecutionEventQueue(
    "endings",
    settings,
    state_machine_arn=workflow.arn,
    function_timeout=functions.EXECUTION_WATCHER_TIMEOUT,
)
execution_watcher = functions.execution_watcher(settings, endings, workflow, tracking, failures)

# The workflow started by hand, and builds brought into it.
step_function_invoker = functions.step_function_invoker(settings, workflow)
build_worker = functions.build_worker(settings, buckets, tracking)
api = RestApi(
    "api",
    settings,
    routes={
        "step-function": Route(
            function=step_function_invoker,
            schema=request_models.COPY_JOB,
            # Step Functions starts 300 executions a second, and uploads need theirs.
            rate_limit=100,
            burst_limit=200,
        ),
        "builds": Route(
            function=build_worker,
            schema=request_models.BUILD,
            # A build may take half a minute: so some 60 run at once, of the 1,000 functions that an account runs.
            rate_limit=2,
            burst_limit=5,
        ),
    },
)

# Nobody else tells people of failures.
regional_sync_roles = [function.role_arn for function in regional_syncs.values()]
failures.accept_only([workflow.role_arn, *regional_sync_roles, execution_watcher.role_arn])

# Operators are told when something is wrong, and see how it goes.
all_queues = {"uploads": uploads, **arrivals, "endings": endings}
all_functions = {
    "copy-worker": copy_worker,
    "replication-worker": replication_worker,
    "step-function-invoker": step_function_invoker,
    "build-worker": build_worker,
    **regional_syncs,
    "execution-watcher": execution_watcher,
}
monitoring = Monitoring("monitoring", settings, workflow=workflow, queues=all_queues, functions=all_functions, api=api)

pulumi.export(outputs.REGION, tracking.region)
pulumi.export(outputs.ENDPOINT, settings.emulator_endpoint or "")
pulumi.export(outputs.STEP_FUNCTION_ARN, workflow.arn)
pulumi.export(outputs.STEP_FUNCTION_ROLE_ARN, workflow.role_arn)
pulumi.export(outputs.COPY_WORKER_ROLE_ARN, copy_worker.role_arn)
pulumi.export(outputs.API_GATEWAY_URL, api.url)
pulumi.export(outputs.SNS_TOPIC_ARN, failures.arn)
pulumi.export(outputs.OPERATIONS_TOPIC_ARN, monitoring.topic_arn)
pulumi.export(outputs.DASHBOARD_NAME, monitoring.dashboard_name)
pulumi.export(outputs.DYNAMODB_TABLE_NAME, tracking.table_name)
pulumi.export(outputs.SOURCE_BUCKET, buckets.source.name)
pulumi.export(outputs.DESTINATION_BUCKETS, buckets.destination_names)
pulumi.export(
    outputs.DESTINATION_REGIONS,
    {destination.bucket: destination.region or tracking.region for destination in settings.destinations},
)
pulumi.export(
    outputs.EXISTING_DESTINATION_BUCKETS,
    [destination.bucket for destination in settings.destinations if destination.existing],
)
pulumi.export(outputs.UPLOAD_QUEUE_URL, uploads.url)
pulumi.export(
    outputs.DEAD_LETTER_QUEUE_URLS,
    {name: queue.dead_letter_url for name, queue in all_queues.items()},
)
pulumi.export(outputs.LAMBDA_FUNCTIONS, {name: function.arn for name, function in all_functions.items()})
