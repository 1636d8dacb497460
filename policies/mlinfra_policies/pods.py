"""Finding every pod that a resource of Kubernetes describes, whatever its kind.

The fields are those of the custom resource definitions of KServe, Kubeflow Trainer, Katib, Notebooks and the Spark
operator. A kind that is not listed here is found by its shape: an object with a list of `containers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mlinfra.policy.values import Value, at, every, is_absent, is_unknown
from mlinfra.resources import SECRET, UNKNOWN, Resource

Paths = Mapping[str, str]

_KNATIVE = "serving.knative.dev/v1:Service"
_TEMPLATE = ("spec.template",)
_REPLICATED = "template.spec.replicatedJobs[].template.spec.template"
_TEMPLATES: Mapping[str, Sequence[str]] = {
    "Pod": ("",),
    "PodTemplate": ("template",),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"), _TEMPLATE),
    **dict.fromkeys(("Job", "Notebook", "Rollout", _KNATIVE), _TEMPLATE),
    "CronJob": ("spec.jobTemplate.spec.template",),
    "JobSet": ("spec.replicatedJobs[].template.spec.template",),
    **dict.fromkeys(("TrainingRuntime", "ClusterTrainingRuntime"), (f"spec.{_REPLICATED}",)),
    "TrainJob": (f"spec.runtimePatches[].trainingRuntimeSpec.{_REPLICATED}", "spec.podTemplateOverrides[]"),
}
"""By kind: where a pod's template stands, an object with `metadata` and `spec`."""

_LLM = tuple(f"spec.{path}template" for path in ("", "prefill.", "router.scheduler.", "router.scheduler.tokenizer."))
_INLINE: Mapping[str, Sequence[str]] = {
    "InferenceService": (
        *(f"spec.{component}" for component in ("predictor", "transformer", "explainer", "canary[].predictor")),
        *(f"spec.{component}.workerSpec" for component in ("predictor", "canary[].predictor")),
    ),
    **dict.fromkeys(
        ("LLMInferenceService", "LLMInferenceServiceConfig"), (*_LLM, "spec.worker", "spec.prefill.worker")
    ),
    **dict.fromkeys(("ServingRuntime", "ClusterServingRuntime"), ("spec", "spec.workerSpec")),
}
"""By kind: where a pod's own fields stand. A service has the first of them even where it says nothing of it."""

_SERVICES = frozenset({"InferenceService", "LLMInferenceService"})
_FRAMEWORKS = ("sklearn", "xgboost", "lightgbm", "pmml", "onnx", "paddle", "pytorch", "tensorflow", "triton", "art")
_MODELS = ("model", "huggingface", *_FRAMEWORKS)
_LISTS = {
    "containers": "container",
    "initContainers": "init",
    "ephemeralContainers": "ephemeral",
    "sidecars": "sidecar",
}
_NAMED: Mapping[str, Sequence[str]] = {
    "Job": ("job-name", "batch.kubernetes.io/job-name"),
    "InferenceService": ("serving.kserve.io/inferenceservice",),
    "LLMInferenceService": ("app.kubernetes.io/name",),
    "Notebook": ("notebook-name", "statefulset"),
    _KNATIVE: ("serving.knative.dev/service",),
    **dict.fromkeys(("SparkApplication", "ScheduledSparkApplication"), ("sparkoperator.k8s.io/app-name",)),
    **dict.fromkeys(("TrainJob", "JobSet"), ("jobset.sigs.k8s.io/jobset-name",)),
    **dict.fromkeys(("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "JAXJob"), ("training.kubeflow.org/job-name",)),
}
"""By kind: the labels with the resource's name that its controller gives to pods."""

_NO_PODS = re.compile(
    r"kubernetes:(helm\.sh|yaml|kustomize|[\w.]*kyverno\.io|[\w.]*gatekeeper\.sh"
    r"|apiextensions\.k8s\.io/\w+:CustomResourceDefinition)"
)
"""What may look like a pod and is none: values of charts, patterns of policies, schemas; and what expands to others."""


@dataclass(frozen=True)
class _Described:
    path: str
    """Where it stands in the resource's inputs, as a person writes it."""
    spec: Any
    """Its fields by their names in a pod, or `UNKNOWN`."""
    partial: bool = False
    """Whether what it leaves out comes from elsewhere, so that absence says nothing."""
    moved: Paths = field(default_factory=dict, kw_only=True)
    """The paths of fields that do not stand under `path`."""

    @property
    def unknown(self) -> bool:
        """Whether nothing of it is known before an `up`."""
        return is_unknown(self.spec) or bool(self.spec == SECRET)

    def at(self, path: str) -> Value:
        """Return one field, as `mlinfra.policy.values.at` does, under its path in the resource's inputs."""
        found = at(self.spec, path)
        return Value(self._placed(found.path), found.value)

    def every(self, path: str) -> list[Value]:
        """Return fields, as `mlinfra.policy.values.every` does, under their paths in the resource's inputs."""
        return [Value(self._placed(found.path), found.value) for found in every(self.spec, path)]

    def _placed(self, inner: str) -> str:
        if not self.moved:
            return _joined(self.path, inner)
        head = re.split(r"[.\[]", inner, maxsplit=1)[0]
        return self.moved[head] + inner[len(head) :] if head in self.moved else _joined(self.path, inner)


@dataclass(frozen=True)
class Container(_Described):
    """A container: in a list of the pod, or one that the kind describes in its own way (a model, a trainer)."""

    kind: str = "container"
    """container, init, ephemeral, sidecar, model, trainer, initializer or spark."""
    in_full: bool = True
    """Whether it is described in full: no serving runtime, preset, training runtime or Spark adds to it."""


@dataclass(frozen=True)
class Pod(_Described):
    """A pod's specification in some resource."""

    labels: Any = field(default_factory=dict)
    """The labels of the pods, with those that the controller adds, or `UNKNOWN`; a value may be `UNKNOWN`, too."""
    annotations: Any = None
    """The annotations of the pods, or `UNKNOWN`."""
    namespace: Any = None
    """What the resource says in `metadata.namespace`: None where it says nothing, `UNKNOWN` where it is not known."""
    merged: bool = False
    """Whether a container without an image is completed by one of the same name elsewhere."""
    others: Sequence[Container] = ()

    def containers(self) -> Sequence[Container]:
        """Return all its containers. Of a pod or a list that is not known there is one, which is not known either."""
        return self._containers

    @cached_property
    def _containers(self) -> Sequence[Container]:
        if self.unknown:
            return (Container(self.path, UNKNOWN, self.partial, in_full=not self.partial), *self.others)
        listed = (
            Container(
                item.path,
                item.value,
                self.partial,
                kind=kind,
                in_full=not (self.partial or (self.merged and at(item.value, "image").absent)),
            )
            for name, kind in _LISTS.items()
            for item in self.every(f"{name}[]")
            if _is_object(item.value)
        )
        return (*self.others, *listed)


def pods(resource: Resource) -> list[Pod]:
    """Return every pod that a resource describes; none where it is no workload.

    Every rule on pods asks, so the answer is kept with the resource, as a cached property keeps it.
    """
    kept: list[Pod] | None = vars(resource).get("_pods")
    if kept is None:
        kept = vars(resource)["_pods"] = _found(resource)
    return kept


@dataclass(frozen=True)
class _Manifest:
    """A manifest in a resource: the resource itself, or one that it holds, such as the trial of an experiment."""

    place: Value
    kind: str
    name: Any
    namespace: Any
    partial: bool

    def pods(self) -> Iterator[Pod]:
        for path in _TEMPLATES.get(self.kind, ()):
            for template in _under(self.place, path):
                [spec] = _under(template, "spec")
                if _is_object(spec.value):
                    yield self._pod(spec, at(template.value, "metadata").value)
        for path in _INLINE.get(self.kind, ()):
            for spec in _under(self.place, path):
                if _is_object(spec.value) or (self.kind in _SERVICES and path == _INLINE[self.kind][0]):
                    yield self._inline(spec)
        if self.kind == "TrainJob":
            yield self._trainer()
        elif self.kind == "OptimizationJob":
            yield from self._held("spec.trainJobTemplate", "TrainJob")
        elif self.kind == "Experiment":
            yield from self._held("spec.trialTemplate.trialSpec")
        elif self.kind in ("SparkApplication", "ScheduledSparkApplication"):
            yield from self._spark("spec" if self.kind == "SparkApplication" else "spec.template")

    def shaped(self) -> Iterator[Pod]:
        """Yield what looks like a pod wherever it stands."""
        for spec, metadata in _shaped(self.place, {}):
            yield self._pod(spec, metadata)

    def _pod(self, spec: Value, metadata: Any) -> Pod:
        labels, annotations = (at(metadata, name).value for name in ("labels", "annotations"))
        if not is_unknown(labels):
            labels = {**_mapping(labels), **dict.fromkeys(_NAMED.get(self.kind, ()), self.name)}
        return Pod(spec.path, spec.value, self.partial, labels, annotations, self.namespace)

    def _inline(self, spec: Value) -> Pod:
        said = [at(self.place.value, "metadata.labels").value, at(spec.value, "labels").value]
        labels: Any = UNKNOWN if UNKNOWN in said else {**_mapping(said[0]), **_mapping(said[1])}
        if self.kind == "InferenceService" and labels != UNKNOWN:
            labels["component"] = spec.path.removesuffix(".workerSpec").rpartition(".")[2]
        metadata = {"labels": labels, "annotations": at(spec.value, "annotations").value}
        pod = self._pod(Value(spec.path, {} if is_absent(spec.value) else spec.value), metadata)
        models: list[Container] = []
        if not pod.unknown:
            found = [pod.at(name) for name in _MODELS]
            models = [
                Container(each.path, each.value, kind="model", partial=self.partial, in_full=False)
                for each in found
                if _is_object(each.value)
            ]
        completed = bool(models) or self.kind.startswith("LLM") or spec.path.endswith(".workerSpec")
        return replace(pod, merged=completed, others=models)

    def _trainer(self) -> Pod:
        """Return what a TrainJob says of its pods outside patches: image, variables and resources of containers."""
        [trainer] = _under(self.place, "spec.trainer")
        fields, moved = _gathered(trainer, resources=_under(trainer, "resourcesPerNode"))
        found = [Container(trainer.path, fields, kind="trainer", partial=True, in_full=False, moved=moved)]
        for name in ("spec.initializer.dataset", "spec.initializer.model"):
            [each] = _under(self.place, name)
            found.append(Container(each.path, each.value, kind="initializer", partial=True, in_full=False))
        metadata = at(self.place.value, "metadata").value
        others = [each for each in found if _is_object(each.spec)]
        return replace(self._pod(Value(trainer.path, {}), metadata), partial=True, others=others)

    def _held(self, path: str, kind: str = "") -> Iterator[Pod]:
        """Yield the pods of a manifest that this one holds; its controller names it."""
        for place in _under(self.place, path):
            if is_unknown(place.value) or place.value == SECRET:
                yield self._pod(place, UNKNOWN)
            elif isinstance(place.value, Mapping):
                held = str(kind or place.value.get("kind", ""))
                manifest = replace(
                    self, place=place, kind=held, name=UNKNOWN, partial=self.partial or held == "TrainJob"
                )
                yield from _without_twins([*manifest.pods(), *manifest.shaped()])

    def _spark(self, path: str) -> Iterator[Pod]:
        [spec] = _under(self.place, path)
        volumes = at(spec.value, "volumes").value
        if volumes is not None and not is_unknown(spec.value):
            yield replace(self._pod(Value(spec.path, {"volumes": volumes}), {}), partial=True)
        for role in ("driver", "executor"):
            yield from self._spark_role(spec, role)

    def _spark_role(self, spec: Value, role: str) -> Iterator[Pod]:
        """Yield the pod of a driver or an executor, and what its template adds.

        A security context of the role replaces the template's as a whole; the template's first container is the
        role's own; an executor without an account has the driver's.
        """
        [own], [driver] = _under(spec, role), _under(spec, "driver")
        if not _is_object(own.value):
            return
        [template] = _under(own, "template.spec")
        listed = _under(template, "containers[]")
        main = listed[0] if listed else Value(template.path, None)
        container, moved = _gathered(
            own,
            securityContext=[*_under(own, "securityContext"), *_under(main, "securityContext")],
            image=[*_under(own, "image"), *_under(spec, "image"), *_under(main, "image")],
        )
        others = [Container(own.path, container, kind="spark", partial=self.partial, in_full=False, moved=moved)]
        others += [Container(main.path, main.value, kind="spark", partial=True, in_full=False)] if listed else []
        added = [("sidecar", each) for each in listed[1:]]
        added += [("init", each) for each in _under(template, "initContainers[]")]
        others += [Container(each.path, each.value, kind=kind, partial=self.partial) for kind, each in added]
        fields, moved = _gathered(
            own,
            securityContext=[*_under(own, "podSecurityContext"), *_under(template, "securityContext")],
            serviceAccountName=[
                *_under(own, "serviceAccount"),
                *_under(template, "serviceAccountName"),
                *_under(driver, "serviceAccount"),
            ],
            nodeSelector=[*_under(own, "nodeSelector"), *_under(spec, "nodeSelector")],
        )
        said = [at(own.value, name).value for name in ("template.metadata.labels", "labels")]
        labels = UNKNOWN if UNKNOWN in said else {**_mapping(said[0]), **_mapping(said[1]), "spark-role": role}
        metadata = {"labels": labels, "annotations": at(own.value, "annotations").value}
        yield replace(self._pod(Value(own.path, fields), metadata), moved=moved, others=others)
        if _is_object(template.value):
            rest: Any = UNKNOWN
            if isinstance(template.value, Mapping):
                rest = {name: each for name, each in template.value.items() if name not in {*_LISTS, *moved}}
            metadata = at(own.value, "template.metadata").value
            yield replace(self._pod(Value(template.path, rest), metadata), partial=True)


def _found(resource: Resource) -> list[Pod]:
    if not resource.type.startswith("kubernetes:") or _NO_PODS.match(resource.type):
        return []
    token = resource.type.rpartition(":")[2]
    said = at(resource.inputs, "kind").value
    kind = said if isinstance(said, str) and said and not is_unknown(said) else token.removesuffix("Patch")
    kind = _KNATIVE if resource.type.endswith(_KNATIVE) else kind
    manifest = _Manifest(
        place=Value("", resource.inputs),
        kind=kind,
        name=_name(resource.inputs),
        namespace=at(resource.inputs, "metadata.namespace").value or None,
        partial=token.endswith("Patch") or kind == "TrainJob",
    )
    return _without_twins([*manifest.pods(), *manifest.shaped()])


def _without_twins(found: Sequence[Pod]) -> list[Pod]:
    """Return pods without those that stand where another one stands already."""
    kept: dict[str, Pod] = {}
    for pod in found:
        kept.setdefault(pod.path, pod)
    return list(kept.values())


def _shaped(place: Value, metadata: Any) -> Iterator[tuple[Value, Any]]:
    """Yield the objects below with a list of containers, each with the metadata of the template around it."""
    if isinstance(place.value, Mapping):
        containers = place.value.get("containers")
        if is_unknown(containers) or (isinstance(containers, list) and any(map(_is_object, containers))):
            yield place, metadata
            return
        for name, value in place.value.items():
            if name not in ("status", "metadata"):
                inner = place.value.get("metadata") if name == "spec" else metadata
                yield from _shaped(Value(_joined(place.path, name), value), inner)
    elif isinstance(place.value, list):
        for number, value in enumerate(place.value):
            yield from _shaped(Value(f"{place.path}[{number}]", value), metadata)


def _gathered(own: Value, **fields: Sequence[Value]) -> tuple[Any, Paths]:
    """Return an object with fields from several places, the first that says something, and where each one stands."""
    if not isinstance(own.value, Mapping):
        return own.value, {}
    chosen = {name: next((each for each in found if not each.absent), found[0]) for name, found in fields.items()}
    values = {name: each.value for name, each in chosen.items()}
    return {**own.value, **values}, {name: each.path for name, each in chosen.items()}


def _name(inputs: Mapping[str, Any]) -> Any:
    """Return the resource's name; the engine makes one up where nothing is said."""
    name = at(inputs, "metadata.name")
    return UNKNOWN if name.absent else name.value


def _under(outer: Value, path: str) -> list[Value]:
    return [Value(_joined(outer.path, found.path), found.value) for found in every(outer.value, path)]


def _joined(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if outer and inner else outer + inner


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) or is_unknown(value) or value == SECRET
