"""The environment: where the declared parts live. `environments/<name>.yaml`, checked against this model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mlinfra.durations import Duration
from mlinfra.place import Encryption, Images, Network
from mlinfra.policy.exceptions import Policies
from mlinfra.prices.usage import Commitments, Usage
from mlinfra.problems import Problem, nearest
from mlinfra.yaml_file import YamlFile

Folder = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if parts.password or (parts.username and parts.scheme.startswith("http")):
        raise ValueError("holds credentials: a secret is never kept in this file")
    if not parts.scheme:
        raise ValueError("is not a URL: s3://bucket, gs://bucket, azblob://container, file:///path")
    return url


def _webhook(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("is not an http or https URL")
    return _without_credentials(url)


Url = Annotated[str, AfterValidator(_without_credentials)]


class Destruction(BaseModel):
    """Leave to destroy the data of a part (`feature_stores.weather`), or of one resource by its URN."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resource: str = Field(min_length=1, description="The part (feature_stores.weather), or the URN.")
    reason: str = Field(min_length=1, description="Why its data may go.")


class Budget(BaseModel):
    """What may be spent here a month; at the likely load more is a violation, at the highest a warning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    monthly_usd: float = Field(ge=0, allow_inf_nan=False, description="US dollars a month.")


class Environment(BaseModel):
    """What one environment's file says; `name` is the file's name. Fields that only one target has are refused
    by the other targets' adapters, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="mlinfra environment")

    name: str = Field(exclude=True)
    target: str = Field(description="What kind of place: local, or another installed adapter (mlinfra targets).")
    stacks: tuple[Folder, ...] = Field(min_length=1, description="Folders under stacks/ that live here.")
    account: str | None = Field(
        None, min_length=1, description="The AWS account id, the Google Cloud project id, or the Azure subscription id."
    )
    region: str | None = Field(None, min_length=1, description="The region of the cloud, for example eu-west-1.")
    resource_group: str | None = Field(None, min_length=1, description="The resource group (Azure). Unset: made.")
    workspace: str | None = Field(
        None, min_length=1, description="An Azure Machine Learning workspace that is there already. Unset: made."
    )
    namespace: str | None = Field(
        None, min_length=1, description="A namespace (Kubernetes) that is there already. Unset: made."
    )
    context: str | None = Field(
        None, min_length=1, description="The context of the kubeconfig that is the cluster (Kubernetes)."
    )
    network: Network | None = Field(None, description="A network that is there already. Unset: made.")
    encryption: Encryption | None = Field(None, description="The team's key, there already. Unset: made.")
    images: Images | None = Field(None, description="The container images that run here, pinned by digest.")
    bucket: str | None = Field(
        None, min_length=1, description="A bucket or container for data that is there already. Unset: made."
    )
    tags: Mapping[str, str] = Field(
        default_factory=dict, description="Tags or labels for all that is made, for example cost-center: ml-42."
    )
    train: bool = Field(False, description="Training happens here: `up` trains where the inputs are new.")
    releases: Literal["locked", "latest"] = Field(
        "locked",
        description="locked: what the lock file pins. latest: the newest accepted release; needs train: true.",
    )
    state: Url | None = Field(
        None, description="The Pulumi backend that keeps the state. Unset: this repository's own folder (local only)."
    )
    secrets_provider: str | None = Field(
        None, description="Pulumi's secrets provider, for example awskms://alias/name. Unset: a generated passphrase."
    )
    artifacts: Url | None = Field(
        None, description="The content-addressed store of models. Unset: this repository's own folder (local only)."
    )
    accept_from: tuple[str, ...] = Field(
        (), description="The environments whose releases may be promoted to this one. Unset: none."
    )
    soak: Duration | None = Field(
        None, description="How long a release must have served verified where it comes from, for example 6h."
    )
    approvals: int = Field(0, ge=0, description="How many people must have approved a promotion to this environment.")
    signed_by: str | None = Field(
        None, description="A public key (PEM file in this repository): only releases that it verifies come here."
    )
    tick_every: Duration = Field(
        "5m", description="How often `mlinfra tick` is called: the longest time that nobody looks at a rollout."
    )
    webhook: Annotated[str, AfterValidator(_webhook)] | None = Field(
        None, description="Where drift monitors with on_drift='webhook' post. A URL without credentials."
    )
    override: Mapping[str, Any] = Field(
        default_factory=dict,
        description="Declared values that differ here, by path: endpoints.flight-delay.scale.max: 8",
    )
    destroy_data: tuple[Destruction, ...] = Field(
        (), description="Resources whose data an `up` may destroy, each with a reason. Remove the line afterwards."
    )
    policies: Policies = Field(default_factory=lambda: Policies(), description="How strict the policy rules are here.")
    budget: Budget | None = Field(None, description="What may be spent here.")
    usage: Mapping[str, Usage] = Field(
        default_factory=dict,
        description="The load, by part (endpoints.flight-delay) or by the name of a resource of your own.",
    )
    commitments: Commitments = Field(
        default_factory=dict,
        description="By service (SageMaker): what an hour costs with your commitment, as a share of the list price.",
    )


def parse_environment(file: YamlFile, name: str) -> tuple[Environment | None, list[Problem]]:
    """Return the environment, or None, with every problem of the file.

    The environment may be there in spite of problems: of what was written twice, the first counts, so that
    the rest can be checked too. It must not be used when there are any.
    """
    problems = list(file.problems)
    if not isinstance(file.value, dict):
        if not problems:
            problems.append(Problem(file.name, 1, "", "is empty or no mapping", expected="target: and stacks:"))
        return None, problems
    given = dict(file.value)
    if "name" in given:
        problems.append(Problem(file.name, file.line("name"), "name", "is the file's own name", remedy="remove it"))
        del given["name"]
    bad: set[str] = set()
    try:
        return Environment.model_validate({**given, "name": name}), problems
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            steps = [str(step) for step in detail["loc"]]
            bad.add(steps[0])
            line = file.line(*steps)
            path = ".".join(steps)
            kind, found, message = detail["type"], repr(detail["input"])[:80], str(detail["msg"])
            if kind == "extra_forbidden":
                known = _fields_beside(steps)
                near = nearest(steps[-1], known)
                problems.append(
                    Problem(file.name, line, path, "is no field here", expected=", ".join(known), nearest=near)
                )
            elif kind == "missing":
                problems.append(Problem(file.name, line, path, "is missing"))
            elif kind == "value_error":
                problems.append(Problem(file.name, line, path, message.removeprefix("Value error, ")))
            else:
                choices = str((detail.get("ctx") or {}).get("expected", "")).replace(" or ", ", ")
                near = nearest(str(detail["input"]), [choice.strip("' ") for choice in choices.split(",")])
                problems.append(
                    Problem(
                        file.name, line, path, "is not valid", found=found,
                        expected=message.removeprefix("Input should be "), nearest=near,
                    )
                )  # fmt: skip
    rest = {key: value for key, value in given.items() if key not in bad}
    try:
        return Environment.model_validate({"target": "?", "stacks": ["unknown"], **rest, "name": name}), problems
    except ValidationError:
        return None, problems


def _fields_beside(steps: list[str]) -> list[str]:
    """Return the names that are known where the last step was written, as the schema has them."""
    node = schema = environment_schema()
    for step in steps[:-1]:
        inner = node.get("properties", {}).get(step, node.get("items", node.get("additionalProperties", {})))
        node = _described(inner, schema)
    return sorted(node.get("properties", ()))


def _described(node: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    for option in (node, *node.get("anyOf", ())):
        if "$ref" in option:
            return dict(schema["$defs"][option["$ref"].rpartition("/")[2]])
        if "properties" in option or "items" in option or isinstance(option.get("additionalProperties"), dict):
            return dict(option)
    return {}


def environment_schema() -> dict[str, Any]:
    """Return the JSON Schema of an environment's file, for editors."""
    schema = Environment.model_json_schema()
    schema["properties"].pop("name")
    schema["required"] = [field for field in schema["required"] if field != "name"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
