"""The file copy workflow: settings, then the components in the order in which a file passes them, then the outputs."""

from components import outputs
from components.api import create_api
from components.arrivals import Arrivals
from components.buckets import BuildBuckets
from components.digests import Digests
from components.endings import Endings
from components.failures import FailureTopic
from components.monitoring.component import Monitoring
from components.settings import Settings
from components.tags import tag_everything
from components.tracking import TrackingTable
from components.uploads import Uploads
from components.workflow.component import CopyWorkflow
from components.workflow.copy_worker import create_copy_worker

settings = Settings.load()
tag_everything(settings)

# The files, the record of each copy, and the topic of failed copies.
buckets = BuildBuckets("builds", settings)
tracking = TrackingTable("tracking", settings)
failures = FailureTopic("failures", settings)

# An execution of the workflow copies one file to every destination.
copy_worker = create_copy_worker(settings, buckets, tracking)
workflow = CopyWorkflow(
    "workflow", settings, buckets=buckets, tracking=tracking, failures=failures, copy_worker=copy_worker
)

# An upload starts an execution. So does a call of the API, which also fetches builds.
uploads = Uploads.create(settings, buckets=buckets, workflow=workflow)
api = create_api(settings, buckets=buckets, tracking=tracking, workflow=workflow)

# A copy that arrives is verified. An execution that ends is measured, and its record closed if it failed to do that.
arrivals = Arrivals.create(settings, buckets=buckets, tracking=tracking, failures=failures)
endings = Endings.create(settings, workflow=workflow, tracking=tracking, failures=failures)

# Only these roles may publish failures. People receive them as one message a minute.
sync_roles = [regional_sync.role_arn for regional_sync in arrivals.regional_syncs]
failures.accept_only([workflow.role_arn, *sync_roles, endings.execution_watcher.role_arn])
digests = Digests.create(settings, state_machine=workflow.physical_name, failures=failures)

# Operators are notified of alarms, and have a dashboard.
queues = [uploads.queue, *arrivals.queues, endings.queue, digests.queue]
functions = [
    copy_worker,
    uploads.replication_worker,
    *api.functions,
    *arrivals.regional_syncs,
    endings.execution_watcher,
    digests.notification_digest,
]
monitoring = Monitoring(
    "monitoring",
    settings,
    workflow=workflow,
    queues=queues,
    rule_name=endings.queue.rule_name,
    topics=[failures, digests.topic],
    functions=functions,
    api=api,
)

outputs.export(
    settings,
    buckets=buckets,
    tracking=tracking,
    failures=failures,
    digests=digests,
    workflow=workflow,
    copy_worker=copy_worker,
    upload_queue=uploads.queue,
    api=api,
    monitoring=monitoring,
    queues=queues,
    functions=functions,
)
