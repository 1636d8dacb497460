"""How long `mlinfra check --preview` takes: start to finish on a small file, and all rules on many resources.

The many resources are those of the rules' own examples, over and over, so that every rule has something to judge.
Beside checkov, on the Kubernetes manifests of the same pods and the Terraform plan of the same notebooks, with what
each finds; it gets a virtual environment in `.cache/benchmarks`.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

from measuring import Result, Spent, cpu, in_turn, installed, ratios, spend, variables, wall

from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import at
from mlinfra.preview_file import read_preview
from mlinfra.resources import Resource
from mlinfra_policies.catalogue import rules
from mlinfra_policies.examples import examples

ROUNDS, ROUNDS_OF_MANY = 5, 2
SMALL, MANY, VERY_MANY = 3, 1_000, 10_000
MOST_SECONDS_START_TO_FINISH = 0.6
MOST_SECONDS_OF_MANY = 1.0
MOST_TIMES_AS_LONG = 12.0
"""For ten times as many resources: linear, with some room for what else the machine does."""

_CODES = (0, 3)
"""3: a mandatory rule is broken."""
_CHECKOV = ["--quiet", "--compact", "--skip-download", "--soft-fail", "--output", "json"]


def run() -> Iterator[Result]:
    """Measure start to finish, the growth with the number of resources, and checkov beside it."""
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        yield from _grown(Path(name))
        peer = installed("checkov")
        if isinstance(peer, str):
            print(f"checking: checkov is left out: {peer}")
        yield from (_beside(Path(name), case, peer if isinstance(peer, Path) else None) for case in _cases())


def _grown(folder: Path) -> Iterator[Result]:
    seconds: dict[int, float] = {}
    findings: dict[int, int] = {}
    for number in (MANY, VERY_MANY):
        file = folder / f"{number}.json"
        file.write_text(json.dumps(_preview(list(islice(_resources(), number)))), encoding="utf-8")
        after, before = read_preview(file)
        times = []
        for _ in range(ROUNDS):
            started = time.process_time()
            findings[number] = len(check(Inspection(after, before=before), rules()))
            times.append(time.process_time() - started)
        seconds[number] = min(times)
    times_as_long = seconds[VERY_MANY] / seconds[MANY]
    yield Result(
        f"all rules, {MANY:,} resources",
        f"{seconds[MANY]:.2f} s CPU at best of {ROUNDS}, {findings[MANY]:,} findings of {len(rules())} rules",
        "-",
        "-",
        f"< {MOST_SECONDS_OF_MANY:g} s",
        seconds[MANY] < MOST_SECONDS_OF_MANY,
    )
    yield Result(
        f"all rules, {VERY_MANY:,} resources",
        f"{seconds[VERY_MANY]:.2f} s CPU at best of {ROUNDS}, {findings[VERY_MANY]:,} findings",
        f"{MANY:,} resources {seconds[MANY]:.2f} s",
        f"{times_as_long:.1f} ×",
        f"≤ {MOST_TIMES_AS_LONG:g} ×",
        times_as_long <= MOST_TIMES_AS_LONG,
    )


@dataclass(frozen=True)
class _Case:
    """The same resources for both: a preview for mlinfra, and a file that checkov reads with a framework."""

    name: str
    made: Sequence[Resource]
    framework: str
    equivalent: str


def _cases() -> Iterator[_Case]:
    for number in (SMALL, MANY):
        yield _manifests(f"{number:,} Deployments", _DEPLOYMENT, [_deployment(each) for each in range(number)])
    services = [_inference_service(each) for each in range(MANY)]
    yield _manifests(f"{MANY:,} InferenceServices", _INFERENCE_SERVICE, services)
    notebooks = [_notebook(each) for each in range(MANY)]
    made = [_resource(_NOTEBOOK, values["name"], _camel(values)) for values in notebooks]
    yield _Case(f"{MANY:,} SageMaker notebooks", made, "terraform_plan", json.dumps(_terraform_plan(notebooks)))


def _manifests(name: str, token: str, manifests: Sequence[Mapping[str, Any]]) -> _Case:
    made = [_resource(token, each["metadata"]["name"], each) for each in manifests]
    return _Case(name, made, "kubernetes", "\n---\n".join(json.dumps(each, indent=1) for each in manifests))


def _resource(token: str, name: str, inputs: Mapping[str, Any]) -> Resource:
    return Resource(f"urn:pulumi:dev::bench::{token}::{name}", token, name, inputs)


def _beside(folder: Path, case: _Case, peer: Path | None) -> Result:
    preview = folder / "preview.json"
    equivalent = folder / f"equivalent.{'json' if case.framework == 'terraform_plan' else 'yaml'}"
    preview.write_text(json.dumps(_preview(case.made)), encoding="utf-8")
    equivalent.write_text(case.equivalent, encoding="utf-8")
    mlinfra = str(Path(sys.executable).with_name("mlinfra"))
    commands = {"mlinfra": [mlinfra, "check", "--preview", str(preview), "--json"]}
    if peer is not None:
        commands["checkov"] = [str(peer), "--file", str(equivalent), "--framework", case.framework, *_CHECKOV]
    environment, small = variables(HOME=str(folder)), len(case.made) == SMALL
    rounds = ROUNDS if small else ROUNDS_OF_MANY
    outputs = {name: folder / f"{name}.json" for name in commands}
    spent = in_turn(
        {name: partial(spend, line, folder, environment, outputs[name], _CODES) for name, line in commands.items()},
        rounds,
    )
    ours = spent["mlinfra"]
    best = min(one.wall for one in ours)
    theirs = spent.get("checkov")
    said = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in outputs.items()}
    found = sum(finding["verdict"] == "violation" for finding in said["mlinfra"]["findings"])
    return Result(
        f"check --preview, {case.name}",
        f"{best:.2f} s at best of {rounds} (median {wall(ours):.2f} s, {cpu(ours):.2f} s CPU), {found:,} violations",
        f"checkov, {case.framework.replace('_', ' ')}: {wall(theirs):.2f} s ({cpu(theirs):.2f} s CPU), "
        f"{_failed(said['checkov']):,} failed checks"
        if theirs
        else "no peer",
        _shown(ours, theirs) if theirs else "-",
        f"< {MOST_SECONDS_START_TO_FINISH} s" if small else "-",
        best < MOST_SECONDS_START_TO_FINISH if small else None,
    )


def _failed(said: Mapping[str, Any]) -> int:
    """Return how many checks failed; where checkov knows nothing in a file, it prints the summary alone."""
    return int(said.get("summary", said).get("failed", 0))


def _shown(ours: Sequence[Spent], theirs: Sequence[Spent]) -> str:
    of_wall, of_cpu = ratios(ours, theirs)
    return f"{of_wall:.2f} × checkov ({of_cpu:.2f} × CPU)"


_DEPLOYMENT = "kubernetes:apps/v1:Deployment"
_INFERENCE_SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
_NOTEBOOK = "aws:sagemaker/notebookInstance:NotebookInstance"
_NAMES = ("name", "id", "metadata.name", "bucket", "accountName")
"""Where a resource says what it is called. No two buckets or storage accounts of a cloud are called the same."""


def _resources() -> Iterator[Resource]:
    """Yield the resources of all examples without an end, under names of their own."""
    sets = [
        (f"-{example.rule}-{example.number}", example.inspection().resources.all)
        for rule in rules()
        for example in examples(rule.id)
    ]
    Random(0).shuffle(sets)  # else the first thousand would be of a few families, and no sample of the rest
    for turn in count():
        for suffix, made in sets:
            names = _names(made)
            yield from (_renamed(resource, names, f"{suffix}-{turn}") for resource in made)


def _names(made: Sequence[Resource]) -> re.Pattern[str]:
    """Return a pattern of what the resources of an example are called, and call each other by."""
    said = [at(resource.inputs, path) for resource in made for path in _NAMES]
    known = {each.value for each in said if isinstance(each.value, str) and len(each.value) > 2 and not each.hidden}
    names = {resource.name for resource in made} | known
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})(?![\w-])")


def _own(value: Any, names: re.Pattern[str], suffix: str) -> Any:
    if isinstance(value, str):
        return names.sub(rf"\1{suffix}", value)
    if isinstance(value, Mapping):
        return {key: _own(item, names, suffix) for key, item in value.items()}
    return [_own(item, names, suffix) for item in value] if isinstance(value, list) else value


def _renamed(resource: Resource, names: re.Pattern[str], suffix: str) -> Resource:
    provider, _, id_ = resource.provider.rpartition("::")
    return Resource(
        resource.urn + suffix,
        resource.type,
        resource.name + suffix,
        _own(resource.inputs, names, suffix),
        provider=f"{provider}{suffix}::{id_}" if provider else "",
        property_dependencies={
            key: [urn + suffix for urn in urns] for key, urns in resource.property_dependencies.items()
        },
    )


def _preview(made: Sequence[Resource]) -> Mapping[str, Any]:
    states = [
        {
            "urn": resource.urn,
            "type": resource.type,
            "custom": True,
            "inputs": resource.inputs,
            "provider": resource.provider,
            "propertyDependencies": resource.property_dependencies,
        }
        for resource in made
    ]
    steps = [{"op": "create", "urn": state["urn"], "newState": state} for state in states]
    return {"steps": steps, "changeSummary": {"create": len(steps)}}


def _deployment(number: int) -> dict[str, Any]:
    """Return a Deployment that breaks no mandatory rule, and some of the others."""
    name = f"flights-{number}"
    hardened = {"runAsNonRoot": True, "allowPrivilegeEscalation": False}
    container = {"name": "server", "image": f"registry.example.com/{name}:1.0", "securityContext": hardened}
    labels = {"app": name, "environment": "dev", "owner": "ml"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "serving", "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"serviceAccountName": name, "automountServiceAccountToken": False, "containers": [container]},
            },
        },
    }


def _inference_service(number: int) -> dict[str, Any]:
    """Return a KServe InferenceService with the pod of the Deployment of that number."""
    deployment = _deployment(number)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": deployment["metadata"],
        "spec": {"predictor": {"minReplicas": 2, "containers": [container]}},
    }


def _notebook(number: int) -> dict[str, Any]:
    """Return a SageMaker notebook instance in Terraform's names: open to the internet, with root, without a key."""
    return {
        "name": f"flights-{number}",
        "instance_type": "ml.t3.medium",
        "role_arn": "arn:aws:iam::111122223333:role/notebooks",
        "root_access": "Enabled",
        "direct_internet_access": "Enabled",
    }


def _camel(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same values in Pulumi's names."""
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): value for name, value in values.items()}


def _terraform_plan(notebooks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what `terraform show -json` prints of a plan that creates notebook instances."""
    kind = "aws_sagemaker_notebook_instance"
    named = [(f"{kind}.{each['name']}", each) for each in notebooks]
    base = [{"address": at, "mode": "managed", "type": kind, "name": each["name"]} for at, each in named]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {
            "root_module": {"resources": [{**one, "values": each} for one, (_, each) in zip(base, named, strict=True)]}
        },
        "resource_changes": [
            {**one, "change": {"actions": ["create"], "before": None, "after": each, "after_unknown": {}}}
            for one, (_, each) in zip(base, named, strict=True)
        ],
        "configuration": {"root_module": {"resources": [{**one, "expressions": {}} for one in base]}},
    }
