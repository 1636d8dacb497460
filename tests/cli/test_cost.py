"""mlinfra cost: what it shows of an environment, of files, and of targets side by side; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from typer.testing import Result

from mlinfra.adapters import Links, ResolvedPart, load_adapter
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.local import Local

Run = Callable[..., Result]

CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
VARIANT = {"variantName": "a", "instanceType": "ml.m5.xlarge", "initialInstanceCount": 2}


def step(type_: str, called: str, op: str = "create", /, **inputs: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:dev::shop::{type_}::{called}"
    state = {"urn": urn, "type": type_, "custom": True, "inputs": inputs}
    return {"op": op, "urn": urn, "oldState" if op == "delete" else "newState": state}


def endpoint(**more: Any) -> list[dict[str, Any]]:
    return [
        step(CONFIGURATION, "flights", name="c", productionVariants=[{**VARIANT, **more}]),
        step("aws:sagemaker/endpoint:Endpoint", "flights", name="e", endpointConfigName="c"),
    ]


def written(folder: Path, *steps: Mapping[str, Any], **more: Any) -> str:
    path = folder / "preview.json"
    path.write_text(json.dumps({"config": {"aws:region": "us-east-1"}, "steps": steps, **more}))
    return str(path)


def test_a_preview_of_any_program_needs_no_repository(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job: dict[str, Any] = {
        "resourceConfig": {"instanceType": "ml.m5.xlarge"},
        "stoppingCondition": {"maxRuntimeInSeconds": 3600},
    }
    notebook = step("aws:sagemaker/notebookInstance:NotebookInstance", "lab", instanceType="ml.made.up", volumeSize=0)
    path = written(tmp_path, *endpoint(), step("aws:sagemaker/trainingJob:TrainingJob", "train", **job), notebook)
    result = run("cost", "--preview", path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "dev: $335.80 a month, $335.80 of it at zero traffic; $0.23 once"
    assert "\nflights: variant a: SageMaker realtime-hosting ml.m5.xlarge  1,460 hour   0.23" in result.stdout
    assert "  train: SageMaker training ml.m5.xlarge: the whole maximum run time of 1 h" in result.stdout
    assert "  lab: SageMaker notebook-instance ml.made.up in us-east-1: no such price" in result.stdout
    assert lines[-2:] == ["a month grows by $335.80", "list prices as of 2026-06-27"]


def test_json_alone_on_stdout(tmp_path: Path, run: Run) -> None:
    result = run("cost", "--preview", written(tmp_path, *endpoint()), "--json")
    document = json.loads(result.stdout)
    assert document["monthly_usd"] == {"low": 335.8, "likely": 335.8, "high": 335.8}
    assert document["one_off_usd"] == 0.0
    assert document["unpriced"] == []
    assert document["target"] is None
    assert result.stderr == ""


def test_nothing_has_a_price(tmp_path: Path, run: Run) -> None:
    path = written(tmp_path, *endpoint(instanceType="ml.made.up"))
    document = json.loads(run("cost", "--preview", path, "--json").stdout)
    assert document["monthly_usd"] is None
    assert document["idle_usd"] is None
    [gap] = document["unpriced"]
    assert gap["resource"].endswith("::flights")
    assert "ml.made.up in us-east-1" in gap["item"]
    assert run("cost", "--preview", path).stdout.startswith("dev: nothing has a price\n")


def test_a_state_is_priced(tmp_path: Path, run: Run) -> None:
    states = [item["newState"] for item in endpoint()]
    provider = {
        "urn": "urn:pulumi:dev::shop::pulumi:providers:aws::default_7_16_0", "type": "pulumi:providers:aws",
        "custom": True, "inputs": {"region": "us-east-1"},
    }  # fmt: skip
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 3, "deployment": {"resources": [*states, provider]}}))
    document = json.loads(run("cost", "--state", str(path), "--json").stdout)
    assert document["monthly_usd"]["likely"] == 335.8
    assert document["growth_monthly_usd"] is None
    assert [item["assumed"] for item in document["items"]] == ["none; state usage.flights.data_gb", None]


def test_what_a_program_only_reads_is_paid_for_elsewhere(tmp_path: Path, run: Run) -> None:
    key = step("aws:kms/key:Key", "key")
    key["newState"]["external"] = True
    document = json.loads(run("cost", "--preview", written(tmp_path, key), "--json").stdout)
    assert document["monthly_usd"] == {"low": 0.0, "likely": 0.0, "high": 0.0}


def test_components_cost_nothing_and_nothing_is_said_of_them(tmp_path: Path, run: Run) -> None:
    component = step("acme:platform:Endpoint", "mine")
    component["newState"]["custom"] = False
    document = json.loads(run("cost", "--preview", written(tmp_path, component), "--json").stdout)
    assert document["unpriced"] == []


def test_what_goes_is_a_saving(tmp_path: Path, run: Run) -> None:
    gone = step("aws:kms/key:Key", "key", "delete")
    result = run("cost", "--preview", written(tmp_path, gone))
    assert "a month falls by $1.00\n" in result.stdout


def test_what_a_preview_leaves_out_is_said(tmp_path: Path, run: Run) -> None:
    path = written(tmp_path, *endpoint(), changeSummary={"create": 2, "same": 5})
    assert "5 resources that nothing changes in are not in this preview" in run("cost", "--preview", path).stdout


def test_the_local_target_costs_nothing(repository: Path, run: Run) -> None:
    result = run("cost", "dev")
    assert result.exit_code == 0
    assert result.stdout.startswith("dev on local: $0.00 a month, $0.00 of it at zero traffic\n")
    assert "resources free of charge" in result.stdout


def test_an_endpoint_without_a_release_is_priced_as_with_its_first(
    repository: Path, run: Run, cloud: type[Cloud]
) -> None:
    path = repository / "environments" / "dev.yaml"
    path.write_text(path.read_text().replace("target: local", "target: cloud"))
    result = run("cost", "dev")
    assert result.stdout.startswith("dev on cloud: $335.80 a month")
    assert "priced as with a first release, which is not there yet\n  endpoints.diabetes\n" in result.stdout
    assert json.loads(run("cost", "dev", "--json").stdout)["supposed_releases"] == ["endpoints.diabetes"]


def environment(repository: Path, *lines: str) -> None:
    with (repository / "environments" / "dev.yaml").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


RAW = """
import pulumi
from mlinfra.program import main
main()
pulumi.CustomResource("aws:ec2/natGateway:NatGateway", "nat", {"region": "us-east-1"})
"""


@pytest.mark.parametrize(
    ("budget", "exit_code", "standing"),
    [(32, 3, "over"), (32.85, 0, "within"), (1000, 0, "within")],
)
def test_a_budget_that_is_exceeded_is_refused(
    budget: float, exit_code: int, standing: str, repository: Path, run: Run
) -> None:
    (repository / "stacks" / "__main__.py").write_text(RAW)
    environment(repository, f"budget: {{monthly_usd: {budget}}}")
    result = run("cost", "dev")
    assert result.exit_code == exit_code
    assert f"budget {standing}: {budget:,.2f} a month\n" in result.stdout
    document = json.loads(run("cost", "dev", "--json").stdout)
    assert (document["budget"], document["budget_monthly_usd"]) == (standing, budget)


OWN = """\
provider,service,component,item,region,unit,usd,as_of,source
aws,VPC,NAT gateway,gateway,us-east-1,hour,1.00,2026-11-01,our contract
"""


def test_the_budget_is_judged_with_the_usage_and_the_prices_of_the_repository(repository: Path, run: Run) -> None:
    def verdicts() -> list[str]:
        findings = json.loads(run("check", "dev", "--json").stdout)["findings"]
        return [finding["verdict"] for finding in findings if finding["rule"] == "COST-10"]

    (repository / "stacks" / "__main__.py").write_text(RAW)
    environment(repository, "budget: {monthly_usd: 700}")
    assert verdicts() == []
    (repository / "prices").mkdir()
    (repository / "prices" / "contract.csv").write_text(OWN)
    assert json.loads(run("cost", "dev", "--json").stdout)["monthly_usd"]["likely"] == 730.0
    assert verdicts() == ["violation"]
    environment(repository, "commitments: {VPC: 0.9}")
    assert verdicts() == []
    environment(repository, "usage: {nat: {data_gb: 2000}}")
    assert verdicts() == ["violation"]  # 730 x 0.9 = 657, and 2000 x 0.045


def test_usage_and_commitments_of_the_environment_count(repository: Path, run: Run) -> None:
    (repository / "stacks" / "__main__.py").write_text(RAW)
    environment(repository, "usage: {nat: {data_gb: 100, requests: 5}}", "commitments: {VPC: 0.5}")
    document = json.loads(run("cost", "dev", "--json").stdout)
    assert document["monthly_usd"]["likely"] == 20.93  # 0.045 x 730 x 0.5 = 16.425, and 100 x 0.045
    assert document["unused"] == ["usage.nat.requests"]
    assert "stated, and nothing here is billed by it\n  usage.nat.requests\n" in run("cost", "dev").stdout


def test_usage_of_what_is_not_there_is_wrong_use(repository: Path, run: Run) -> None:
    environment(repository, "usage: {endpoints.diabets: {requests: 5}}", "commitments: {Sagemaker: 0.7}")
    result = run("cost", "dev")
    assert result.exit_code == 2
    assert "usage.endpoints.diabets: there is no such part or resource" in result.stderr
    assert "did you mean 'endpoints.diabetes'?" in result.stderr
    assert "commitments.Sagemaker: there is no such service" in result.stderr
    assert "did you mean 'SageMaker'?" in result.stderr


def test_a_field_of_usage_that_is_none_is_wrong_use(repository: Path, run: Run) -> None:
    environment(repository, "usage: {endpoints.diabetes: {request: 5}}")
    result = run("cost", "dev")
    assert result.exit_code == 2
    assert "usage.endpoints.diabetes.request: is no field here" in result.stderr
    assert "did you mean 'requests'?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to price"),
        (("--preview", "a", "--state", "b"), "--preview and --state exclude each other"),
        (("--compare",), "there is nothing to price"),
        (("dev", "--compare", "--preview", "a"), "--compare needs an environment"),
        (("--preview", "not-there.json"), "not-there.json"),
        (("nowhere",), "no environment 'nowhere'"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], message: str, repository: Path, run: Run) -> None:
    result = run("cost", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


class Cloud(Local):
    """A target with a price for endpoints, that refuses drift monitors where it is told to."""

    name = "cloud"
    refusing = False

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        if self.refusing and isinstance(part, DriftMonitor):
            yield Problem("", 0, part.key, "there are no monitors here", remedy="leave it out")

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        options = pulumi.ResourceOptions(parent=links.parent)
        for _ in part.deployments if isinstance(part.part, Endpoint) else ():
            variants = {"name": "c", "region": "us-east-1", "productionVariants": [VARIANT]}
            pulumi.CustomResource(CONFIGURATION, "c", variants, options)
            used = {"name": "e", "endpointConfigName": "c", "region": "us-east-1"}
            pulumi.CustomResource("aws:sagemaker/endpoint:Endpoint", "e", used, options)
        return links.giving(part)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> type[Cloud]:
    """A second installed target."""

    class Installed(Cloud):
        pass

    monkeypatch.setattr("mlinfra.adapters.adapter_names", lambda: ["broken", "cloud", "local"])

    def load(name: str) -> Any:
        if name == "broken":
            raise ImportError("No module named 'broken_sdk'")
        return Installed() if name == "cloud" else load_adapter(name)

    monkeypatch.setattr("mlinfra.adapters.load_adapter", load)
    monkeypatch.setattr("mlinfra.operations.session.load_adapter", load)
    monkeypatch.setattr("mlinfra.repository.adapter_names", lambda: ["cloud", "local"])
    return Installed


def test_targets_side_by_side(repository: Path, run: Run, cloud: type[Cloud]) -> None:
    result = run("cost", "dev", "--compare")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line and line[0].isalpha()}
    assert rows["part"] == ["local", "broken", "cloud"]
    assert rows["endpoints.diabetes"] == ["$0.00", "-", "$335.80"]
    assert rows["likely"] == ["$0.00", "refused", "$335.80"]
    assert "broken refuses\n  is not installed completely: No module named 'broken_sdk'\n" in result.stdout


def test_what_a_target_refuses_is_shown_with_its_reason(repository: Path, run: Run, cloud: type[Cloud]) -> None:
    cloud.refusing = True
    result = run("cost", "dev", "--compare")
    assert "cloud refuses\n  drift_monitors.diabetes: there are no monitors here\n    → leave it out\n" in result.stdout
    document = json.loads(run("cost", "dev", "--compare", "--json").stdout)
    found = {item["target"]: item for item in document["targets"]}
    assert list(found) == ["local", "broken", "cloud"]
    assert found["cloud"]["estimate"] is None
    assert found["cloud"]["refused"][0]["path"] == "drift_monitors.diabetes"
    assert found["local"]["estimate"]["monthly_usd"] == {"low": 0.0, "likely": 0.0, "high": 0.0}
