"""tests/bench: what it counts and adds up, without anything being measured."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from filecopy.embedded.configuration import PROJECT_ROOT
from tests.bench import billing, idle
from tests.bench.figures import percentile
from tests.bench.prices import MILLION, PRICES, Way, cost, other_ways
from tests.bench.throughput import Took, wait_for_each

from .executions import AWS_EVENTS, MiniStack


@pytest.mark.parametrize(("percent", "expected"), [(50, 10), (95, 19), (96, 20), (100, 20), (1, 1)], ids=str)
def test_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    """Of 1 to 20 in any order: the 95th percentile is exceeded by one of twenty, not by none."""
    assert percentile([20, *range(1, 20)], percent) == expected


def test_percentile_of_one_value() -> None:
    """A run of one file has figures, too."""
    assert percentile([3.5], 50) == percentile([3.5], 95) == 3.5


def run_of(destinations: int, *errors: str) -> MiniStack:
    """A run whose copies succeed, the first of them after ``errors``."""
    run = MiniStack()
    run.enter("Pass", "ValidateInput")
    run.leave("Pass", "ValidateInput", {})
    run.task("AcquireLease", "dynamodb:updateItem")
    run.enter("Map", "CopyToMultipleBuckets")
    for index in range(destinations):
        run.call("aws-sdk:s3:copyObject", *(errors if index == 0 else ()))
    run.leave("Map", "CopyToMultipleBuckets", [])
    run.task("UpdateDynamoDBFinal", "dynamodb:updateItem")
    return run


@pytest.mark.parametrize("destinations", [1, 2, 100])
def test_transitions_are_the_states_and_one_for_each_copy(destinations: int) -> None:
    """Where the engine records no states inside the Map, a copy's call stands for the state."""
    assert billing.transitions(run_of(destinations).events) == 4 + destinations


def test_retries_are_transitions() -> None:
    """A copy that takes three attempts is billed three times, and a Task's retry as well."""
    assert billing.transitions(run_of(2, "S3.SlowDown", "S3.SlowDown").events) == 4 + 2 + 2
    run = run_of(2)
    run.task("SendFailureNotification", "sns:publish", "SNS.InternalError")
    assert billing.transitions(run.events) == 4 + 2 + 2


def test_transitions_where_every_state_is_recorded() -> None:
    """As AWS records it: 12 states outside the Map, four copies of which two end in CopyFailed, and as retries one of
    a busy table, two of the second copy and three of the third."""
    assert billing.transitions(AWS_EVENTS) == 12 + 4 + 2 + 1 + 2 + 3


def test_calls_are_counted_by_action_on_either_engine() -> None:
    """AWS names the action, MiniStack the whole integration."""
    assert billing.calls(run_of(3, "S3.SlowDown").events) == {"updateItem": 2, "copyObject": 4}
    assert billing.calls(AWS_EVENTS) == {"updateItem": 5, "headObject": 1, "copyObject": 9, "publish": 1}


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"key": {"S": "é"}}, 3 + 2),
        ({"n": {"N": "1700000000"}}, 1 + 2),
        ({"n": {"N": "-12.345"}}, 1 + 4),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"x": {"NULL": True}}, 1 + 1),
        ({"l": {"L": [{"S": "abc"}, {"S": "d"}]}}, 1 + 3 + (1 + 3) + (1 + 1)),
        ({"m": {"M": {"a": {"S": "bc"}}}}, 1 + 3 + 1 + (1 + 2)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_size_of_an_item(item: dict[str, Any], size: int) -> None:
    """As the DynamoDB developer guide counts it."""
    assert billing.item_size(item) == size


def items_of(destinations: int, record: int, each: int) -> list[dict[str, Any]]:
    """A record of ``record`` bytes, and as many arrivals of ``each`` bytes."""

    def item(size: int) -> dict[str, Any]:
        return {"fileKey": {"S": "k" * (size - len("fileKey"))}}

    return [item(record), *(item(each) for _ in range(destinations))]


def test_usage_of_a_file() -> None:
    """Two copies: two arrivals, so four messages, and what the logs tell of the functions, for each of the files."""
    report = "REPORT RequestId: 1\tDuration: 9 ms\tBilled Duration: 500 ms\tMemory Size: 256 MB\tMax Memory Used: 0 MB"
    usage = billing.usage_of_file(run_of(2).events, items_of(2, 100, 200), ["START", *[report] * 4], files=2)
    assert usage["transitions"] == 6
    assert usage["s3_writes"] == 2
    assert usage["sqs_requests"] == 3 * (1 + 2 + 1)
    assert usage["lambda_requests"] == 2
    assert usage["lambda_gb_seconds"] == pytest.approx(2 * 0.5 * 0.25)
    assert usage["traces"] == pytest.approx(3), "at most: the execution, and each run"
    lines = 2 + 2 * (4 + 2) + 2 + 2 * 2 + 3 * 4
    functions = (5 + 4 * len(report) + 5 * 26) / 2
    assert usage["log_gb"] * 1e9 == pytest.approx(functions + lines * 426)
    assert usage.keys() <= PRICES.keys()


def test_each_arrival_writes_an_item_of_its_own() -> None:
    """Ten arrivals write ten small items, however large the record is; each reads the whole record."""
    items = items_of(10, 5 * 1024, 300)
    usage = billing.usage_of_file(run_of(10).events, items, [], files=1)
    assert billing.table_writes({"updateItem": 2}, items) == 1 + 5 + 10
    assert usage["dynamodb_writes"] == 1 + 5 + 10 + 3, "and three of the index"
    assert usage["dynamodb_reads"] == 10 * 2


def test_what_is_kept_of_a_file() -> None:
    """Its items and their overhead, the index's entry, and its logs."""
    kept = billing.kept_of_file(items_of(2, 1000, 300), log_gb=2e-6)
    assert kept["dynamodb_recovery_gb_months"] * 1e9 == pytest.approx(1000 + 2 * 300 + 3 * 100)
    assert kept["dynamodb_gb_months"] * 1e9 == pytest.approx(1900 + 1000 + 100)
    assert kept["log_gb_months"] == 2e-6
    assert kept.keys() <= PRICES.keys()


def test_an_idle_stack_costs_less_than_seven_dollars_a_month() -> None:
    """docs/performance.md has each row. They are counted from the program: an alarm more is a row that is out of
    date."""
    assert sum(row.dollars for row in idle.rows()) < 7
    page = (PROJECT_ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "\n".join(idle.table()) in page, "Write it again with 'python -m tests.bench.idle'."


def test_costs_add_up() -> None:
    """A million executions of 12 transitions are 300 dollars, and the copies are paid besides."""
    assert cost({"transitions": 12 * MILLION}) == pytest.approx(300)
    assert cost({"transitions": 12 * MILLION, "s3_writes": 2 * MILLION}) == pytest.approx(310)


def test_every_price_has_a_source_and_a_date() -> None:
    """A price without them could not be checked."""
    for name, price in PRICES.items():
        assert price.dollars > 0, name
        assert price.per > 0, name
        assert price.source, name
        assert price.read.startswith("20"), name


def test_other_ways_take_each_destination() -> None:
    """Twice the destinations cost twice as much, files and bytes alike."""
    for one, two in zip(other_ways(1), other_ways(2), strict=True):
        assert two.dollars == pytest.approx(2 * one.dollars)
        assert two.dollars_per_gb == pytest.approx(2 * one.dollars_per_gb)


def test_where_two_ways_cost_the_same() -> None:
    """A million files of 10 MB are 10,000 GB: 300 dollars for them are as much as 3 cents a GB."""
    workflow, other = Way("workflow", 310, 0.0), Way("other", 10, 0.03)
    assert workflow.dearer_below(other) == pytest.approx(10)
    assert workflow.dearer_below(Way("batch", 12, 0.0)) is None
    assert workflow.dearer_below(Way("dear", 400, 0.03)) is None


def test_files_that_never_come_are_lost_and_the_others_are_not() -> None:
    """One that does not come to its end keeps the others from being seen for a while, and no longer."""
    keys = ["a", "lost", "b", "lost too", "c"]
    assert wait_for_each(keys, lambda key: "lost" not in key, patience=0.05) == ["a", "b", "c"]


def test_a_slow_file_is_not_lost_while_others_come() -> None:
    """What is slower than one file's patience, but sees others come to their end, is waited for."""
    looked: Counter[str] = Counter()

    def is_done(key: str) -> bool:
        looked[key] += 1
        # "slow" is done when "late" has been, which is only seen when all that are left are looked at.
        return looked["late"] > 0 if key == "slow" else True

    assert wait_for_each(["slow", "late"], is_done, patience=0.05) == ["late", "slow"]


def test_floors_of_many_files_are_told_by_those_of_fewer() -> None:
    """Ten times the files take ten times as long; what is not known stays so."""
    assert Took(2.0, 1.5).times(10) == Took(20.0, 15.0)
    assert Took(2.0, None).times(10) == Took(20.0, None)
