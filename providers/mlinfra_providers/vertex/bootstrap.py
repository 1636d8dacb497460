"""What must exist at Google before the first `up`: buckets for state and models, a key, repositories of images, and
service accounts that pipelines become by workload identity federation.

https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from mlinfra.environment import Environment
from mlinfra.footing import Footing, reached
from mlinfra.foundation import ARTIFACTS, CI, CI_PLAN, IMAGES, KEY, OIDC, STATE, Found, SourceHost, Thing
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex import permissions
from mlinfra_providers.vertex.asking import Absent, Asking, Untold
from mlinfra_providers.vertex.naming import ACCOUNT_LIMIT, ROLE_LIMIT

if TYPE_CHECKING:
    import pulumi
    import pulumi_gcp as gcp

KMS = "gcpkms://"
POOL_LIMIT = 32
ROTATION = "7776000s"
"""90 days."""
OLD_VERSIONS_DAYS = 90
_MAPPED = {"github": "repository", "gitlab": "project_path"}
"""The claim of a token that names the repository."""
_USES = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


def bucket_of(url: str | None) -> str | None:
    """Return the bucket of `gs://bucket/prefix`; None for what is not in Cloud Storage."""
    if url is None or not url.startswith("gs://"):
        return None
    return url.removeprefix("gs://").partition("?")[0].partition("/")[0]


def key_of(environment: Environment) -> str | None:
    """Return the key of the secrets provider by its resource name; None for another provider."""
    url = environment.secrets_provider or ""
    return url.removeprefix(KMS).strip("/") if url.startswith(KMS) else None


def repositories(environment: Environment) -> dict[str, str]:
    """Return the repositories of images of this project, each with its location; one where no image is named yet."""
    if environment.images is None:
        return {"mlinfra": environment.region or ""}
    found = {}
    for image in (environment.images.serving, environment.images.training):
        host, project, repository = (*image.partition("@")[0].split("/"), "", "")[:3]
        if host.endswith("-docker.pkg.dev") and project == environment.account:
            found[repository] = host.removesuffix("-docker.pkg.dev")
    return found


class GoogleFoundation:
    """The foundation of one environment in a project."""

    def __init__(self, environment: Environment, source: SourceHost | None) -> None:
        self._environment = environment
        self._source = source
        self._asking = Asking(environment)
        self._number = f"NUMBER-OF-{environment.account}"
        self.left_out: dict[str, str] = {}
        self.things: Sequence[Thing] = tuple(self._things())

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of CI; the project's number is known once Google was asked."""
        if self._source is None:
            return {}
        own = f"MLINFRA_{self._environment.name.upper().replace('-', '_')}_GCP"
        pool = f"projects/{self._number}/locations/global/workloadIdentityPools/{self._pool}"
        return {
            f"{own}_PROVIDER": f"{pool}/providers/{self._source.kind}",
            f"{own}_ACCOUNT": self._email(CI),
            f"{own}_PLAN_ACCOUNT": self._email(CI_PLAN),
        }

    def _things(self) -> list[Thing]:
        environment, things = self._environment, []
        for key, url, why in (
            (STATE, environment.state, "keeps the state of Pulumi"),
            (ARTIFACTS, environment.artifacts, "keeps the models, by their digests"),
        ):
            bucket = bucket_of(url)
            if bucket is None:
                things.append(Thing(key, url or "", why, "it is not in Cloud Storage: it is made where it is"))
            elif bucket not in [thing.name for thing in things]:
                things.append(Thing(key, bucket, why))
        key_name, why = key_of(environment), "encrypts the state and the secrets in it"
        if environment.secrets_provider is None:
            self.left_out[KEY] = "no secrets_provider is written: secrets are encrypted with a passphrase"
        elif key_name is None:
            things.append(Thing(KEY, environment.secrets_provider, why, "it is not of Google: it is made where it is"))
        elif not key_name.startswith(f"projects/{environment.account}/"):
            things.append(Thing(KEY, key_name, why, "it is of another project: it is made there"))
        else:
            things.append(Thing(KEY, key_name, why))
        things += [
            Thing(f"{IMAGES}-{number}", name, "holds the images that run; a pushed tag stays what it is")
            for number, name in enumerate(repositories(environment), 1)
        ]
        if self._source is None:
            self.left_out[CI] = "the remote `origin` of this repository is on no GitHub and no GitLab"
            return things
        trusted = {key: self._source.subject(plan=key == CI_PLAN) for key in (CI, CI_PLAN)}
        return [
            *things,
            Thing(OIDC, self._pool, "lets jobs of this repository prove who they are, without a key"),
            Thing(CI, self._account(CI), f"what `mlinfra up` and `tick` run as: {trusted[CI]}"),
            Thing(CI_PLAN, self._account(CI_PLAN), f"reads state and artifacts for plans: {trusted[CI_PLAN]}"),
        ]

    @property
    def _pool(self) -> str:
        return short_name(self._environment.name, "mlinfra", limit=POOL_LIMIT)

    def _account(self, key: str) -> str:
        return short_name(self._environment.name, "mlinfra", key, limit=ACCOUNT_LIMIT)

    def _email(self, key: str) -> str:
        return f"{self._account(key)}@{self._environment.account}.iam.gserviceaccount.com"

    def find(self) -> Mapping[str, Found]:
        """Ask Google. Raises MlinfraError without credentials that see the project."""
        self._number = self._asking.number()
        return {thing.key: self._found(thing) for thing in self.things}

    def _found(self, thing: Thing) -> Found:
        if thing.elsewhere:
            return Found(None, thing.elsewhere) if thing.key == KEY else reached(thing.name)
        try:
            told = self._asking.ask(self._address(thing))
        except Absent:
            return Found(False)
        except Untold as why:
            return Found(None, str(why))
        if thing.key == OIDC and told.get("state") == "DELETED":
            return Found(None, "it was deleted, and its name is kept for 30 days: undelete it first")
        lacks = []
        if thing.key in (STATE, ARTIFACTS):
            if not told.get("versioning", {}).get("enabled"):
                lacks.append("it keeps no versions")
            if told.get("iamConfiguration", {}).get("publicAccessPrevention") != "enforced":
                lacks.append("the public is not shut out of it")
        return Found(True, "; ".join(lacks))

    def _address(self, thing: Thing) -> str:
        project = f"projects/{self._environment.account}"
        if thing.key in (STATE, ARTIFACTS):
            return f"https://storage.googleapis.com/storage/v1/b/{thing.name}"
        if thing.key == KEY:
            return f"https://cloudkms.googleapis.com/v1/{thing.name}"
        if thing.key.startswith(IMAGES):
            location = repositories(self._environment)[thing.name]
            place = f"{project}/locations/{location}/repositories/{thing.name}"
            return f"https://artifactregistry.googleapis.com/v1/{place}"
        if thing.key == OIDC:
            return f"https://iam.googleapis.com/v1/{project}/locations/global/workloadIdentityPools/{thing.name}"
        return f"https://iam.googleapis.com/v1/{project}/serviceAccounts/{self._email(thing.key)}"

    def declare(self, keys: Collection[str]) -> None:
        """Register these things."""
        import pulumi
        import pulumi_gcp as gcp

        environment = self._environment
        provider = gcp.Provider(environment.name, project=environment.account, region=environment.region)
        named = {thing.key: thing for thing in self.things if thing.key in keys}
        made = _Made(environment, provider)
        keyed = [made.key(named[KEY].name)] if KEY in named else []
        models, buckets = bucket_of(environment.artifacts), list[pulumi.Resource]()
        for key in (STATE, ARTIFACTS):
            if key in named:
                secret = key == STATE and named[key].name != models
                data = environment.encryption.key if environment.encryption else None
                buckets.append(
                    made.bucket(named[key], key_of(environment) if secret else data, keyed if secret else [])
                )
        for key, thing in named.items():
            if key.startswith(IMAGES):
                made.repository(thing, repositories(environment)[thing.name])
        pool = made.pool(self._pool, self._source) if OIDC in named and self._source is not None else None
        for key in (CI, CI_PLAN):
            if key in named and self._source is not None:
                self._identity(made, named[key], self._source, pool, [*keyed, *buckets])

    def _identity(
        self,
        made: _Made,
        thing: Thing,
        source: SourceHost,
        pool: gcp.iam.WorkloadIdentityPool | None,
        first: list[pulumi.Resource],
    ) -> None:
        """Whoever is in the pool already is named by its number, which only Google knows: so it is asked."""
        plan = thing.key == CI_PLAN
        subject = source.subject(plan=plan)
        who = f"attribute.repository/{source.repository}" if "*" in subject else f"subject/{subject}"
        kind = "principalSet" if "*" in subject else "principal"
        if pool is not None:
            member: pulumi.Input[str] = pool.name.apply(lambda name: f"{kind}://iam.googleapis.com/{name}/{who}")
        else:
            number = self._asking.number()
            place = f"projects/{number}/locations/global/workloadIdentityPools/{self._pool}"
            member = f"{kind}://iam.googleapis.com/{place}/{who}"
        made.identity(thing, member, plan=plan, key=key_of(self._environment), first=first)


class _Made:
    """Registers."""

    def __init__(self, environment: Environment, provider: gcp.Provider) -> None:
        self._environment = environment
        self._provider = provider
        self._labels = as_labels(tags_of(environment))

    def key(self, name: str) -> pulumi.Resource:
        """A key that rotates, in a ring of its own name; Cloud Storage's agent may use it."""
        import pulumi
        import pulumi_gcp as gcp

        environment = self._environment
        _, _, _, location, _, ring, _, key = name.split("/")
        opts = Footing(KEY).options(self._provider)
        made = gcp.kms.KeyRing(KEY, name=ring, project=environment.account, location=location, opts=opts)
        crypto = gcp.kms.CryptoKey(
            KEY,
            name=key,
            key_ring=made.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=ROTATION,
            labels=self._labels,
            opts=opts,
        )
        asked = pulumi.InvokeOptions(provider=self._provider)
        agent = gcp.storage.get_project_service_account_output(project=environment.account, opts=asked)
        return gcp.kms.CryptoKeyIAMMember(
            f"{KEY}-storage", crypto_key_id=crypto.id, role=_USES, member=agent.member, opts=opts
        )

    def bucket(self, thing: Thing, key: str | None, first: list[pulumi.Resource]) -> pulumi.Resource:
        """A bucket: versioned, encrypted, closed to the public, without rights of single objects."""
        import pulumi_gcp as gcp

        lifecycle = gcp.storage.BucketLifecycleRuleArgs(
            action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
            condition=gcp.storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=OLD_VERSIONS_DAYS),
        )
        return gcp.storage.Bucket(
            thing.key,
            name=thing.name,
            project=self._environment.account,
            location=(self._environment.region or "").upper(),
            force_destroy=False,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=gcp.storage.BucketVersioningArgs(enabled=True),
            encryption=gcp.storage.BucketEncryptionArgs(default_kms_key_name=key) if key else None,
            lifecycle_rules=[lifecycle],
            labels=self._labels,
            opts=Footing(thing.key).options(self._provider, first),
        )

    def repository(self, thing: Thing, location: str) -> None:
        """A repository whose tags stay what they are."""
        import pulumi_gcp as gcp

        environment = self._environment
        gcp.artifactregistry.Repository(
            thing.key,
            repository_id=thing.name,
            project=environment.account,
            location=location,
            format="DOCKER",
            docker_config=gcp.artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
            kms_key_name=environment.encryption.key if environment.encryption else None,
            labels=self._labels,
            opts=Footing(thing.key).options(self._provider),
        )

    def pool(self, name: str, source: SourceHost) -> gcp.iam.WorkloadIdentityPool:
        """A pool that takes tokens of one repository, and of no other."""
        import pulumi_gcp as gcp

        claim, opts = _MAPPED[source.kind], Footing(OIDC).options(self._provider)
        project = self._environment.account
        pool = gcp.iam.WorkloadIdentityPool(OIDC, workload_identity_pool_id=name, project=project, opts=opts)
        gcp.iam.WorkloadIdentityPoolProvider(
            OIDC,
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=source.kind,
            project=project,
            attribute_mapping={"google.subject": "assertion.sub", "attribute.repository": f"assertion.{claim}"},
            attribute_condition=f"assertion.{claim} == '{source.repository}'",
            oidc=gcp.iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=source.issuer),
            opts=opts,
        )
        return pool

    def identity(
        self, thing: Thing, member: pulumi.Input[str], *, plan: bool, key: str | None, first: list[pulumi.Resource]
    ) -> None:
        """A service account without keys: only `member` becomes it. Roles are of its own permissions."""
        import pulumi_gcp as gcp

        environment, label = self._environment, thing.key
        project = environment.account or ""
        opts = Footing(label).options(self._provider, first)
        account = gcp.serviceaccount.Account(
            label, account_id=thing.name, project=project, display_name=f"mlinfra {label} {environment.name}", opts=opts
        )
        role = "roles/iam.workloadIdentityUser"
        gcp.serviceaccount.IAMMember(label, service_account_id=account.name, role=role, member=member, opts=opts)
        rights: dict[str, Sequence[str]] = {STATE: permissions.READING if plan else permissions.STATE}
        rights |= {ARTIFACTS: permissions.READING if plan else permissions.MODELS}
        if not plan:
            rights["project"] = tuple(
                sorted({one for each in permissions.needed(environment).values() for one in each})
            )
        for purpose, allowed in rights.items():
            made = gcp.projects.IAMCustomRole(
                f"{label}-{purpose}",
                role_id=short_name(environment.name, "mlinfra", label, purpose, limit=ROLE_LIMIT, separator="_"),
                project=project,
                title=f"mlinfra: {label} of {environment.name}, {purpose}",
                permissions=list(allowed),
                opts=opts,
            )
            bucket = bucket_of(getattr(environment, purpose, None))
            if purpose == "project":
                gcp.projects.IAMMember(
                    f"{label}-{purpose}", project=project, role=made.name, member=account.member, opts=opts
                )
            elif bucket is not None:
                gcp.storage.BucketIAMMember(
                    f"{label}-{purpose}", bucket=bucket, role=made.name, member=account.member, opts=opts
                )
        if key is not None:
            use = "roles/cloudkms.cryptoKeyDecrypter" if plan else _USES
            gcp.kms.CryptoKeyIAMMember(f"{label}-key", crypto_key_id=key, role=use, member=account.member, opts=opts)
