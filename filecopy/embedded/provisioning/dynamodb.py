"""DynamoDB: tables."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:dynamodb/table:Table")
def _table(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    schema = [{"AttributeName": inputs.take("hashKey"), "KeyType": "HASH"}]
    if range_key := inputs.take("rangeKey"):
        schema.append({"AttributeName": range_key, "KeyType": "RANGE"})
    indexes = [
        {
            "IndexName": index.take("name"),
            "KeySchema": [
                {"AttributeName": key.take("attributeName"), "KeyType": key.take("keyType")}
                for key in index.take_objects("keySchemas")
            ],
            "Projection": {
                "ProjectionType": index.take("projectionType"),
                "NonKeyAttributes": index.take("nonKeyAttributes"),
            },
        }
        for index in inputs.take_objects("globalSecondaryIndexes")
    ]
    table = clients("dynamodb").create_table(
        TableName=name,
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        KeySchema=schema,
        AttributeDefinitions=[
            {"AttributeName": attribute.take("name"), "AttributeType": attribute.take("type")}
            for attribute in inputs.take_objects("attributes")
        ],
        BillingMode=inputs.take("billingMode", "PROVISIONED"),
        SSESpecification={"Enabled": inputs.take_object("serverSideEncryption").take("enabled", False)},
        DeletionProtectionEnabled=inputs.take("deletionProtectionEnabled", False),
        Tags=tag_list(inputs),
    )["TableDescription"]
    if inputs.take_object("pointInTimeRecovery").take("enabled"):
        clients("dynamodb").update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    ttl = inputs.take_object("ttl")
    if ttl.take("enabled"):
        clients("dynamodb").update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl.take("attributeName")}
        )
    return name, {"arn": table["TableArn"]}
