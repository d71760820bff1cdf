"""DynamoDB in memory: tables, items, and the operations on them. Reads are strongly consistent, also those of indexes.

API reference and developer guide of Amazon DynamoDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from . import expressions, paths
from .paths import Item
from .service import Answer, Arguments, RefusedError, Service, operation
from .values import Value, checked, invalid, is_equal, item_size, kind, sort_key

# Developer guide, "Quotas": an item, a partition key, a sort key, a page, a batch, a transaction.
MAX_ITEM_BYTES = 400 * 1024
MAX_KEY_BYTES = (2048, 1024)
MAX_PAGE_BYTES = 1024**2
MAX_BATCH = 25
MAX_TRANSACTION = 100

_EXPRESSIONS = "ExpressionAttributeNames ExpressionAttributeValues"
_CONDITION = f"ConditionExpression ReturnValuesOnConditionCheckFailure {_EXPRESSIONS}"
_QUERY = f"TableName IndexName FilterExpression ProjectionExpression Limit Select ExclusiveStartKey {_EXPRESSIONS}"

Key = tuple[str, ...]


class Schema(NamedTuple):
    """The attributes that are the key of a table or an index. Each is a text."""

    partition: str
    sort: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        return (self.partition,) if self.sort is None else (self.partition, self.sort)


@dataclass
class Table:
    """A table with its items."""

    key: Schema
    indexes: dict[str, Schema] = field(default_factory=dict)
    time_to_live: str | None = None
    """The attribute with the seconds since 1970 after which an item may be deleted."""
    items: dict[Key, Item] = field(default_factory=dict)

    def key_of(self, given: Any) -> Key:
        """
        Raises:
            RefusedError: it is not a key of the table.
        """
        if given.keys() != set(self.key.attributes):
            raise invalid("The provided key element does not match the schema")
        return self._key(given)

    def key_of_item(self, item: Item) -> Key:
        for name in self.key.attributes:
            if name not in item:
                raise invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
        return self._key(item)

    def _key(self, item: Mapping[str, Value]) -> Key:
        found = []
        for name, limit, what in zip(self.key.attributes, MAX_KEY_BYTES, ("hashkey", "rangekey"), strict=False):
            value = item[name].get("S")
            if value is None:
                raise invalid(
                    f"One or more parameter values were invalid: Type mismatch for key {name} expected: S actual: "
                    f"{kind(item[name])}"
                )
            if not value:
                raise invalid(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    f"an empty string value. Key: {name}"
                )
            if len(value) * 4 > limit and len(value.encode()) > limit:
                raise invalid(
                    "One or more parameter values were invalid: "
                    + (
                        f"Size of {what} has exceeded the maximum size limit of {limit} bytes"
                        if what == "hashkey"
                        else f"Aggregated size of all range keys has exceeded the size limit of {limit} bytes"
                    )
                )
            found.append(value)
        return tuple(found)

    def check(self, item: Item, what: str) -> None:
        """
        Raises:
            RefusedError: the item is too large, or cannot be in an index.
        """
        for index, schema in self.indexes.items():
            for name in schema.attributes:
                if name in item and not item[name].get("S"):
                    raise invalid(
                        "One or more parameter values were invalid: Type mismatch for Index Key "
                        f"{name} Expected: S Actual: {kind(item[name])} IndexName: {index}"
                        if "S" not in item[name]
                        else "One or more parameter values are not valid. A value specified for a secondary index key "
                        "is not supported. The AttributeValue for a key attribute cannot contain an empty string "
                        f"value. IndexName: {index}, IndexKey: {name}"
                    )
        # No character has more than four bytes.
        if 4 * len(repr(item)) > MAX_ITEM_BYTES and item_size(item) > MAX_ITEM_BYTES:
            raise invalid(f"Item size {what}has exceeded the maximum allowed size")


Change = tuple[Table, Key, Item | None]
"""An item that a write puts in place, or ``None``, which deletes it."""


class _Write(NamedTuple):
    """A write that has passed its condition."""

    change: Change
    before: Item | None
    returned: Item
    """By ReturnValues."""


class DynamoDB(Service):
    """The tables of one account and region."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    # --- What people and AWS itself do

    def expired(self, now: float) -> list[tuple[str, Key]]:
        """The items whose time to live is over. AWS deletes them within a few days; until then, reads find them."""
        return [
            (name, key)
            for name, table in self.tables.items()
            for key, item in table.items.items()
            if table.time_to_live and float(item.get(table.time_to_live, {}).get("N", "inf")) < now
        ]

    def delete_expired(self, table: str, key: Key) -> None:
        self.tables[table].items.pop(key, None)

    # --- One item

    @operation("GetItem", "TableName Key ConsistentRead ProjectionExpression ExpressionAttributeNames")
    def get_item(self, arguments: Arguments) -> Answer:
        table = self._table(arguments)
        item = table.items.get(table.key_of(arguments["Key"]))
        projected = _projection(arguments)
        return {} if item is None else {"Item": _shown(item, projected)}

    @operation("PutItem", f"TableName Item ReturnValues {_CONDITION}")
    def put_item(self, arguments: Arguments) -> Answer:
        return self._single(self._put(arguments))

    @operation("DeleteItem", f"TableName Key ReturnValues {_CONDITION}")
    def delete_item(self, arguments: Arguments) -> Answer:
        return self._single(self._delete(arguments))

    @operation("UpdateItem", f"TableName Key UpdateExpression ReturnValues {_CONDITION}")
    def update_item(self, arguments: Arguments) -> Answer:
        return self._single(self._update(arguments))

    def _single(self, write: _Write) -> Answer:
        _apply(write.change)
        return {"Attributes": write.returned} if write.returned else {}

    def _put(self, arguments: Arguments) -> _Write:
        table = self._table(arguments)
        item = {name: checked(value) for name, value in arguments["Item"].items()}
        key = table.key_of_item(item)
        before = table.items.get(key)
        _check_condition(arguments, before)
        table.check(item, "")
        return _Write((table, key, item), before, _old(arguments, before))

    def _delete(self, arguments: Arguments) -> _Write:
        table = self._table(arguments)
        key = table.key_of(arguments["Key"])
        before = table.items.get(key)
        _check_condition(arguments, before)
        return _Write((table, key, None), before, _old(arguments, before))

    def _update(self, arguments: Arguments) -> _Write:
        table = self._table(arguments)
        given = arguments["Key"]
        key = table.key_of(given)
        text = arguments.get("UpdateExpression")
        update = expressions.update(text, _names(arguments)) if text is not None else None
        before = table.items.get(key)
        values = _check_condition(arguments, before, update)
        item = before if before is not None else {name: checked(value) for name, value in given.items()}
        if update is None:
            return _Write((table, key, item), before, _old(arguments, before, "ALL_NEW"))
        for path in update.paths:
            if path[0] in table.key.attributes:
                raise invalid(
                    f"One or more parameter values were invalid: Cannot update attribute {path[0]}. "
                    "This attribute is part of the key"
                )
        after = update.apply(item, values)
        table.check(after, "to update ")
        returned: Item = {}
        match arguments.get("ReturnValues", "NONE"):
            case "ALL_OLD":
                returned = before or {}
            case "ALL_NEW":
                returned = after
            case "UPDATED_OLD":
                returned = paths.project(before or {}, update.paths)
            case "UPDATED_NEW":
                returned = paths.project(after, update.paths)
        return _Write((table, key, after), before, returned)

    # --- Several items

    @operation("BatchWriteItem", "RequestItems")
    def batch_write_item(self, arguments: Arguments) -> Answer:
        changes: dict[tuple[str, Key], Change] = {}
        for name, requests in arguments["RequestItems"].items():
            for request in requests:
                ((action, body),) = request.items()
                make = {"PutRequest": self._put, "DeleteRequest": self._delete}[action]
                change = make({"TableName": name, **body}).change
                if (name, change[1]) in changes:
                    raise invalid("Provided list of item keys contains duplicates")
                changes[name, change[1]] = change
        if not 1 <= len(changes) <= MAX_BATCH:
            raise invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
                f"Map value must satisfy constraint: [Member must have length less than or equal to {MAX_BATCH}, "
                "Member must have length greater than or equal to 1]"
            )
        _apply(*changes.values())
        return {"UnprocessedItems": {}}

    @operation("BatchGetItem", "RequestItems")
    def batch_get_item(self, arguments: Arguments) -> Answer:
        found = {
            name: [
                answer["Item"]
                for key in request["Keys"]
                if (answer := self.get_item({"TableName": name, **request, "Key": key}))
            ]
            for name, request in arguments["RequestItems"].items()
        }
        return {"Responses": found, "UnprocessedKeys": {}}

    @operation("TransactWriteItems", "TransactItems")
    def transact_write_items(self, arguments: Arguments) -> Answer:
        """All writes, or none. Without ClientRequestToken, so a repeated call is another transaction."""
        requests = arguments["TransactItems"]
        if not 1 <= len(requests) <= MAX_TRANSACTION:
            raise invalid(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: "
                f"Member must have length less than or equal to {MAX_TRANSACTION}"
            )
        makers: dict[str, Callable[[Arguments], _Write]] = {
            "Put": self._put,
            "Delete": self._delete,
            "Update": self._update,
            "ConditionCheck": self._checked,
        }
        changes: dict[tuple[int, Key], Change] = {}
        reasons: list[dict[str, Any]] = []
        for request in requests:
            ((action, body),) = request.items()
            try:
                change = makers[action](body).change
            except RefusedError as refusal:
                if refusal.code not in _REASONS:
                    raise
                reasons.append(
                    {
                        "Code": _REASONS[refusal.code],
                        "Message": refusal.message,
                        **refusal.members,
                    }
                )
                continue
            place = id(change[0]), change[1]
            if place in changes:
                raise invalid("Transaction request cannot include multiple operations on one item")
            changes[place] = change
            reasons.append({"Code": "None"})
        if len(changes) < len(requests):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise RefusedError(
                "TransactionCanceledException",
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                CancellationReasons=reasons,
            )
        _apply(*changes.values())
        return {}

    def _checked(self, arguments: Arguments) -> _Write:
        """A write that changes nothing, under a condition."""
        table = self._table(arguments)
        key = table.key_of(arguments["Key"])
        before = table.items.get(key)
        _check_condition(arguments, before)
        return _Write((table, key, before), before, {})

    # --- Reads of many items

    @operation("Query", f"KeyConditionExpression ScanIndexForward ConsistentRead {_QUERY}")
    def query(self, arguments: Arguments) -> Answer:
        table = self._table(arguments)
        schema = self._schema(arguments, table)
        condition = expressions.condition(
            arguments["KeyConditionExpression"], _names(arguments), "KeyConditionExpression"
        )
        return self._page(arguments, table, schema, condition)

    @operation("Scan", f"ConsistentRead {_QUERY}")
    def scan(self, arguments: Arguments) -> Answer:
        table = self._table(arguments)
        return self._page(arguments, table, self._schema(arguments, table), None)

    def _page(
        self, arguments: Arguments, table: Table, schema: Schema, key_condition: expressions.ConditionExpression | None
    ) -> Answer:
        filtered = _expression(arguments, "FilterExpression")
        projected = _projection(arguments)
        values = _used(arguments, key_condition, filtered, projected)
        ordered = sorted(
            (
                (tuple(sort_key(item[name]) for name in schema.attributes), key, item)
                for key, item in table.items.items()
                if all(name in item for name in schema.attributes)
                and (key_condition is None or key_condition.holds(item, values))
            ),
            key=lambda entry: entry[:2],
            reverse=not arguments.get("ScanIndexForward", True),
        )
        if start := arguments.get("ExclusiveStartKey"):
            first = {name: start[name] for name in table.key.attributes}
            keys = [entry[1] for entry in ordered]
            ordered = ordered[keys.index(table.key_of(first)) + 1 :]
        read = ordered[: _page_length([item for _, _, item in ordered], arguments.get("Limit"))]
        found = [item for _, _, item in read if filtered is None or filtered.holds(item, values)]
        answer: Answer = {"Count": len(found), "ScannedCount": len(read)}
        if arguments.get("Select") != "COUNT":
            answer["Items"] = [_shown(item, projected) for item in found]
        if len(read) < len(ordered) or (read and len(read) == arguments.get("Limit")):
            last = read[-1][2]
            answer["LastEvaluatedKey"] = {
                name: last[name] for name in dict.fromkeys((*table.key.attributes, *schema.attributes))
            }
        return answer

    def _schema(self, arguments: Arguments, table: Table) -> Schema:
        index = arguments.get("IndexName")
        if index is None:
            return table.key
        if index not in table.indexes:
            raise invalid(f"The table does not have the specified index: {index}")
        if arguments.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        return table.indexes[index]

    def _table(self, arguments: Arguments) -> Table:
        name = arguments["TableName"].rpartition("/")[2]
        if name not in self.tables:
            raise RefusedError("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]


# Why a transaction was cancelled, by the error that the write would be by itself.
_REASONS = {"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}


def _apply(*changes: Change) -> None:
    for table, key, item in changes:
        if item is None:
            table.items.pop(key, None)
        else:
            table.items[key] = item


def _names(arguments: Arguments) -> expressions.Names:
    names = arguments.get("ExpressionAttributeNames")
    if names is None:
        return ()
    if not names:
        raise invalid("ExpressionAttributeNames must not be empty")
    return tuple(names.items())


def _expression(arguments: Arguments, name: str) -> expressions.ConditionExpression | None:
    text = arguments.get(name)
    return None if text is None else expressions.condition(text, _names(arguments), name)


def _projection(arguments: Arguments) -> expressions.ProjectionExpression | None:
    text = arguments.get("ProjectionExpression")
    return None if text is None else expressions.projection(text, _names(arguments))


def _shown(item: Item, projection: expressions.ProjectionExpression | None) -> Item:
    return dict(item) if projection is None else paths.project(item, projection.paths)


def _used(arguments: Arguments, *used: expressions.Expression | None) -> dict[str, Value]:
    """The values of the call's expressions, checked.

    Raises:
        RefusedError: one is missing, or one is given that no expression uses.
    """
    present = tuple(expression for expression in used if expression is not None)
    values = arguments.get("ExpressionAttributeValues")
    if values is not None and not values:
        raise invalid("ExpressionAttributeValues must not be empty")
    given = {name: checked(value) for name, value in (values or {}).items()}
    wanted, unused_names = _needs(present, _names(arguments))
    if missing := wanted - given.keys():
        raise invalid(
            "Invalid expression: An expression attribute value used in expression is not defined; "
            f"attribute value: {min(missing)}"
        )
    _refuse_unused("ExpressionAttributeValues", given.keys() - wanted)
    for expression in present:
        expression.check(given)
    _refuse_unused("ExpressionAttributeNames", unused_names)
    return given


@lru_cache(4_096)
def _needs(used: tuple[expressions.Expression, ...], names: expressions.Names) -> tuple[frozenset[str], frozenset[str]]:
    """The values that expressions use, and the names that they do not use."""
    wanted = frozenset[str]().union(*(expression.values for expression in used))
    return wanted, frozenset(dict(names)).difference(*(expression.names for expression in used))


def _refuse_unused(what: str, unused: Iterable[str]) -> None:
    if unused:
        raise invalid(f"Value provided in {what} unused in expressions: keys: {{{', '.join(sorted(unused))}}}")


def _check_condition(
    arguments: Arguments, before: Item | None, update: expressions.UpdateExpression | None = None
) -> dict[str, Value]:
    """The values of the call's expressions.

    Raises:
        RefusedError: the condition does not hold.
    """
    condition = _expression(arguments, "ConditionExpression")
    values = _used(arguments, condition, update)
    if condition is not None and not condition.holds(before or {}, values):
        members: dict[str, Any] = {}
        if arguments.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and before:
            members = {"Item": dict(before)}
        raise RefusedError("ConditionalCheckFailedException", "The conditional request failed", **members)
    return values


def _old(arguments: Arguments, before: Item | None, *more: str) -> Item:
    """What PutItem and DeleteItem return."""
    wanted = arguments.get("ReturnValues", "NONE")
    if wanted not in ("NONE", "ALL_OLD", *more):
        raise invalid("Return values set to invalid value")
    return before or {} if wanted != "NONE" else {}


def _page_length(items: list[Item], limit: int | None) -> int:
    """How many items fit into a page."""
    total = 0
    for number, item in enumerate(items[:limit]):
        total += item_size(item)
        if total > MAX_PAGE_BYTES:
            return max(number, 1)
    return len(items[:limit])


def same(one: Item, other: Item) -> bool:
    """True if two items are equal. Sets have no order."""
    return is_equal({"M": one}, {"M": other})
