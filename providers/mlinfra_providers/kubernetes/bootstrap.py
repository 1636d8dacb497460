"""What must exist in a cluster before the first `up`: a namespace, and accounts with rights in it for CI.

State, artifacts, the key and the images are kept elsewhere: they are named, and it is looked whether they are reached.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from mlinfra.environment import Environment
from mlinfra.footing import Footing, reached
from mlinfra.foundation import ARTIFACTS, CI, CI_PLAN, IMAGES, KEY, STATE, Found, SourceHost, Thing
from mlinfra_providers.kubernetes.asking import Absent, Asking, Untold
from mlinfra_providers.kubernetes.naming import labels
from mlinfra_providers.kubernetes.permissions import NEEDED, PLAN

if TYPE_CHECKING:
    import pulumi
    import pulumi_kubernetes as k8s

NAMESPACE = "namespace"
_ELSEWHERE = "a cluster keeps none: it is made where it is"
_SECURITY = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("audit", "warn")}
_ENFORCED = {"pod-security.kubernetes.io/enforce": "baseline"}
"""What the pods of the Feast operator keep; those of all other parts are restricted ones."""


class ClusterFoundation:
    """The foundation of one environment in a cluster."""

    variables: Mapping[str, str]

    def __init__(self, environment: Environment, source: SourceHost | None) -> None:
        self._environment = environment
        self._asking = Asking(environment)
        self.left_out: dict[str, str] = {}
        self.variables = {}
        self.things: Sequence[Thing] = tuple(self._things())

    def _things(self) -> list[Thing]:
        environment = self._environment
        things = [
            Thing(STATE, environment.state or "", "keeps the state of Pulumi", _ELSEWHERE),
            Thing(ARTIFACTS, environment.artifacts or "", "keeps the models, by their digests", _ELSEWHERE),
        ]
        if environment.secrets_provider is not None:
            things.append(Thing(KEY, environment.secrets_provider, "encrypts secrets in the state", _ELSEWHERE))
        else:
            self.left_out[KEY] = "no secrets_provider is written: secrets are encrypted with a passphrase"
        if environment.images is not None:
            named = dict.fromkeys((environment.images.serving, environment.images.training))
            things += [
                Thing(f"{IMAGES}-{number}", image.partition("@")[0], "holds the images that run", _ELSEWHERE)
                for number, image in enumerate(named, 1)
            ]
        if environment.namespace is None:
            self.left_out[CI] = (
                "no namespace is written: `up` makes one, which takes rights in the whole cluster; write namespace: "
                f"{environment.name}-ml, and it is made here, with accounts for CI that have rights in it alone"
            )
            return things
        return [
            *things,
            Thing(NAMESPACE, environment.namespace, "holds all parts of the environment"),
            Thing(CI, _account(CI), "what `mlinfra up` and `tick` run as, in this namespace alone"),
            Thing(CI_PLAN, _account(CI_PLAN), "what plans run as: it reads, and reads no secrets"),
        ]

    def find(self) -> Mapping[str, Found]:
        """Ask the cluster. Raises MlinfraError where the kubeconfig has no such context, or nobody answers."""
        self._asking.check()
        return {thing.key: self._found(thing) for thing in self.things}

    def _found(self, thing: Thing) -> Found:
        from kubernetes import client

        if thing.key in (STATE, ARTIFACTS):
            return reached(thing.name)
        if thing.elsewhere:
            return Found(None, f"it is not asked: {thing.elsewhere}")
        ask, namespace = self._asking.ask, self._environment.namespace
        core, rights = client.CoreV1Api(self._asking.api), client.RbacAuthorizationV1Api(self._asking.api)
        try:
            if thing.key == NAMESPACE:
                state = ask(core.read_namespace, namespace).status.phase
                return Found(True, "" if state in (None, "Active") else f"is {state}")
            ask(core.read_namespaced_service_account, thing.name, namespace)
            ask(rights.read_namespaced_role, thing.name, namespace)
            ask(rights.read_namespaced_role_binding, thing.name, namespace)
        except Absent:
            return Found(False)
        except Untold as why:
            return Found(None, str(why))
        return Found(True)

    def declare(self, keys: Collection[str]) -> None:
        """Register these things."""
        import pulumi_kubernetes as k8s

        environment = self._environment
        provider = k8s.Provider(environment.name, context=environment.context, enable_server_side_apply=True)
        first: list[pulumi.Resource] = []
        if NAMESPACE in keys:
            tags = {**labels(environment), **_SECURITY, **_ENFORCED}
            first.append(
                k8s.core.v1.Namespace(
                    NAMESPACE,
                    metadata=k8s.meta.v1.ObjectMetaArgs(name=environment.namespace, labels=tags),
                    opts=Footing(NAMESPACE).options(provider),
                )
            )
        for key in (CI, CI_PLAN):
            if key in keys:
                self._ci(key, provider, first)

    def _ci(self, key: str, provider: k8s.Provider, first: list[pulumi.Resource]) -> None:
        """An account without a token of its own: a job asks for one that ends, or runs as it in the cluster."""
        import pulumi_kubernetes as k8s

        environment, called = self._environment, _account(key)
        inside = k8s.meta.v1.ObjectMetaArgs(name=called, namespace=environment.namespace, labels=labels(environment))
        opts = Footing(key).options(provider, first)
        k8s.core.v1.ServiceAccount(key, metadata=inside, automount_service_account_token=False, opts=opts)
        rules = [
            k8s.rbac.v1.PolicyRuleArgs(api_groups=[rule.group], resources=list(rule.resources), verbs=list(rule.verbs))
            for rule in (NEEDED if key == CI else PLAN)
        ]
        k8s.rbac.v1.Role(key, metadata=inside, rules=rules, opts=opts)
        k8s.rbac.v1.RoleBinding(
            key,
            metadata=inside,
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=called),
            subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=called, namespace=environment.namespace)],
            opts=opts,
        )


def _account(key: str) -> str:
    return f"mlinfra-{key}"
