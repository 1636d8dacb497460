"""Several clients ask the emulated SageMaker at once, as the scenarios do: none sees half of a change."""

from __future__ import annotations

import threading
import time

from tests.lab.aws.server.endpoints import ENDPOINT
from tests.lab.aws.server.faults import Faults
from tests.lab.aws.server.sagemaker import SageMaker
from tests.lab.aws.server.store import Clock

ROLE = "arn:aws:iam::123456789012:role/serving"
CLIENTS = 4


def test_two_who_find_a_change_ended_see_the_same() -> None:
    made = SageMaker("eu-west-1", Clock(0.0), Faults())
    made.call("CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "x"}})
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    for name in ("first", "second"):
        made.call("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": [variant]})
    made.call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "first"})
    made.call("DescribeEndpoint", {"EndpointName": "e"})
    made.call("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "second"})
    thing = made.store.things[(ENDPOINT.noun, "e")]

    def ready() -> bool:
        time.sleep(0.05)
        return True

    thing.ready = ready
    told: list[tuple[str | None, str]] = []
    begin = threading.Barrier(CLIENTS)

    def ask() -> None:
        begin.wait()
        answer = made.call("DescribeEndpoint", {"EndpointName": "e"})
        told.append((answer.get("EndpointStatus"), answer["EndpointConfigName"]))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert told == [("InService", "second")] * CLIENTS
