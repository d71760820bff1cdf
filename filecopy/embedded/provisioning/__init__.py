"""Creates the resources that the Pulumi program declares in an emulator, with boto3: one file for each service.

``EmulatorProvider`` takes the place of the provider, pulumi-aws. It only creates: it changes nothing, deletes nothing
and keeps no state. A resource type or a property that it does not handle is an error, so nothing is left out silently.
"""

from . import (
    api_gateway,
    cloudwatch,
    dynamodb,
    events,
    functions,
    iam,
    logs,
    s3,
    sns,
    sqs,
    step_functions,
)
from .provider import COMPONENT_PREFIX, CREATORS, EmulatorProvider, Inputs

# The modules register their resource types when they are imported.
__all__ = [
    "COMPONENT_PREFIX",
    "CREATORS",
    "EmulatorProvider",
    "Inputs",
    "api_gateway",
    "cloudwatch",
    "dynamodb",
    "events",
    "functions",
    "iam",
    "logs",
    "s3",
    "sns",
    "sqs",
    "step_functions",
]
