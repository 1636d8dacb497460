"""Supply chain: models from registries, pinned images from allowed registries, patched notebooks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_absent, is_unknown
from mlinfra.resources import UNKNOWN, Resource
from mlinfra_policies.pods import pods
from mlinfra_policies.references import image, inside

_MODEL = "aws:sagemaker/model:Model"
_CLOUD_CONTROL = "aws:cloudcontrol/resource:Resource"
_PACKAGE = "aws-native:sagemaker:ModelPackage"
_GARDEN = "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment"
_WORKBENCH = "gcp:workbench/instance:Instance"
_AZURE = "azure-native:machinelearningservices"
_ENVIRONMENT = f"{_AZURE}:EnvironmentVersion"
_REGISTRY_ENVIRONMENT = f"{_AZURE}:RegistryEnvironmentVersion"
_VERSIONS = (f"{_AZURE}:RegistryModelVersion", f"{_AZURE}:ModelVersion")
_REGISTRIES = "azureml://registries/"
_KUBERNETES = "kubernetes:*"
_INFERENCE_SERVICE = "kubernetes:serving.kserve.io/*:InferenceService"

_IMAGES: Mapping[str, Sequence[str]] = {
    _MODEL: ("primaryContainer.image", "containers[].image"),
    "aws:sagemaker/trainingJob:TrainingJob": ("algorithmSpecification.trainingImage",),
    "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": (
        "trainingJobDefinition.algorithmSpecification.trainingImage",
        "trainingJobDefinitions[].algorithmSpecification.trainingImage",
    ),
    _GARDEN: ("modelConfig.containerSpec.imageUri",),
    _ENVIRONMENT: ("properties.image",),
    _REGISTRY_ENVIRONMENT: ("properties.image",),
}
"""By type: where images are named; those of pods are found by `pods`, those of notebooks have their tag beside them."""

_LOCATIONS: Mapping[str, Sequence[str]] = {
    _GARDEN: ("publisherModelName", "huggingFaceModelId"),
    "kubernetes:serving.kserve.io/*:LLMInferenceService": ("spec.model.uri",),
    "kubernetes:serving.kserve.io/*:TrainedModel": ("spec.model.storageUri",),
}
"""By type: where a model's name or storage is said."""


@decides("SUP-01", _MODEL)
def models_of_sagemaker_come_as_packages(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    containers = [*every(resource.inputs, "primaryContainer"), *every(resource.inputs, "containers[]")]
    for container in containers:
        [package] = every(container, "modelPackageName")
        if package.absent and container.value:
            yield violation(
                container.path,
                "the container names no model package; its image and data come from elsewhere",
                remedy="modelPackageName=package.arn",
            )
        elif not package.absent:
            yield from _approved(resource, package, inspection)


def _approved(resource: Resource, package: Value, inspection: Inspection) -> Iterator[Answer]:
    """Yield what the packages of the stack that a reference means say of their approval."""
    packages: Sequence[Any]
    if package.unknown:
        found = inspection.referred(resource, package, "", _PACKAGE, _CLOUD_CONTROL)
        packages = [described for each in found if (described := _package(each)) is not None]
    else:
        packages = _packages(inspection).get(str(package.value).rpartition(":model-package/")[2], [])
    if not packages and package.hidden:
        yield unknown(package.path)
    for described in packages:
        status = described if is_unknown(described) else described.get("status")
        if is_unknown(status):
            yield unknown(package.path, "whether the model package is approved is known only after an up")
        elif not is_absent(status) and status != "Approved":
            yield violation(package.path, f"the model package is {status}, and not Approved")


def _package(resource: Resource) -> Any:
    """Return name, group, version and status of a model package; `UNKNOWN` if all is; None if it is no package."""
    inputs: Any = resource.inputs
    if resource.type == _CLOUD_CONTROL:
        if at(inputs, "typeName").value != "AWS::SageMaker::ModelPackage":
            return None
        state = at(inputs, "desiredState")
        if state.hidden:
            return UNKNOWN
        inputs = _json(state.value)
    elif not matches(resource.type, _PACKAGE):
        return None
    fields = {
        "name": "modelPackageName",
        "group": "modelPackageGroupName",
        "version": "modelPackageVersion",
        "status": "modelApprovalStatus",
    }
    return {
        name: next((item for key, item in inputs.items() if key.lower() == field.lower()), None)
        for name, field in fields.items()
    }


@lru_cache(maxsize=1)
def _packages(inspection: Inspection) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the known model packages by what a reference, or the end of an ARN, says: a name, or GROUP/VERSION."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for package in map(_package, inspection.of(_PACKAGE, _CLOUD_CONTROL)):
        if isinstance(package, Mapping):
            for name in (str(package["name"]), f"{package['group']}/{package['version']}"):
                found.setdefault(name, []).append(package)
    return found


def _json(text: Any) -> Mapping[str, Any]:
    try:
        read = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return read if isinstance(read, Mapping) else {}


@decides("SUP-01", *_LOCATIONS, _INFERENCE_SERVICE)
def models_come_from_approved_sources(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    approved = inspection.settings.approved_model_sources
    if approved is None:
        return
    for source in [*_at_paths(resource, _LOCATIONS), *_stored(resource)]:
        if source.hidden:
            yield unknown(source.path)
            continue
        names = [str(source.value)]
        if source.path == "huggingFaceModelId":
            names.append(f"hf://{source.value}")
        if not any(inside(name, approved) for name in names):
            yield violation(source.path, f"{source.value} is in none of the approved sources: {_listed(approved)}")


def _stored(resource: Resource) -> list[Value]:
    """Return where the models of an inference service are stored."""
    containers = [container for pod in pods(resource) for container in pod.containers()]
    found = [each.at("storageUri") for each in containers if each.kind == "model" or each.unknown]
    return [uri for uri in found if not uri.absent]


@decides("SUP-01", f"{_AZURE}:OnlineDeployment")
def models_of_azure_come_from_registries(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    model = at(resource.inputs, "properties.model")
    remedy = f"model: {_REGISTRIES}NAME/models/MODEL/versions/VERSION"
    versions = inspection.referred(resource, model, "", *_VERSIONS) if model.unknown else []
    shared = [each for each in versions if matches(each.type, _VERSIONS[0])]
    if model.absent:
        return
    if not model.hidden and not str(model.value).startswith(_REGISTRIES):
        yield violation(model.path, f"{model.value} comes from no registry", remedy=remedy)
    elif not model.hidden:
        yield from _from_registry(model.path, str(model.value), inspection)
    elif versions and not shared:
        yield violation(model.path, "the model comes from a workspace, and from no registry", remedy=remedy)
    elif not shared:
        yield unknown(model.path)
    for each in shared:
        registry, name = at(each.inputs, "registryName"), at(each.inputs, "modelName")
        if registry.unknown or name.unknown:
            yield unknown(model.path, "which registry the model comes from is known only after an up")
        else:
            yield from _from_registry(model.path, f"{_REGISTRIES}{registry.value}/models/{name.value}", inspection)


def _from_registry(path: str, model: str, inspection: Inspection) -> Iterator[Answer]:
    """Yield whether a registry's model lies in one of the listed registries, if any are; a bare name is one, too."""
    listed = inspection.settings.approved_model_sources or ()
    bare = [f"{_REGISTRIES}{each}" for each in listed if not re.search(r"[/:@]", each)]
    approved = [*bare, *(each for each in listed if each.startswith(_REGISTRIES))]
    if approved and not inside(model, approved):
        yield violation(path, f"{model} is in none of the approved registries: {_listed(approved)}")


@decides("SUP-02", *_IMAGES, _KUBERNETES)
def images_are_pinned(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for each in _images(resource):
        if each.hidden:
            yield unknown(each.path)
        elif not image(str(each.value)).pinned:
            found = "the tag latest" if image(str(each.value)).tag else "neither tag nor digest"
            yield violation(each.path, f"{each.value} has {found}")


@decides("SUP-02", _WORKBENCH)
def containers_of_notebooks_are_pinned(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    container = at(resource.inputs, "gceSetup.containerImage")
    [repository], [tag] = every(container, "repository"), every(container, "tag")
    if container.absent or image(str(repository.value)).digest:
        return
    if tag.absent:
        yield violation(tag.path, "no tag is said, which means latest")
    elif tag.hidden:
        yield unknown(tag.path)
    elif tag.value == "latest":
        yield violation(tag.path, "the tag is latest")


@decides("SUP-02", f"{_AZURE}:OnlineDeployment", f"{_AZURE}:BatchDeployment", f"{_AZURE}:Job")
def environments_are_pinned(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    environment = at(resource.inputs, "properties.environmentId")
    if environment.absent:
        return
    if environment.hidden:
        sources = inspection.sources(resource, "properties")
        versions = (_ENVIRONMENT, _REGISTRY_ENVIRONMENT)
        if not any(matches(source.type, version) for source in sources for version in versions):
            yield unknown(environment.path)
        return
    written = str(environment.value).removeprefix("azureml:")
    found = re.search(r"/labels/([^/]+)$|@([^/@]+)$|/versions/([^/]+)$|^[^/:@]+:([^/:@]+)$", written)
    if found is None:
        yield violation(environment.path, f"{environment.value} names no version")
    elif "latest" in found.groups():
        yield violation(environment.path, f"{environment.value} means the latest version")


@decides("SUP-03", *_IMAGES, _WORKBENCH, _KUBERNETES)
def images_come_from_allowed_registries(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    allowed = inspection.settings.allowed_registries
    if allowed is None:
        return
    repository = at(resource.inputs, "gceSetup.containerImage.repository")
    found = _images(resource) if repository.absent else [repository]
    for each in found:
        if each.hidden:
            yield unknown(each.path)
        elif not image(str(each.value)).inside(allowed):
            yield violation(
                each.path, f"{image(str(each.value)).name} is in none of the allowed registries: {_listed(allowed)}"
            )


@decides("SUP-05", "aws:sagemaker/notebookInstance:NotebookInstance")
def notebooks_of_sagemaker_run_a_supported_platform(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    platform = at(resource.inputs, "platformIdentifier")
    supported = inspection.settings.supported_notebook_platforms
    if platform.hidden:
        yield unknown(platform.path)
    elif platform.value not in supported:
        found = "no platform is named" if platform.absent else f"{platform.value} is not supported"
        yield violation(platform.path, f"{found}; supported: {_listed(supported)}")


@decides("SUP-05", _WORKBENCH)
def notebooks_of_workbench_are_upgraded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    schedule = at(resource.inputs, "gceSetup.metadata['notebook-upgrade-schedule']")
    if schedule.unknown:
        yield unknown(schedule.path)
    elif schedule.absent:
        yield violation(
            schedule.path,
            "no upgrade schedule is set",
            remedy='metadata={"notebook-upgrade-schedule": "00 19 * * MON"}',
        )


def _images(resource: Resource) -> list[Value]:
    """Return all images that a resource names, those that are not known, too."""
    if resource.type.startswith("kubernetes:"):
        found = [container.at("image") for pod in pods(resource) for container in pod.containers()]
        return [each for each in found if not each.absent]
    return _at_paths(resource, _IMAGES)


def _at_paths(resource: Resource, table: Mapping[str, Sequence[str]]) -> list[Value]:
    """Return what a resource says at the paths that a table has for its type, without what is absent."""
    paths = next((paths for pattern, paths in table.items() if matches(resource.type, pattern)), ())
    found = {value.path: value for path in paths for value in every(resource.inputs, path) if not value.absent}
    return list(found.values())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
