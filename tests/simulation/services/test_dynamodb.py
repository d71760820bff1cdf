"""DynamoDB's expressions give the same items and errors as with moto. What moto does not do as AWS documents is
compared with AWS's documentation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.handlers import account
from tests.handlers.conftest import create_table

from . import dynamodb
from .dynamodb import MAX_ITEM_BYTES, DynamoDB, Schema, Table

Json = dict[str, Any]

TABLE = "FileCopyTracking"
KEY: Json = {"fileKey": {"S": "k"}, "sourceBucket": {"S": "b"}}


def new_service() -> DynamoDB:
    service = DynamoDB()
    service.tables[TABLE] = Table(Schema("fileKey", "sourceBucket"), {"by-status": Schema("status", "startTime")})
    return service


@pytest.fixture
def service() -> DynamoDB:
    return new_service()


def put(service: DynamoDB, **attributes: Json) -> None:
    service.call("PutItem", {"TableName": TABLE, "Item": {**KEY, **attributes}})


def item(service: DynamoDB, key: Json = KEY) -> Json:
    found: Json = service.call("GetItem", {"TableName": TABLE, "Key": key}).get("Item", {})
    return {name: value for name, value in found.items() if name not in key}


def update(service: DynamoDB, expression: str, **arguments: Any) -> Json:
    answer = service.call("UpdateItem", {"TableName": TABLE, "Key": KEY, "UpdateExpression": expression, **arguments})
    attributes: Json = answer.get("Attributes", {})
    return attributes


def refused(call: Callable[[], object]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value


def message(error: ClientError) -> str:
    return error.response["Error"]["Message"]


# --- The same as moto -------------------------------------------------------------------------------------------

texts = st.sampled_from(["", "a", "b", "ab", "ä", "2"])
numbers = st.sampled_from(["0", "1", "2", "-1", "10", "1.5", "100000000000000000000"])


def of_type(name: str, contents: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return contents.map(lambda found: {name: found})


def sets(elements: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(elements.filter(bool), min_size=1, max_size=3, unique=True)


number_values = of_type("N", numbers)
set_values = of_type("SS", sets(texts))
# Not NULL: moto takes it for an attribute that is missing.
any_value = st.recursive(
    of_type("S", texts) | number_values | set_values | of_type("NS", sets(numbers)) | of_type("BOOL", st.booleans()),
    lambda inner: (
        of_type("L", st.lists(inner, max_size=3))
        | of_type("M", st.dictionaries(st.sampled_from("ab"), inner, max_size=2))
    ),
    max_leaves=4,
)
items = st.fixed_dictionaries(
    {
        "m": of_type("M", st.dictionaries(st.sampled_from("ab"), any_value, max_size=2)),
        "l": of_type("L", st.lists(any_value, max_size=3)),
    },
    optional={"a": any_value, "b": any_value},
)
paths = st.sampled_from(["a", "b", "m", "l", "m.a", "#m.#b", "l[0]", "l[2]", "l[1].a", "#a", "absent"])
placeholders = st.sampled_from([":x", ":y", ":z"])
# Not the parents of places that an update changes: moto does not copy what it reads.
sources = st.sampled_from(["a", "b", "m.a", "#m.#b", "l[0]", "l[1].a", "absent"])
operands = sources | placeholders

# A path and a value, not two paths: moto takes two missing attributes for equal.
comparisons = st.one_of(
    st.builds("{} {} {}".format, paths, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), placeholders),
    st.builds("{}({})".format, st.sampled_from(["attribute_exists", "attribute_not_exists"]), paths),
    st.builds("attribute_type({}, :type)".format, st.sampled_from(["m", "l"])),
    st.builds("{}({}, {})".format, st.sampled_from(["contains", "begins_with"]), paths, placeholders),
    st.builds("size({}) {} {}".format, st.sampled_from(["m", "l"]), st.sampled_from(["=", "<", ">="]), placeholders),
    st.builds("{} BETWEEN {} AND {}".format, paths, placeholders, placeholders),
    st.builds("{} IN ({}, {})".format, paths, placeholders, placeholders),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["AND", "OR"]), inner),
        st.builds("NOT {}".format, inner),
        st.builds("({})".format, inner),
    ),
    max_leaves=4,
)
results = st.one_of(
    operands,
    st.builds("if_not_exists({}, {})".format, sources, operands),
    st.builds("list_append({}, {})".format, operands, operands),
    st.builds("{} {} {}".format, operands, st.sampled_from("+-"), operands),
)
changes = st.just(("REMOVE", "")) | results.map(lambda result: ("SET", f" = {result}"))
actions = changes | st.sampled_from([("ADD", " :number"), ("ADD", " :set"), ("DELETE", " :set")])


@st.composite
def updates(draw: st.DrawFn) -> str:
    clauses: dict[str, list[str]] = {}
    places = st.sampled_from(["a", "b", "m.a", "#m.#b", "l[0]", "l[2]", "absent"])
    for place in draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        # ADD and DELETE are only for attributes that are not nested.
        clause, rest = draw(actions if place.isalpha() else changes)
        clauses.setdefault(clause, []).append(place + rest)
    return " ".join(f"{clause} {', '.join(parts)}" for clause, parts in clauses.items())


values = st.fixed_dictionaries(
    {
        **dict.fromkeys((":x", ":y", ":z"), any_value),
        ":number": number_values,
        ":set": set_values,
        ":type": of_type("S", st.sampled_from(["S", "N", "M", "L", "BOOL"])),
    }
)


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    with mock_aws(config={"core": {"reset_boto3_session": False}}):
        create_table(TABLE)
        yield account.dynamodb()


def outcome(call: Callable[[], Json]) -> tuple[str, str, Json]:
    """The item, with the code and the message of the error if there is one."""
    try:
        answer = call()
    except ClientError as error:
        return error.response["Error"]["Code"], message(error), {}
    return "", "", answer.get("Attributes", {})


def both(moto: Any, stored: Json, arguments: Json) -> tuple[tuple[str, str, Json], tuple[str, str, Json]]:
    """The outcome of an update with moto and here. Where moto fails, both are ours."""
    service = new_service()
    expressions = f"{arguments['UpdateExpression']} {arguments.get('ConditionExpression', '')}"
    names = {f"#{name}": name for name in "abm" if f"#{name}" in expressions}
    used = {name: value for name, value in arguments["ExpressionAttributeValues"].items() if name in expressions}
    arguments = {
        **{name: argument for name, argument in arguments.items() if name != "ExpressionAttributeValues"},
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": used} if used else {}),
        "TableName": TABLE,
        "Key": KEY,
        "ReturnValues": "ALL_NEW",
    }
    put(service, **stored)
    moto.put_item(TableName=TABLE, Item={**KEY, **stored})
    ours = outcome(lambda: service.call("UpdateItem", arguments))
    try:
        return outcome(lambda: moto.update_item(**arguments)), ours
    except Exception:  # noqa: BLE001 - moto itself fails with some expressions, with errors of all kinds
        return ours, ours


# EXAMPLES=1000 looks further.
differential = settings(
    max_examples=int(os.environ.get("EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@differential
@given(stored=items, update=updates(), given_values=values)
def test_updates_are_those_of_moto(moto: Any, stored: Json, update: str, given_values: Json) -> None:
    arguments = {"UpdateExpression": update, "ExpressionAttributeValues": given_values}
    (their_code, _, theirs), (our_code, _, ours) = both(moto, stored, arguments)
    assert our_code == their_code
    assert dynamodb.same(ours, theirs)


@differential
@given(stored=items, condition=conditions, given_values=values)
def test_conditions_are_those_of_moto(moto: Any, stored: Json, condition: str, given_values: Json) -> None:
    arguments = {
        "UpdateExpression": "REMOVE absent",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": given_values,
    }
    (their_code, _, _), (our_code, our_message, _) = both(moto, stored, arguments)
    # moto does not check the types of operands before it evaluates a condition.
    assert our_code == their_code or "Incorrect operand type" in our_message


# --- As AWS documents -------------------------------------------------------------------------------------------
# Developer guide, "Using update expressions", "Condition and filter expressions", "Reserved words"; API reference,
# UpdateItem, TransactWriteItems, BatchWriteItem.


def test_values_are_read_before_any_is_written(service: DynamoDB) -> None:
    put(service, a={"N": "1"}, b={"N": "2"})
    update(service, "SET a = b, b = a")
    assert item(service) == {"a": {"N": "2"}, "b": {"N": "1"}}


def test_positions_are_those_before_the_update(service: DynamoDB) -> None:
    put(service, list={"L": [{"S": letter} for letter in "abcd"]})
    update(service, "REMOVE #list[0], #list[2] SET #list[1] = :x", **_with("list", x={"S": "X"}))
    assert item(service) == {"list": {"L": [{"S": "X"}, {"S": "d"}]}}


def _with(*names: str, **given_values: Json) -> Json:
    arguments: Json = {"ExpressionAttributeNames": {f"#{name}": name for name in names}} if names else {}
    if given_values:
        arguments["ExpressionAttributeValues"] = {f":{name}": value for name, value in given_values.items()}
    return arguments


def test_a_member_of_a_map_that_is_absent_cannot_be_changed(service: DynamoDB) -> None:
    put(service)
    for expression in ("SET uploads.#b = :x", "REMOVE uploads.#b"):
        arguments = _with("b", x={"S": "X"}) if ":x" in expression else _with("b")
        error = refused(lambda: update(service, expression, **arguments))  # noqa: B023 - called at once
        assert "document path provided in the update expression is invalid" in message(error)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("NONE", {}),
        ("ALL_OLD", {**KEY, "a": {"N": "1"}, "m": {"M": {"x": {"S": "old"}, "y": {"S": "kept"}}}}),
        ("UPDATED_OLD", {"a": {"N": "1"}, "m": {"M": {"x": {"S": "old"}}}}),
        ("UPDATED_NEW", {"a": {"N": "2"}, "m": {"M": {"x": {"S": "new"}}}, "b": {"BOOL": True}}),
        (
            "ALL_NEW",
            {**KEY, "a": {"N": "2"}, "b": {"BOOL": True}, "m": {"M": {"x": {"S": "new"}, "y": {"S": "kept"}}}},
        ),
    ],
)
def test_what_an_update_returns(service: DynamoDB, wanted: str, expected: Json) -> None:
    put(service, a={"N": "1"}, m={"M": {"x": {"S": "old"}, "y": {"S": "kept"}}})
    arguments = _with(one={"N": "1"}, new={"S": "new"}, yes={"BOOL": True})
    assert update(service, "SET a = a + :one, m.x = :new, b = :yes", **arguments, ReturnValues=wanted) == expected


def test_a_failed_condition_returns_the_item_where_it_is_wanted(service: DynamoDB) -> None:
    put(service, owner={"S": "another"})
    arguments = {**_with(me={"S": "me"}), "ConditionExpression": "leaseOwner = :me"}
    update_of = "SET leaseOwner = :me"
    plain = refused(lambda: update(service, update_of, **arguments))
    assert plain.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert "Item" not in plain.response
    wanted = refused(lambda: update(service, update_of, **arguments, ReturnValuesOnConditionCheckFailure="ALL_OLD"))
    found: Json = {**wanted.response}
    assert found["Item"] == {**KEY, "owner": {"S": "another"}}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("absent <> :one", True),
        ("NOT absent = :one", True),
        ("absent < :one", False),
        ("a < :text", False),
        ("a = :one OR absent = :one AND absent = :one", True),
        ("NOT a = :text AND a = :one", True),
        ("a BETWEEN :one AND :one AND a = :one", True),
        ("#list IN (:one, :list)", True),
    ],
)
def test_missing_attributes_types_and_precedence(service: DynamoDB, condition: str, holds: bool) -> None:
    put(service, a={"N": "1.0"}, list={"L": []})
    found: Json = {"one": {"N": "1"}, "text": {"S": "1"}, "list": {"L": []}}
    arguments = _with(
        *(name for name in ("list",) if f"#{name}" in condition),
        **{name: value for name, value in found.items() if f":{name}" in condition},
    )
    code, _, _ = outcome(
        lambda: {"Attributes": update(service, "REMOVE b", ConditionExpression=condition, **arguments)}
    )
    assert code == ("" if holds else "ConditionalCheckFailedException")


@pytest.mark.parametrize(
    ("expression", "arguments", "problem"),
    [
        ("SET status = :x", _with(x={"S": "x"}), "Attribute name is a reserved keyword; reserved keyword: status"),
        ("SET a = :x", _with(x={"S": "x"}, y={"S": "y"}), "unused in expressions: keys: {:y}"),
        ("SET a = :x", _with("unused", x={"S": "x"}), "unused in expressions: keys: {#unused}"),
        ("SET a = :x", {}, "attribute value: :x"),
        ("SET #a = :x", _with(x={"S": "x"}), "attribute name: #a"),
        ("SET a = :x SET b = :x", _with(x={"S": "x"}), 'The "SET" section can only be used once'),
        ("SET a = :x REMOVE a.b", _with(x={"S": "x"}), "Two document paths overlap"),
        ("SET a = absent", {}, "refers to an attribute that does not exist"),
        ("SET a = a +", {}, "Syntax error"),
        ("SET a = :x, fileKey = :x", _with(x={"S": "x"}), "Cannot update attribute fileKey"),
        ("ADD a :x", _with(x={"S": "x"}), "operator: ADD, operand type: STRING"),
        ("SET a = :x", _with(x={"SS": []}), "set  may not be empty"),
        ("SET a = :x", _with(x={"N": "1e126"}), "38 significant digits"),
        ("SET a = :x", _with(x={"N": "one"}), "cannot be converted to a numeric value"),
        ("SET a = :x", _with(x={"S": "x" * MAX_ITEM_BYTES}), "exceeded the maximum allowed size"),
        ("SET #status = :x", _with("status", x={"NULL": True}), "Type mismatch for Index Key status"),
    ],
)
def test_what_dynamodb_refuses(service: DynamoDB, expression: str, arguments: Json, problem: str) -> None:
    put(service)
    error = refused(lambda: update(service, expression, **arguments))
    assert error.response["Error"]["Code"] == "ValidationException"
    assert problem in message(error)
    assert item(service) == {}


def test_redundant_parentheses_are_refused(service: DynamoDB) -> None:
    condition = "((attribute_not_exists(a)))"
    error = refused(lambda: update(service, "REMOVE a", ConditionExpression=condition))
    assert "redundant parentheses" in message(error)
    update(service, "REMOVE a", ConditionExpression="((attribute_not_exists(a)) AND (attribute_not_exists(b)))")


def test_an_operand_of_a_wrong_type_is_refused_whatever_the_item_is(service: DynamoDB) -> None:
    arguments = {"ConditionExpression": "a < :x", **_with(x={"BOOL": True})}
    assert "operator: <, operand type: BOOLEAN" in message(refused(lambda: update(service, "REMOVE a", **arguments)))


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ({"fileKey": {"S": "k"}}, "does not match the schema"),
        ({**KEY, "fileKey": {"S": ""}}, "empty string value. Key: fileKey"),
        ({**KEY, "fileKey": {"N": "1"}}, "expected: S actual: N"),
        ({**KEY, "fileKey": {"S": "ä" * 1025}}, "2048 bytes"),
        ({**KEY, "sourceBucket": {"S": "a" * 1025}}, "1024 bytes"),
    ],
)
def test_wrong_keys(service: DynamoDB, key: Json, problem: str) -> None:
    assert problem in message(refused(lambda: service.call("DeleteItem", {"TableName": TABLE, "Key": key})))


def test_queries_in_order_page_by_page(service: DynamoDB) -> None:
    for number in (3, 1, 2):
        put(service, fileKey={"S": f"k{number}"}, status={"S": "FAILED"}, startTime={"S": str(number)})
    put(service, fileKey={"S": "other"}, status={"S": "COMPLETED"}, startTime={"S": "0"})
    arguments = {
        "TableName": TABLE,
        "IndexName": "by-status",
        "KeyConditionExpression": "#status = :failed AND startTime > :first",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":failed": {"S": "FAILED"}, ":first": {"S": "1"}},
        "ScanIndexForward": False,
        "Limit": 1,
    }
    first = service.call("Query", arguments)
    second = service.call("Query", {**arguments, "ExclusiveStartKey": first["LastEvaluatedKey"]})
    assert [found["startTime"]["S"] for answer in (first, second) for found in answer["Items"]] == ["3", "2"]
    scanned = service.call("Scan", {"TableName": TABLE, "Select": "COUNT"})
    assert scanned == {"Count": 4, "ScannedCount": 4}


def test_a_projection_returns_the_parts_that_exist(service: DynamoDB) -> None:
    put(service, a={"S": "a"}, m={"M": {"x": {"S": "x"}, "y": {"S": "y"}}}, l={"L": [{"S": "0"}, {"S": "1"}]})
    arguments = {"TableName": TABLE, "Key": KEY, "ProjectionExpression": "m.x, l[1], absent, m.absent"}
    assert service.call("GetItem", arguments) == {"Item": {"m": {"M": {"x": {"S": "x"}}}, "l": {"L": [{"S": "1"}]}}}


def test_a_transaction_writes_all_or_nothing(service: DynamoDB) -> None:
    put(service, a={"S": "old"})
    other = {**KEY, "fileKey": {"S": "other"}}
    writes = [
        {"Put": {"TableName": TABLE, "Item": {**other, "a": {"S": "new"}}}},
        {
            "Update": {
                "TableName": TABLE,
                "Key": KEY,
                "UpdateExpression": "SET a = :a",
                "ConditionExpression": "attribute_not_exists(a)",
                **_with(a={"S": "new"}),
            }
        },
    ]
    error: Any = refused(lambda: service.call("TransactWriteItems", {"TransactItems": writes}))
    assert error.response["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in error.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert item(service, other) == {}
    service.call("TransactWriteItems", {"TransactItems": writes[:1]})
    assert item(service, other) == {"a": {"S": "new"}}


def test_a_batch_does_not_write_an_item_twice(service: DynamoDB) -> None:
    request = {"PutRequest": {"Item": KEY}}
    error = refused(lambda: service.call("BatchWriteItem", {"RequestItems": {TABLE: [request, request]}}))
    assert "contains duplicates" in message(error)
    service.call("BatchWriteItem", {"RequestItems": {TABLE: [request]}})
    assert len(service.tables[TABLE].items) == 1


def test_items_whose_time_is_over(service: DynamoDB) -> None:
    service.tables[TABLE].time_to_live = "expiresAt"
    put(service, expiresAt={"N": "100"})
    put(service, fileKey={"S": "kept"})
    assert service.expired(100) == []
    ((table, key),) = service.expired(101)
    service.delete_expired(table, key)
    assert list(service.tables[TABLE].items) == [("kept", "b")]


def test_what_is_not_modelled_is_not_ignored(service: DynamoDB) -> None:
    with pytest.raises(NotImplementedError, match="ADD"):
        update(service, "ADD m.a :x", **_with(x={"N": "1"}))
    with pytest.raises(NotImplementedError, match="ReturnConsumedCapacity"):
        service.call("GetItem", {"TableName": TABLE, "Key": KEY, "ReturnConsumedCapacity": "TOTAL"})
    with pytest.raises(NotImplementedError, match="CreateTable"):
        service.call("CreateTable", {})
