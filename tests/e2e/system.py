"""A stack that is up, as the tests use it: what a person would do with it, and what a person would look at."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from components import outputs, policies
from components.names import ALARM_NAMES_BEGIN_WITH, DEAD_LETTERS_SUFFIX
from filecopy.embedded import emulator, stack
from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.embedded.stack import EmbeddedStack
from filecopy.executions.find import read_events
from filecopy.executions.follow import Follower
from filecopy.stack.clients import Clients
from filecopy.stack.records import read_record_and_arrivals
from filecopy.stack.stack import Stack

from . import engines
from .engines import Engine

# Seconds until a message whose function died comes back: minutes as deployed, longer than a test should wait.
VISIBILITY_TIMEOUT = 20

# The account of whoever calls an emulator as root.
ACCOUNT = "000000000000"

# What an execution passes that copies small files within the region, those inside the Map left out.
STATES_OF_A_SUCCESS = [
    "ValidateInput",
    "AcquireLease",
    "ReadSource",
    "LogWorkflowStart",
    "CopyToMultipleBuckets",
    "ProcessResults",
    "UpdateDynamoDBFinal",
    "CheckIfAllSuccessful",
    "AllCopiesSuccessful",
]

T = TypeVar("T")


def filecopy(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "filecopy", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@contextlib.contextmanager
def stack_up(*arguments: str, enforced: bool = False) -> Iterator[System]:
    """A stack on a port of its own for as long as the block lasts.

    With ``enforced`` the emulator obeys IAM's policies, and what a person does is done by an ordinary user who has the
    documented policy and no more. What a test looks at beyond that, it looks at as root.
    """
    port = str(emulator.free_port())
    if enforced:
        arguments = (*arguments, "--emulator", "AUTH=true", "-c", "apiAuthorization=AWS_IAM")
    made = filecopy("up", "--port", port, *arguments)
    assert made.returncode == 0, made.stdout + made.stderr
    try:
        system = System.embedded(stack.get(int(port)))
        if enforced:
            user = system.make_user(system.user_policy())
            system.act_as(user)
            system.let_stack_publish(user)
        system.return_messages_soon()
        system.lift_limits_of_the_api()
        yield system
    finally:
        taken_down = filecopy("down", "--port", port)
        assert taken_down.returncode == 0, taken_down.stdout + taken_down.stderr


class Inbox:
    """A subscriber of a topic, in whatever region, from now on. Called, it waits for the notification that has ``text``
    in it, such as an execution's ARN, whose history is shown if there is none."""

    def __init__(self, system: System, topic: str) -> None:
        clients = system.clients.in_region(policies.region_of(topic))
        sqs = self._sqs = clients("sqs")
        self._system = system
        self._queue = sqs.create_queue(QueueName=f"inbox-{uuid.uuid4().hex}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        accepted = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": json.dumps(policies.policy(accepted))})
        sns = clients("sns")
        subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
        system.afterwards(sqs.delete_queue, QueueUrl=self._queue)
        system.afterwards(sns.unsubscribe, SubscriptionArn=subscription)
        self.received: list[dict[str, Any]] = []

    def receive(self) -> bool:
        """Adds what has come to ``received``. Returns whether something has."""
        messages = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
        self.received.extend(json.loads(message["Body"]) for message in messages)
        # A message that is not deleted comes again.
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return bool(messages)

    def __call__(self, text: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            self.receive()
            return next((found for found in self.received if text in found["Message"]), None)

        return self._system.wait_for("the notification", look, text if ":execution:" in text else None)


class System:
    def __init__(self, found: Stack, engine: Engine, named: Sequence[str], embedded: EmbeddedStack | None) -> None:
        """
        Args:
            named: what tells a command that this stack is meant.
            embedded: the stack where it is the embedded one, made for the tests; ``None`` where it is one that is
                given, which others use, too: there the tests' files have names of their own, and what tests make is
                removed.
        """
        clients = found.clients
        self.user = clients
        self.signer: SigV4Auth | None = None
        self.target, self.outputs, self.engine, self.named = found, found.outputs, engine, (*named,)
        self._embedded = embedded
        self.clients = clients
        self.s3, self.sns, self.sqs, self.dynamodb = clients("s3"), clients("sns"), clients("sqs"), clients("dynamodb")
        self.stepfunctions, self.lambda_ = clients("stepfunctions"), clients("lambda")
        self.region: str = found.outputs[outputs.REGION]
        self.endpoint: str | None = found.outputs.get(outputs.ENDPOINT) or None
        self.state_machine: str = found.outputs[outputs.STEP_FUNCTION_ARN]
        self.table: str = found.outputs[outputs.DYNAMODB_TABLE_NAME]
        self.topic: str = found.outputs[outputs.SNS_TOPIC_ARN]
        self.api: str = found.outputs[outputs.API_GATEWAY_URL]
        self.functions: dict[str, str] = found.outputs[outputs.LAMBDA_FUNCTIONS]
        self.source: str = found.outputs[outputs.SOURCE_BUCKET]
        self.destinations: list[str] = found.outputs[outputs.DESTINATION_BUCKETS]
        self.uploads: str = found.outputs[outputs.UPLOAD_QUEUE_URL]
        self.dead_letters: dict[str, str] = found.outputs[outputs.DEAD_LETTER_QUEUE_URLS]
        self.run_id = "" if embedded else uuid.uuid4().hex[:8]
        # The clocks of this machine and of an engine may differ.
        self._began = datetime.now(UTC) - timedelta(minutes=2)
        self._jobs: dict[str, Any] = {}
        self._keys: set[str] = set()
        self._cleanup = contextlib.ExitStack()

    @classmethod
    def embedded(cls, up: EmbeddedStack) -> System:
        """The embedded stack that is up."""
        return cls(Stack.of(up.outputs), engines.engine(engines.EMBEDDED), ("--port", str(up.port)), up)

    @classmethod
    @contextlib.contextmanager
    def given(cls, name: str, found: Stack, engine: Engine) -> Iterator[System]:
        """A stack that somebody else has deployed, on whatever engine. What tests have made there is removed after."""
        system = cls(found, engine, ("--stack", name), None)
        assert len(system.destinations) == 2, "The tests are made for a stack with two destinations."
        if engine.name == engines.AWS:
            credentials = boto3.Session().get_credentials()
            assert credentials, "AWS is to be asked, and there are no credentials."
            system.signer = SigV4Auth(credentials.get_frozen_credentials(), "execute-api", system.region)
        assert not (told := system._people_told()), f"Copies are made to fail, and people would be told: {told}"
        with system._cleanup:
            system._cleanup.callback(lambda: system.remove(f"e2e-{system.run_id}/", *system._keys))
            system._cleanup.callback(system._stop)
            yield system

    def _people_told(self) -> list[str]:
        """Who has subscribed to the stack's topics with a mailbox or a telephone."""
        topics = (self.topic, self.outputs[outputs.OPERATIONS_TOPIC_ARN])
        listing = self.sns.get_paginator("list_subscriptions_by_topic")
        found = [one for topic in topics for page in listing.paginate(TopicArn=topic) for one in page["Subscriptions"]]
        return [one["Endpoint"] for one in found if one["Protocol"] in ("email", "email-json", "sms")]

    @property
    def stack(self) -> EmbeddedStack:
        assert self._embedded, "This test is about the embedded stack."
        return self._embedded

    @property
    def is_given(self) -> bool:
        return self._embedded is None

    def filecopy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on this stack."""
        return filecopy(*arguments, *self.named, timeout=max(120, 2 * self.engine.deadline))

    def key(self, name: str) -> str:
        """A file's key that no other run of the tests has: an execution or a record of it is of this run."""
        key = f"e2e-{self.run_id}/{name}" if self.is_given else name
        self._keys.add(key[:1024])
        return key

    def bucket(self, name: str) -> str:
        """The name of a bucket that nobody has, on AWS neither."""
        return f"e2e-{self.run_id}-{name}" if self.is_given else name

    def make_bucket(self, name: str) -> None:
        elsewhere = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
        self.s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": elsewhere} if elsewhere else {}))
        self.afterwards(self.s3.delete_bucket, Bucket=name)
        self.afterwards(self._empty, name, "")

    def make_state_machine(self, name: str, definition: object) -> str:
        """A state machine with the role of the stack's own."""
        made = self.stepfunctions.create_state_machine(
            name=self.bucket(name),
            roleArn=self.outputs[outputs.STEP_FUNCTION_ROLE_ARN],
            definition=json.dumps(definition, ensure_ascii=False),
        )["stateMachineArn"]
        self.afterwards(self.stepfunctions.delete_state_machine, stateMachineArn=made)
        return str(made)

    def afterwards(self, undo: Callable[..., object], *arguments: object, **named: object) -> None:
        """What is done when the tests are through with a stack that is given. The embedded one goes as a whole."""
        if self.is_given:
            self._cleanup.callback(undo, *arguments, **named)

    def _empty(self, bucket: str, prefix: str) -> set[str]:
        """Deletes every version of every key that begins so. Returns the keys."""
        keys = set()
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            found = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
            keys |= {version["Key"] for version in found}
            if found:
                self.s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
        return keys

    def _stop(self) -> None:
        """Ends what a test has not waited for, so that it does not write a record that was removed."""
        running = self.stepfunctions.list_executions(stateMachineArn=self.state_machine, statusFilter="RUNNING")
        for execution in running["executions"]:
            job = self.executions().get(execution["executionArn"])
            if isinstance(job, dict) and str(job.get("sourceKey")).startswith(f"e2e-{self.run_id}/"):
                self.stepfunctions.stop_execution(executionArn=execution["executionArn"])

    def remove(self, prefix: str, *more: str) -> None:
        """Deletes the files whose keys begin so, their copies, and their records and those of ``more`` keys."""
        keys = {*more}.union(*(self._empty(bucket, prefix) for bucket in (self.source, *self.destinations)))
        for key in keys:
            self.dynamodb.delete_item(
                TableName=self.table, Key={"fileKey": {"S": key}, "sourceBucket": {"S": self.source}}
            )

    def return_messages_soon(self) -> None:
        for name, dead_letters in self.dead_letters.items():
            self.clients.in_region(self.target.region_of(name))("sqs").set_queue_attributes(
                QueueUrl=dead_letters.removesuffix(DEAD_LETTERS_SUFFIX),
                Attributes={"VisibilityTimeout": str(VISIBILITY_TIMEOUT)},
            )

    @contextlib.contextmanager
    def returning_uploads_at_once(self) -> Iterator[None]:
        """A message of the uploads' queue that failed comes back after a second, so that its five receives take no
        minutes, for as long as the block lasts."""
        name = "VisibilityTimeout"
        before = self.sqs.get_queue_attributes(QueueUrl=self.uploads, AttributeNames=[name])["Attributes"]
        self.sqs.set_queue_attributes(QueueUrl=self.uploads, Attributes={name: "1"})
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=self.uploads, Attributes=before)

    def lift_limits_of_the_api(self) -> None:
        """Lets as many calls through as tests make: what the limits are, and of which routes, unit tests say."""
        api_id = self.api.split("/restapis/")[1].split("/")[0]
        gateway = self.clients("apigateway")
        [stage] = gateway.get_stages(restApiId=api_id)["item"]
        gateway.update_stage(
            restApiId=api_id,
            stageName=stage["stageName"],
            patchOperations=[
                {"op": "replace", "path": f"/{method}/throttling/{limit}", "value": "10000"}
                for method in stage["methodSettings"]
                for limit in ("rateLimit", "burstLimit")
            ],
        )

    @contextlib.contextmanager
    def function_told(self, name: str, **variables: str) -> Iterator[None]:
        """Has a function's environment have these for as long as the block lasts."""
        before = self.variables_of(name)
        self._tell_function(name, {**before, **variables})
        try:
            yield
        finally:
            self._tell_function(name, before)

    def variables_of(self, name: str) -> dict[str, str]:
        """A function's environment, by the function's name in the outputs."""
        configuration = self.lambda_.get_function_configuration(FunctionName=self.functions[name])
        found: dict[str, str] = configuration["Environment"]["Variables"]
        return found

    def _tell_function(self, name: str, variables: dict[str, str]) -> None:
        arn = self.functions[name]
        self.lambda_.update_function_configuration(FunctionName=arn, Environment={"Variables": variables})

        def is_updated() -> bool | None:
            configuration = self.lambda_.get_function_configuration(FunctionName=arn)
            return configuration.get("LastUpdateStatus") != "InProgress" or None

        self.wait_for(f"{name} to be told", is_updated)

    def user_policy(self) -> policies.Policy:
        """What docs/security.md says that a user of this stack needs."""
        api_id = self.api.split("/restapis/")[1].split("/")[0]
        return policies.use_workflow(
            source_bucket_arn=f"arn:aws:s3:::{self.source}",
            state_machine_arn=self.state_machine,
            table_arn=self.dynamodb.describe_table(TableName=self.table)["Table"]["TableArn"],
            api_execution_arn=f"arn:aws:execute-api:{self.region}:{ACCOUNT}:{api_id}",
            keys="*",
            kms_key_arn=None,
        )

    def operator_policy(self) -> policies.Policy:
        """What docs/security.md says that an operator of this stack may do."""
        prefix = f"{self.region}:{ACCOUNT}"
        dead_letters = self.outputs[outputs.DEAD_LETTER_QUEUE_URLS].values()
        readers = self.lambda_.list_event_source_mappings()["EventSourceMappings"]
        return policies.operate_workflow(
            state_machine_arn=self.state_machine,
            table_arn=self.dynamodb.describe_table(TableName=self.table)["Table"]["TableArn"],
            queue_arns=[
                f"arn:aws:sqs:{prefix}:{url.split('/')[-1].removesuffix(DEAD_LETTERS_SUFFIX)}" for url in dead_letters
            ],
            function_arns=[mapping["FunctionArn"] for mapping in readers],
            topic_arns=[self.topic, self.outputs[outputs.DIGEST_TOPIC_ARN]],
            log_group_arns=[
                group["arn"].removesuffix(":*") for group in self.clients("logs").describe_log_groups()["logGroups"]
            ],
            alarm_names=f"{ALARM_NAMES_BEGIN_WITH}*",
            dashboard_name=self.outputs[outputs.DASHBOARD_NAME],
        )

    def make_operator(self) -> Credentials:
        """A new user who has the operators' policy. The emulator asks CloudWatch's permissions for no resource
        (docs/engines.md)."""
        policy = self.operator_policy()
        for statement in policy["Statement"]:
            if statement["Action"][0].startswith("cloudwatch:"):
                statement["Resource"] = ["*"]
        return self.make_user(policy)

    def make_user(self, *allowed: policies.Policy) -> Credentials:
        """A new user with these policies."""
        iam, name = self.clients("iam"), f"user-{uuid.uuid4().hex}"
        iam.create_user(UserName=name)
        for index, policy in enumerate(allowed):
            iam.put_user_policy(UserName=name, PolicyName=f"policy-{index}", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def clients_of(self, credentials: Credentials) -> Clients:
        return Clients(self.endpoint, self.region, credentials.access_key, credentials.secret_key)

    def act_as(self, credentials: Credentials) -> None:
        """From now on uploads, starts, looks and calls of the API are those of this user."""
        self.user = self.clients_of(credentials)
        self.signer = SigV4Auth(credentials, "execute-api", self.region)

    def let_stack_publish(self, user: Credentials) -> None:
        """Names those whom the topics let in as the emulator calls them (docs/engines.md): it does not take on
        a state machine's role, but publishes as whoever started the execution, the user, or root where a test does;
        and it knows a role that is taken on by its session's ARN, where AWS gives ``aws:PrincipalArn`` the role's.
        """
        for topic in (self.topic, self.outputs[outputs.DIGEST_TOPIC_ARN]):
            policy = json.loads(self.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
            let_in: list[str] = policy["Statement"][0]["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
            let_in += [role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/*" for role in let_in]
            let_in += [asker("sts").get_caller_identity()["Arn"] for asker in (self.clients_of(user), self.clients)]
            self.sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))

    def post(
        self, path: str, body: object, *, signer: SigV4Auth | None = None, content_type: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """Calls the API, and returns the status and what was answered. A body of bytes is sent as it is. A call that
        the limits of a stack that is given do not let through is made again."""

        def ask() -> tuple[int, dict[str, Any]] | None:
            answered = self._post(path, body, signer or self.signer, content_type)
            return None if self.is_given and answered[0] == 429 else answered

        return self.wait_for("the API to let a call through", ask)

    def _post(self, path: str, body: object, signer: SigV4Auth | None, content_type: str) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = AWSRequest("POST", f"{self.api}{path}", data=data, headers={"Content-Type": content_type})
        if signer:
            signer.add_auth(request)
        asked = urllib.request.Request(f"{self.api}{path}", data=data, headers=dict(request.headers), method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def errors(self) -> list[str]:
        """What the functions have logged of errors, and what the engine says of those that died."""
        lines = []
        for arn in self.functions.values():
            logs, group = self.clients.in_region(policies.region_of(arn))("logs"), f"/aws/lambda/{arn.split(':')[-1]}"
            with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
                for event in logs.filter_log_events(logGroupName=group)["events"]:
                    if '"ERROR"' in event["message"] or "Task timed out" in event["message"]:
                        lines.append(f"{group}: {event['message']}")  # noqa: PERF401
        return lines[-20:]

    def messages(self) -> list[dict[str, Any]]:
        """How many messages wait in each queue, and how many are being worked on."""
        attributes = ["QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return [
            sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=attributes)["Attributes"]
            for sqs, url in (
                (self.clients.in_region(self.target.region_of(name))("sqs"), url)
                for name, url in self.dead_letters.items()
            )
            for queue in (url.removesuffix(DEAD_LETTERS_SUFFIX), url)
        ]

    def wait_for_no_messages(self, queue: str) -> None:
        """Waits until every message of the queue has been handled."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def is_empty() -> bool | None:
            counts = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
            return {counts[name] for name in names} == {"0"} or None

        self.wait_for("the queue to be empty", is_empty)

    def letters_in(self, queue: str) -> int:
        """How many dead letters of ``queue`` there are."""
        attribute = "ApproximateNumberOfMessages"
        asked = self.sqs.get_queue_attributes(QueueUrl=self.dead_letters[queue], AttributeNames=[attribute])
        return int(asked["Attributes"][attribute])

    def put(self, key: str, body: bytes = b"content") -> None:
        self.user("s3").put_object(Bucket=self.source, Key=key, Body=body)

    def upload(self, key: str, body: bytes = b"content") -> dict[str, Any]:
        """Puts a file, and waits until the workflow that this starts is through with it. Returns the record."""
        self.put(key, body)
        return self.finished_record(key)

    def get(self, bucket: str, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def job(self, key: str, *destinations: str) -> dict[str, Any]:
        return {
            "sourceBucket": self.source,
            "sourceKey": key,
            "destinationBuckets": list(destinations or self.destinations),
        }

    def start(self, job: object, state_machine: str | None = None) -> str:
        """Starts the stack's state machine as the user, or another one as root."""
        starter = self.stepfunctions if state_machine else self.user("stepfunctions")
        started = starter.start_execution(stateMachineArn=state_machine or self.state_machine, input=json.dumps(job))
        return str(started["executionArn"])

    def start_waiting(self, key: str) -> str:
        """Starts an execution that waits for its turn, because a record that is written as root is somebody else's."""
        record = {
            "fileKey": {"S": key},
            "sourceBucket": {"S": self.source},
            "leaseOwner": {"S": "somebody else"},
            "leaseExpiresAt": {"N": str(int(time.time()) + 3600)},
        }
        self.dynamodb.put_item(TableName=self.table, Item=record)
        execution = self.start(self.job(key))
        self.wait_for(
            "the execution to wait", lambda: "WaitForTurn" in self.states(execution) or None, execution=execution
        )
        return execution

    def finish(self, execution: str) -> dict[str, Any]:
        """Waits for the execution's end, and describes it."""

        def ended() -> dict[str, Any] | None:
            is_ours = f":{self.state_machine.split(':')[-1]}:" in execution
            asker = self.user("stepfunctions") if is_ours else self.stepfunctions
            described: dict[str, Any] = asker.describe_execution(executionArn=execution)
            return described if described["status"] != "RUNNING" else None

        return self.wait_for("the execution's end", ended, execution)

    def run(self, job: object, state_machine: str | None = None) -> dict[str, Any]:
        return self.finish(self.start(job, state_machine))

    def attempts(self, execution: str, action: str) -> int:
        """How often the execution called ``action``, such as ``copyObject``."""
        scheduled = [event.get("taskScheduledEventDetails", {}) for event in read_events(self.stepfunctions, execution)]
        # AWS names the action alone; MiniStack the whole integration.
        return sum(details.get("resource", "").endswith(action) for details in scheduled)

    def states(self, execution: str) -> list[str]:
        """The names of the states entered, in order, those inside the Map left out."""
        return [state.name for state in Follower(self.target).look(execution).states]

    def executions(self) -> dict[str, Any]:
        """The executions since the tests began, by their ARNs, and what each was told."""
        found = {}
        # The latest come first.
        for page in self.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=self.state_machine):
            new = [one["executionArn"] for one in page["executions"] if one["startDate"] >= self._began]
            for arn in new:
                if arn not in self._jobs:
                    described = self.stepfunctions.describe_execution(executionArn=arn)
                    self._jobs[arn] = json.loads(described["input"])
                found[str(arn)] = self._jobs[arn]
            if not new:
                break
        return found

    def executions_of(self, key: str) -> list[str]:
        """The ARNs of the executions for ``key``."""
        return [arn for arn, job in self.executions().items() if isinstance(job, dict) and job.get("sourceKey") == key]

    def record(self, key: str) -> dict[str, Any] | None:
        record = read_record_and_arrivals(Stack(self.outputs, self.user), key)
        return dict(record.item) if record else None

    def finished_record(self, key: str) -> dict[str, Any]:
        """The record of ``key``, once its execution has ended and every copy that the stack's own buckets took
        has been looked at by regional-sync."""

        seen: list[dict[str, Any] | None] = []

        def finished() -> dict[str, Any] | None:
            seen[:] = [record := self.record(key)]
            if record is None or "completedAt" not in record:
                return None
            is_checked = set(record.get("successfulBuckets", [])) <= set(record["arrivals"])
            return record if is_checked else None

        return self.wait_for(f"the finished record of {key!r}", finished, seen=seen)

    def inbox(self) -> Inbox:
        """A subscriber of the failure topic."""
        return Inbox(self, self.topic)

    def mailbox(self) -> Inbox:
        """A subscriber of the topic that people's e-mails come from."""
        return Inbox(self, self.outputs[outputs.DIGEST_TOPIC_ARN])

    def wait_for(
        self, what: str, look: Callable[[], T | None], execution: str | None = None, seen: Sequence[object] = ()
    ) -> T:
        """Looks again and again until there is something. Fails at the deadline with the execution's history, what
        was ``seen`` last, the messages that wait in queues, and the functions' errors."""
        deadline = time.monotonic() + self.engine.deadline
        while (found := look()) is None:
            if time.monotonic() > deadline:
                history = read_events(self.stepfunctions, execution) if execution else []
                shown = [*history, *seen, *self.messages()]
                lines = "\n".join([*(json.dumps(item, default=str) for item in shown), *self.errors()])
                raise AssertionError(f"Timed out after {self.engine.deadline:.0f} s waiting for {what}.\n{lines}")
            time.sleep(self.engine.interval)
        return found
