"""The emulated Google Cloud answers Google's own clients, and refuses what Google refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest
from google.api_core import exceptions as untyped
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as vertex
from google.cloud.storage import Client  # type: ignore[import-untyped]

from tests.lab.gcp.emulator import PROJECT, REGION, Emulator, running

exceptions: Any = untyped
PARENT = f"projects/{PROJECT}/locations/{REGION}"
NAME = f"{PARENT}/endpoints/123456789"
MACHINE = {"machine_spec": {"machine_type": "e2-standard-2"}, "min_replica_count": 1, "max_replica_count": 1}


@pytest.fixture(scope="module")
def google() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture
def empty(google: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    for name, value in google.environment.items():
        monkeypatch.setenv(name, value)
    google.empty()
    google.slow(0.05)
    yield google
    google.empty()


def client(google: Emulator, kind: str) -> Any:
    options = ClientOptions(api_endpoint=google.url)
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return getattr(vertex, kind)(credentials=anonymous, transport="rest", client_options=options)


@pytest.fixture
def endpoints(empty: Emulator) -> Any:
    made = client(empty, "EndpointServiceClient")
    made.create_endpoint(parent=PARENT, endpoint={"display_name": "e"}, endpoint_id="123456789").result()
    return made


def test_a_bucket_keeps_what_both_clients_write(empty: Emulator) -> None:
    bucket = Client(project=PROJECT, client_options={"api_endpoint": empty.url}).bucket("lab-artifacts")
    bucket.blob("a/b c.json").upload_from_string("one", content_type="application/json", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a/b c.json").upload_from_string("two", if_generation_match=0)
    files = fsspec.filesystem("gs", skip_instance_cache=True)
    files.pipe_file("lab-artifacts/a/d/e", b"x" * 100)
    assert files.cat_file("lab-artifacts/a/b c.json") == b"one"
    assert sorted(files.find("lab-artifacts/a")) == ["lab-artifacts/a/b c.json", "lab-artifacts/a/d/e"]
    assert [item["type"] for item in files.ls("lab-artifacts/a", detail=True)] == ["file", "directory"]
    assert bucket.blob("a/d/e").download_as_bytes(start=1, end=3) == b"xxx"
    files.rm("lab-artifacts/a", recursive=True)
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a/d/e").download_as_bytes()


def test_what_no_message_has_and_what_is_missing_is_refused(empty: Emulator) -> None:
    answer = empty.client.post(f"/v1/{PARENT}/endpoints", json={"displayName": "e", "colour": "red"})
    assert (answer.status_code, "colour" in answer.text) == (400, True)
    answer = empty.client.post(f"/v1/{PARENT}/endpoints", json={"description": "e"})
    assert (answer.status_code, "endpoint.display_name" in answer.text) == (400, True)
    answer = empty.client.post(f"/v1/{PARENT}/endpoints?endpointId=0123", json={"displayName": "e"})
    assert (answer.status_code, "endpoint_id" in answer.text) == (400, True)


def test_a_name_says_the_projects_number(endpoints: Any) -> None:
    assert endpoints.get_endpoint(name=NAME).name.startswith("projects/123456789012/")


def test_a_split_names_what_is_deployed(endpoints: Any) -> None:
    wanted = vertex.Endpoint(name=NAME, display_name="e", traffic_split={"1": 100})
    with pytest.raises(exceptions.BadRequest, match="names what is not deployed"):
        endpoints.update_endpoint(endpoint=wanted, update_mask={"paths": ["traffic_split"]})
    stale = vertex.Endpoint(name=NAME, display_name="f", etag="stale")
    with pytest.raises(exceptions.Conflict, match="etag"):
        endpoints.update_endpoint(endpoint=stale, update_mask={"paths": ["display_name"]})


def test_a_deployment_that_cannot_be_is_refused(empty: Emulator, endpoints: Any) -> None:
    models = client(empty, "ModelServiceClient")
    model = {"display_name": "m", "container_spec": {"image_uri": "i"}, "artifact_uri": "gs://lab-artifacts/none"}
    models.upload_model(request={"parent": PARENT, "model_id": "m", "model": model}).result()
    wanted = {"id": "7", "model": f"{PARENT}/models/m", "dedicated_resources": MACHINE}
    with pytest.raises(exceptions.NotFound):
        endpoints.deploy_model(endpoint=NAME, deployed_model={**wanted, "model": f"{PARENT}/models/other"})
    empty.fault("quota")
    with pytest.raises(exceptions.TooManyRequests, match="custom_model_serving_e2_cpus"):
        endpoints.deploy_model(endpoint=NAME, deployed_model=wanted)
    empty.fault("no-capacity")
    with pytest.raises(exceptions.GoogleAPICallError, match="temporarily unavailable"):
        endpoints.deploy_model(endpoint=NAME, deployed_model=wanted).result()
    # the container has no model: its server ends
    with pytest.raises(exceptions.GoogleAPICallError, match="exited unexpectedly"):
        endpoints.deploy_model(endpoint=NAME, deployed_model=wanted).result()
    assert not endpoints.get_endpoint(name=NAME).deployed_models


def test_requests_are_throttled_and_connections_lost(empty: Emulator, endpoints: Any) -> None:
    empty.fault("throttle", operation="GetEndpoint")
    with pytest.raises(exceptions.TooManyRequests):
        endpoints.get_endpoint(name=NAME)
    for fault, there in (("lost-before", "e"), ("lost-after", "g")):
        empty.fault(fault)
        wanted = vertex.Endpoint(name=NAME, display_name="g")
        with pytest.raises(Exception, match=r"Connection aborted|RemoteDisconnected"):
            endpoints.update_endpoint(endpoint=wanted, update_mask={"paths": ["display_name"]})
        assert endpoints.get_endpoint(name=NAME).display_name == there
