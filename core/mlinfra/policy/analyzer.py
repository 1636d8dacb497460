"""The policy pack: the server that the engine asks, in every preview and update, whether resources may be so.

The protocol is pulumi/analyzer.proto. The package `pulumi-policy` serves it too, and does not do here: it tells rules
the values of secrets, and for each rule it reads all resources again, 85 times.

Inputs come with `Analyze`, one resource at a time; what the whole stack is made of comes with `AnalyzeStack`, which has
outputs in place of inputs. Rules read inputs and judge the whole stack, so that the verdicts are those of the offline
check.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

from mlinfra.environment import Environment, parse_environment
from mlinfra.operations.check import inspection_for
from mlinfra.policy.check import Finding, check
from mlinfra.policy.exceptions import Policies, set_apart
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.profiles import profile_for
from mlinfra.policy.rule import Level, Rule, Severity, Verdict
from mlinfra.policy.ruleset import ruleset
from mlinfra.problems import MlinfraError, Problems
from mlinfra.resources import UNKNOWN, Resource, Resources, hide_secrets
from mlinfra.wire import fields
from mlinfra.yaml_file import read_yaml

NAME = "mlinfra"
VERSION = "0.1.0"
_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        UNKNOWN,
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""What stands for an unknown boolean, number, text, list, asset, archive, and object (pulumi sdk, plugin/rpc.go)."""

_SEVERITIES: Mapping[Severity, Any] = {
    Severity.LOW: analyzer_pb2.POLICY_SEVERITY_LOW,
    Severity.MEDIUM: analyzer_pb2.POLICY_SEVERITY_MEDIUM,
    Severity.HIGH: analyzer_pb2.POLICY_SEVERITY_HIGH,
    Severity.CRITICAL: analyzer_pb2.POLICY_SEVERITY_CRITICAL,
}


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """The rules of a repository, for one run of the engine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: tuple[Rule, ...] = ruleset(root)
        self._inputs: dict[str, Mapping[str, Any]] = {}
        self._stack = ""
        self._environment: Environment | None = None

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say that the pack is there."""
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetAnalyzerInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return what the rules are."""
        return analyzer_pb2.AnalyzerInfo(
            name=NAME,
            version=VERSION,
            policies=[
                analyzer_pb2.PolicyInfo(
                    name=rule.id,
                    displayName=rule.title,
                    description=rule.title,
                    enforcementLevel=_level(rule),
                    severity=_SEVERITIES[rule.severity],
                    remediation_steps=rule.remedy,
                )
                for rule in self._rules
            ],
        )

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the pack's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take nothing: what can be set is in the environment's file."""
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Learn which stack it is, and how strict its environment's file is; a preview and an update each begin so."""
        self._inputs = {}
        self._stack = request.stack
        try:
            self._environment = _environment(self._root, request.stack)
        except MlinfraError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, _told(error))
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Analyze(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Remember the inputs of one resource; it is judged with all others."""
        self._inputs[request.urn] = _inputs(request.properties)
        return analyzer_pb2.AnalyzeResponse()

    def Remediate(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Change nothing: a remedy is told, never applied."""
        return analyzer_pb2.RemediateResponse()

    def AnalyzeStack(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Judge everything."""
        resources = Resources(
            sorted((self._resource(item) for item in request.resources), key=lambda resource: resource.urn)
        )
        environment = self._environment
        policies = environment.policies if environment else Policies()
        root = self._root
        inspection = (
            inspection_for(environment, resources, root=root) if environment else Inspection(resources, root=root)
        )
        rules = profile_for(self._stack, policies.profile).applied(self._rules)
        today = datetime.now(UTC).date()
        findings, _ = set_apart(check(inspection, rules), policies.exceptions, today=today, complete=True, where=str)
        return analyzer_pb2.AnalyzeResponse(diagnostics=[_diagnostic(finding) for finding in findings])

    def _resource(self, item: Any) -> Resource:
        inputs = self._inputs.get(item.urn)
        return Resource(
            urn=item.urn,
            type=item.type,
            name=item.name,
            inputs=inputs if inputs is not None else _inputs(item.properties),
            parent=item.parent,
            dependencies=sorted(item.dependencies),
            protect=item.options.protect,
            custom=bool(item.provider.urn) or item.type.startswith("pulumi:providers:"),
            provider=f"{item.provider.urn}::" if item.provider.urn else "",
            property_dependencies={key: sorted(value.urns) for key, value in item.propertyDependencies.items()},
        )


@contextmanager
def serving(root: Path) -> Iterator[int]:
    """Serve the rules of a repository on this machine, at the port that is given, until the block ends.

    Raises:
        Problems: all problems of the rules.
    """
    server = grpc.server(
        ThreadPoolExecutor(4),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(root), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None)


def serve() -> None:
    """Serve the rules until the engine ends this process; the port goes to stdout, as the engine expects.

    The repository is the one that `MLINFRA_REPOSITORY` names, else the folder above the pack's.
    """
    root = Path(os.environ.get("MLINFRA_REPOSITORY") or Path.cwd().parent)
    try:
        with serving(root) as port:
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
            while True:
                time.sleep(3600)
    except MlinfraError as error:
        sys.stderr.write(f"{_told(error)}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        return


def _environment(root: Path, stack: str) -> Environment | None:
    """Return what an environment's file says; None for a Pulumi stack that is no environment of a repository."""
    file = root / "environments" / f"{stack}.yaml"
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    environment, problems = parse_environment(read_yaml(text, str(file.relative_to(root))), stack)
    if environment is None or problems:
        raise Problems(problems)
    return environment


def _diagnostic(finding: Finding) -> Any:
    unsure = finding.answer.verdict is Verdict.UNKNOWN
    where = f"{finding.answer.path}: " if finding.answer.path else ""
    return analyzer_pb2.AnalyzeDiagnostic(
        policyName=finding.rule.id,
        policyPackName=NAME,
        policyPackVersion=VERSION,
        description=finding.rule.title,
        message=f"{'unknown: ' if unsure else ''}{where}{finding.answer.message}\n{finding.remedy}",
        enforcementLevel=analyzer_pb2.ADVISORY if unsure else _level(finding.rule),
        severity=_SEVERITIES[finding.rule.severity],
        urn=finding.resource.urn,
    )


def _level(rule: Rule) -> Any:
    return analyzer_pb2.MANDATORY if rule.level is Level.MANDATORY else analyzer_pb2.ADVISORY


def _inputs(properties: struct_pb2.Struct) -> dict[str, Any]:
    shown = hide_secrets(fields(properties))
    return {key: _with_unknown(value) for key, value in shown.items() if key[:2] != "__"}


def _with_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_unknown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_unknown(item) for item in value]
    return UNKNOWN if isinstance(value, str) and value in _UNKNOWNS else value


def _told(error: MlinfraError) -> str:
    return f"{error.message}\n{error.remedy}".strip()
