"""SageMaker's notebooks, apps, spaces, tracking servers and feature groups."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import HOURS, Answer, Free, Gap, NotKnown, Use, amount, exactly, known, priced
from mlinfra.resources import Resource

MILLION = Decimal(1_000_000)
_NOTEBOOK_GB = 5
"""The size of a notebook's volume where none is said (API CreateNotebookInstance)."""
_SPACE_APPS = ("jupyterLabAppSettings", "codeEditorAppSettings")
_STUDIO = "studio-jupyterlab"


def _key(component: str, item: str, unit: str = "hour") -> Key:
    return Key("aws", "SageMaker", component, item, unit)


@priced("aws:sagemaker/notebookInstance:NotebookInstance")
def notebook(resource: Resource, context: Context) -> Iterator[Answer]:
    """The instance as long as it is on, and its volume."""
    instance = known(at(resource.inputs, "instanceType"))
    if instance is None:
        raise NotKnown("instanceType is absent")
    hours, assumed = _hours(resource, context)
    yield Use(_key("notebook-instance", str(instance)), exactly(hours), assumed=assumed)
    volume = amount(at(resource.inputs, "volumeSize"), _NOTEBOOK_GB)
    yield Use(_key("notebook-instance", "ML storage", "GB-month"), exactly(volume))


@priced("aws:sagemaker/app:App")
def app(resource: Resource, context: Context) -> Iterator[Answer]:
    """The instance as long as the app runs."""
    kind = str(known(at(resource.inputs, "appType"), ""))
    if kind == "JupyterServer":
        yield Free("the app that serves Studio's own pages is free", "https://aws.amazon.com/sagemaker/ai/pricing/")
        return
    instance = known(at(resource.inputs, "resourceSpec.instanceType"), "ml.t3.medium")
    if instance == "system":
        yield Free("a system instance is free", "https://aws.amazon.com/sagemaker/ai/pricing/")
        return
    hours, assumed = _hours(resource, context)
    as_lab = "" if kind == "JupyterLab" else f"a {kind} app costs what one of JupyterLab does"
    notes = "; ".join(filter(None, (assumed, as_lab)))
    yield Use(_key(_STUDIO, str(instance)), exactly(hours), assumed=notes)


@priced("aws:sagemaker/space:Space")
def space(resource: Resource, context: Context) -> Iterator[Answer]:
    """The volume, and the app as long as it is stated to run: a space runs only while somebody has started it."""
    volume = amount(at(resource.inputs, "spaceSettings.spaceStorageSettings.ebsStorageSettings.ebsVolumeSizeInGb"), 5)
    yield Use(_key("notebook-instance", "ML storage", "GB-month"), exactly(volume), "volume")
    hours, assumed = context.load(resource, "hours")
    for settings in _SPACE_APPS:
        instance = at(resource.inputs, f"spaceSettings.{settings}.defaultResourceSpec.instanceType")
        if not instance.absent:
            yield Use(_key(_STUDIO, str(known(instance))), hours, "app", idle=False, assumed=assumed)


@priced("aws:sagemaker/domain:Domain")
def domain(resource: Resource, context: Context) -> Iterator[Answer]:
    """What people keep in their homes."""
    stored, assumed = context.load(resource, "storage_gb")
    yield Use(Key("aws", "EFS", "standard", "storage", "GB-month"), stored, "homes", assumed=assumed)


@priced("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer")
def tracking_server(resource: Resource, context: Context) -> Iterator[Answer]:
    """The server, which is always on, by its size."""
    size = str(known(at(resource.inputs, "trackingServerSize"), "Small"))
    yield Use(_key("mlflow", f"tracking server {size}"), exactly(HOURS))


@priced("aws:sagemaker/mlflowApp:MlflowApp")
def tracking_app(resource: Resource, context: Context) -> Iterator[Answer]:
    """What nobody has a price of yet."""
    yield Gap("MLflow app", "its price is not known here")


@priced("aws:sagemaker/labelingJob:LabelingJob")
def labeling_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """The objects that people label: their number is known when it is done."""
    yield Gap("labeled objects", "their number and what one costs are not known here", one_off=True)


@priced("aws:sagemaker/featureGroup:FeatureGroup")
def feature_group(resource: Resource, context: Context) -> Iterator[Answer]:
    """The online store: reads and writes, or the capacity that is reserved for them, and what is kept.

    The offline store is billed by its bucket.
    """
    if not every(resource.inputs, "onlineStoreConfig")[0].value:
        yield Free("there is no online store; the offline one is billed by its bucket")
        return
    if known(at(resource.inputs, "onlineStoreConfig.enableOnlineStore")) is False:
        yield Free("the online store is off; the offline one is billed by its bucket")
        return
    tier = "in-memory" if known(at(resource.inputs, "onlineStoreConfig.storageType")) == "InMemory" else "standard"
    provisioned = str(known(at(resource.inputs, "throughputConfig.throughputMode"), "OnDemand")) == "Provisioned"
    for field, item in (("reads", "read"), ("writes", "write")):
        if provisioned:
            capacity = amount(at(resource.inputs, f"throughputConfig.provisioned{item.title()}CapacityUnits"), 0)
            key = _key("feature-store", f"{item} capacity unit", "hour")
            yield Use(key, exactly(capacity * HOURS))
        else:
            load, assumed = context.load(resource, field)
            key = _key("feature-store", f"{tier} {item}s", "million requests")
            yield Use(key, load.times(1 / MILLION), idle=False, assumed=assumed)
    stored, assumed = context.load(resource, "storage_gb")
    yield Use(_key("feature-store", f"{tier} storage", "GB-month"), stored, assumed=assumed)


def _hours(resource: Resource, context: Context) -> tuple[Decimal, str]:
    """Return the hours that something is on: those that are stated, else all."""
    stated = context.stated(resource, "hours")
    if stated is not None:
        return stated, ""
    return HOURS, f"always on; state {context.where_stated(resource, 'hours')}"
