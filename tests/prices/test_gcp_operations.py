"""What watches and starts things on Google Cloud: what the book prices, and what it names as unpriced."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mlinfra.prices.estimate import Estimate
from mlinfra.resources import Resource

Make = Callable[..., Resource]
Price = Callable[..., Estimate]
JOB = "gcp:cloudscheduler/job:Job"
MACHINE = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"}
CUSTOM_JOB = {"jobSpec": {"workerPoolSpecs": [MACHINE], "scheduling": {"timeout": "1800s"}}}


def job(body: Any = CUSTOM_JOB, schedule: str = "0 */6 * * *", call: str = "customJobs") -> dict[str, Any]:
    text = body if isinstance(body, str) else base64.b64encode(json.dumps(body).encode()).decode()
    target = {"uri": f"https://us-central1-aiplatform.googleapis.com/v1/projects/p/{call}", "body": text}
    return {"region": "us-central1", "schedule": schedule, "httpTarget": target}


def test_a_schedule_costs_the_machines_that_it_starts(make: Make, price: Price) -> None:
    [item] = price(make(JOB, job())).items
    assert (item.dollars.low, item.dollars.high) == (Decimal(0), Decimal("13.29"))  # 0.21849885 x 730 / 6 / 2
    [stated] = price(make(JOB, job()), usage={"main": {"run_hours": 1}}).items
    assert stated.dollars.likely == Decimal("26.58")
    [hourly] = price(make(JOB, job(schedule="0 * * * *")), usage={"main": {"run_hours": 1}}).items
    assert hourly.dollars.likely == Decimal("159.50")


def test_what_is_sent_elsewhere_starts_no_machine(make: Make, price: Price) -> None:
    found = price(make(JOB, job(call="endpoints")))
    assert [item.item for item in found.unpriced] == ["schedule"]
    assert not found.items


@pytest.mark.parametrize("body", ["no base64", "e30", base64.b64encode(b"[").decode()])
def test_a_body_that_cannot_be_read_is_unpriced(body: str, make: Make, price: Price) -> None:
    found = price(make(JOB, job(body)))
    assert "cannot be read (httpTarget.body)" in " ".join(item.reason for item in found.unpriced)


def test_lines_that_are_written_cost_and_keeping_them_is_named(make: Make, price: Price) -> None:
    token = "gcp:logging/projectBucketConfig:ProjectBucketConfig"
    found = price(make(token, {"location": "us-central1", "retentionDays": 365}), usage={"main": {"log_gb": 10}})
    assert [item.dollars.likely for item in found.items] == [Decimal("5.00")]
    assert [item.item for item in found.unpriced] == ["retention"]
    assert not price(make(token, {"location": "us-central1", "retentionDays": 30})).unpriced


def test_alarms_topics_and_public_addresses_have_no_price_here(make: Make, price: Price) -> None:
    for token in ("gcp:monitoring/alertPolicy:AlertPolicy", "gcp:pubsub/topic:Topic", "gcp:compute/address:Address"):
        assert price(make(token, {"region": "us-central1"})).unpriced
    assert not price(make("gcp:compute/address:Address", {"addressType": "INTERNAL"})).unpriced
