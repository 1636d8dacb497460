"""Services of KServe and Knative, and notebooks: pods that a controller makes of a resource of its own kind."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import Value, at, every
from mlinfra.prices.context import Context
from mlinfra.prices.registry import Answer, Gap, amount, apart, exactly, priced
from mlinfra.prices.types.kubernetes_pods import priced_pods
from mlinfra.resources import Resource

_MODELS = (
    *("model", "sklearn", "xgboost", "lightgbm", "pytorch", "tensorflow", "triton", "onnx", "huggingface"),
    *("pmml", "paddle", "art"),
)
"""Where a component of an InferenceService describes the container that a serving runtime completes."""

_RAW = ("RawDeployment", "Standard")
"""Without Knative, a component has as many replicas as it has at least, where nothing is said of more."""

_SERVERS = ("onlineStore.server", "offlineStore.server", "registry.local.server", "ui")
"""Where a FeatureStore of Feast describes its containers."""


@priced("kubernetes:serving.kserve.io/v1beta1:InferenceService")
def inference_service(resource: Resource, context: Context) -> Iterator[Answer]:
    """The components of a service and of its canaries, each from its minimum on."""
    components = {name: at(resource.inputs, f"spec.{name}") for name in ("predictor", "transformer", "explainer")}
    components |= {
        found.path.removeprefix("spec."): found for found in every(resource.inputs, "spec.canary[].predictor")
    }
    mode = at(resource.inputs, "metadata.annotations['serving.kserve.io/deploymentMode']").value
    for name, component in components.items():
        if name == "predictor" or not component.absent:
            low, high = at(component, "minReplicas"), at(component, "maxReplicas")
            if high.absent and mode in _RAW:
                high = Value(high.path, 1) if low.absent else low
            yield from apart(name, _component(resource, component, name, low, high, 1, context))
            yield from _workers(at(component, "workerSpec"), name)


@priced("kubernetes:serving.kserve.io/*:LLMInferenceService")
def llm_service(resource: Resource, context: Context) -> Iterator[Answer]:
    """The pods of a large model: those that decode and, where they are apart, those that read the prompt."""
    for name in ("", "prefill."):
        place = at(resource.inputs, f"spec.{name}template")
        if not name or not place.absent:
            replicas = exactly(amount(at(resource.inputs, f"spec.{name}replicas"), 1))
            label = name.removesuffix(".") or "decode"
            yield from apart(label, priced_pods(place, replicas, label))
            yield from _workers(at(resource.inputs, f"spec.{name}worker"), label)
    scheduler = at(resource.inputs, "spec.router.scheduler.template")
    if not scheduler.absent:
        yield from apart("scheduler", priced_pods(scheduler, exactly(1), "scheduler"))


@priced("kubernetes:serving.knative.dev/v1:Service")
def knative_service(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its pods, from none on where no annotation says more."""
    template = at(resource.inputs, "spec.template")
    scale = "metadata.annotations['autoscaling.knative.dev/{}']"
    low, high = at(template, scale.format("min-scale")), at(template, scale.format("max-scale"))
    yield from _component(resource, at(template, "spec"), "", low, high, 0, context)


@priced("kubernetes:feast.dev/*:FeatureStore")
def feature_store(resource: Resource, context: Context) -> Iterator[Answer]:
    """The servers of Feast, which are containers of one pod; the stores behind them are resources of their own."""
    scaling = at(resource.inputs, "spec.services.scaling.autoscaling")
    low = amount(at(resource.inputs, "spec.replicas") if scaling.absent else at(scaling, "minReplicas"), 1)
    high = low if scaling.absent else amount(at(scaling, "maxReplicas"))
    replicas, assumed = context.replicas(resource, low, max(low, high))
    servers = [at(resource.inputs, f"spec.services.{name}") for name in _SERVERS]
    yield from priced_pods(Value("spec", {}), replicas, assumed=assumed, others=servers)


@priced("kubernetes:kubeflow.org/v1:Notebook")
def notebook(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its pod for the hours that are stated, else always."""
    stated = context.stated(resource, "hours")
    assumed = f"always on; state {context.where_stated(resource, 'hours')}" if stated is None else ""
    yield from priced_pods(at(resource.inputs, "spec.template.spec"), exactly(1), assumed=assumed, hours=stated)


def _workers(pod: Value, label: str) -> Iterator[Answer]:
    """Yield that a replica has more pods than one: KServe makes their number of several fields and its runtime."""
    if not pod.absent:
        yield Gap(f"{label}: workers", f"{pod.path}: how many there are is the controller's choice", quantity=True)


def _component(
    resource: Resource, pod: Value, label: str, least: Value, most: Value, default: int, context: Context
) -> Iterator[Answer]:
    """Yield pods between two bounds; an absent or zero upper bound is none at all."""
    low, high = amount(least, default), amount(most, 0)
    replicas, assumed = context.replicas(resource, low, max(low, high))
    models = [at(pod, name) for name in _MODELS]
    yield from priced_pods(pod, replicas, label, assumed=assumed, others=models)
    if high == Decimal(0):
        what = f"{label}: replicas above {low:f}" if label else f"replicas above {low:f}"
        yield Gap(what, f"{most.path} is absent: there is no upper bound", quantity=True)
