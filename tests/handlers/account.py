"""The test's own view of the AWS account, apart from the handlers' clients, which a test may make fail.

Made once for all tests: each session reads the descriptions of the services anew.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.session import Session, get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient


def new_session(region: str) -> Session:
    session = get_session()
    session.set_credentials("test", "test")
    session.set_config_variable("region", region)
    return session


@cache
def botocore_session() -> Session:
    return new_session("us-east-1")


@cache
def session() -> boto3.Session:
    return boto3.Session(botocore_session=botocore_session())


@cache
def s3() -> S3Client:
    return session().client("s3")


@cache
def dynamodb() -> DynamoDBClient:
    return session().client("dynamodb")


@cache
def sns() -> SNSClient:
    return session().client("sns")


@cache
def sqs() -> SQSClient:
    return session().client("sqs")


@cache
def stepfunctions() -> SFNClient:
    return session().client("stepfunctions")
