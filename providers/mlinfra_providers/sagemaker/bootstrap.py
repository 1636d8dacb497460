"""What must exist at AWS before the first `up`: buckets for state and models, a key, repositories of images, and roles
that pipelines take by OpenID Connect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlinfra.environment import Environment
from mlinfra.footing import Footing, reached
from mlinfra.foundation import ARTIFACTS, CI, CI_PLAN, IMAGES, KEY, OIDC, STATE, Found, SourceHost, Thing
from mlinfra_providers.sagemaker.asking import Absent, Asking, Untold
from mlinfra_providers.sagemaker.naming import ROLE_LIMIT, arn, partition
from mlinfra_providers.sagemaker.permissions import (
    Grant,
    bucket_of,
    kept,
    key_of,
    needed,
    repositories,
    worldwide,
)
from mlinfra_providers.sagemaker.roles import allow, policy
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import tags_of

if TYPE_CHECKING:
    import pulumi
    import pulumi_aws as aws

AUDIENCE = "sts.amazonaws.com"
"""https://docs.github.com/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws"""
SESSION_SECONDS = 3600
OLD_VERSIONS_DAYS = 90
"""How long older versions of a state are kept: long enough to go back to one."""


class AwsFoundation:
    """The foundation of one environment at AWS."""

    def __init__(self, environment: Environment, source: SourceHost | None) -> None:
        self._environment = environment
        self._source = source
        self._asking = Asking(environment)
        self.left_out: dict[str, str] = {}
        self.things: Sequence[Thing] = tuple(self._things())

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of CI, by which its jobs take the roles."""
        if self._source is None:
            return {}
        environment = self._environment
        own = f"MLINFRA_{environment.name.upper().replace('-', '_')}_AWS"
        role = {key: worldwide(environment, "iam", f"role/{self._role(key)}") for key in (CI, CI_PLAN)}
        return {
            f"{own}_REGION": environment.region or "",
            f"{own}_ROLE": role[CI],
            f"{own}_PLAN_ROLE": role[CI_PLAN],
        }

    def _things(self) -> list[Thing]:
        environment, things = self._environment, []
        for key, url, why in (
            (STATE, environment.state, "keeps the state of Pulumi"),
            (ARTIFACTS, environment.artifacts, "keeps the models, by their digests"),
        ):
            found = bucket_of(url)
            if found is None:
                things.append(Thing(key, url or "", why, "it is not in S3: it is made where it is"))
            elif found[0] not in [thing.name for thing in things]:
                things.append(Thing(key, found[0], why))
        things += self._keys()
        things += [
            Thing(f"{IMAGES}-{number}", name, "holds the images that run; a pushed one is never overwritten")
            for number, name in enumerate(repositories(environment), 1)
        ]
        return things + self._ci()

    def _keys(self) -> list[Thing]:
        why, key = "encrypts the state and the secrets in it", key_of(self._environment)
        if self._environment.secrets_provider is None:
            self.left_out[KEY] = "no secrets_provider is written: secrets are encrypted with a passphrase"
            return []
        if key is None:
            return [Thing(KEY, self._environment.secrets_provider, why, "it is not of AWS: it is made where it is")]
        if not key.startswith("alias/"):
            return [Thing(KEY, key, why, "it is named by its id, which AWS chooses: name an alias to have it made")]
        return [Thing(KEY, key, why)]

    def _ci(self) -> list[Thing]:
        if self._source is None:
            self.left_out[CI] = "the remote `origin` of this repository is on no GitHub and no GitLab"
            return []
        trusted = {key: self._source.subject(plan=key == CI_PLAN) for key in (CI, CI_PLAN)}
        return [
            Thing(OIDC, self._issuer, "lets jobs of the git host prove who they are, without a key"),
            Thing(CI, self._role(CI), f"what `mlinfra up` and `tick` run as: {trusted[CI]}"),
            Thing(CI_PLAN, self._role(CI_PLAN), f"reads state and artifacts for plans: {trusted[CI_PLAN]}"),
        ]

    @property
    def _issuer(self) -> str:
        assert self._source is not None
        return self._source.issuer.removeprefix("https://")

    @property
    def _issuer_arn(self) -> str:
        return worldwide(self._environment, "iam", f"oidc-provider/{self._issuer}")

    @property
    def _data_key(self) -> str | None:
        """The key of what the parts read: their own roles know the environment's key, and no other."""
        return self._environment.encryption.key if self._environment.encryption else None

    def _role(self, key: str) -> str:
        return short_name(self._environment.name, "mlinfra", key, limit=ROLE_LIMIT)

    def find(self) -> Mapping[str, Found]:
        """Ask AWS. Raises MlinfraError without credentials of the account."""
        self._asking.check_account()
        return {thing.key: self._found(thing) for thing in self.things}

    def _found(self, thing: Thing) -> Found:
        if thing.elsewhere and not (thing.key == KEY and key_of(self._environment)):
            return Found(None, thing.elsewhere) if thing.key == KEY else reached(thing.name)
        ask, kind = self._asking.ask, thing.key.partition("-")[0] if thing.key.startswith(IMAGES) else thing.key
        lacks: Callable[[], str] = str
        try:
            match kind:
                case "state" | "artifacts":
                    ask("s3", "head_bucket", Bucket=thing.name)
                    lacks = self._bucket_lacks(thing.name)
                case "key":
                    state = ask("kms", "describe_key", KeyId=thing.name)["KeyMetadata"]["KeyState"]
                    return Found(True, "" if state == "Enabled" else f"is {state}")
                case "images":
                    ask("ecr", "describe_repositories", repositoryNames=[thing.name])
                case "oidc":
                    ask("iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=self._issuer_arn)
                case _:
                    ask("iam", "get_role", RoleName=thing.name)
        except Absent:
            return Found(False)
        except Untold as why:
            return Found(None, str(why))
        return Found(True, lacks())

    def _bucket_lacks(self, name: str) -> Callable[[], str]:
        def lacks() -> str:
            found = []
            try:
                if self._asking.ask("s3", "get_bucket_versioning", Bucket=name).get("Status") != "Enabled":
                    found.append("it keeps no versions")
                try:
                    blocked = self._asking.ask("s3", "get_public_access_block", Bucket=name)
                    if not all(blocked["PublicAccessBlockConfiguration"].values()):
                        found.append("the public is not shut out of it")
                except (Absent, Untold) as why:
                    if "NoSuchPublicAccessBlock" in str(why):
                        found.append("the public is not shut out of it")
                    else:
                        found.append(f"whether the public is shut out is not known: {why}")
            except (Absent, Untold) as why:
                found.append(f"how it is set up is not known: {why}")
            return "; ".join(found)

        return lacks

    def declare(self, keys: Collection[str]) -> None:
        """Register these things."""
        import pulumi_aws as aws

        environment = self._environment
        provider = aws.Provider(
            environment.name, region=environment.region, allowed_account_ids=[environment.account or ""]
        )
        made = _Made(environment, provider)
        key: pulumi.Input[str] | None = None
        issued: list[pulumi.Resource] = []
        named = {thing.key: thing for thing in self.things}
        alias = key_of(environment)
        if KEY in keys:
            key = made.key(named[KEY].name)
        elif alias is not None:
            key = arn(environment, "kms", alias) if alias.startswith("alias/") else alias
        for thing in self.things:
            if thing.key not in keys:
                continue
            if thing.key == STATE:
                models = bucket_of(environment.artifacts)
                made.bucket(thing, key if models is None or models[0] != thing.name else self._data_key)
            elif thing.key == ARTIFACTS:
                made.bucket(thing, self._data_key)
            elif thing.key.startswith(IMAGES):
                made.repository(thing)
            elif thing.key == OIDC:
                issued = [made.issuer(thing)]
            elif thing.key in (CI, CI_PLAN):
                grants = needed(environment) if thing.key == CI else kept(environment, write=False)
                made.role(thing, self._trust(plan=thing.key == CI_PLAN), self.rights(grants), issued)

    def _trust(self, *, plan: bool) -> str:
        assert self._source is not None
        subject = self._source.subject(plan=plan)
        audience, whose = {f"{self._issuer}:aud": AUDIENCE}, {f"{self._issuer}:sub": subject}
        wild = "*" in subject
        condition = {"StringEquals": audience if wild else audience | whose, **({"StringLike": whose} if wild else {})}
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": self._issuer_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition,
        }
        return policy([statement])

    def rights(self, grants: Sequence[Grant]) -> str:
        """Return a policy; nobody widens these roles with themselves."""
        environment = self._environment
        stated: list[dict[str, Any]] = []
        for grant in grants:
            stated.append(allow(grant.actions, grant.resources, **grant.when))
        looking = sorted({action for grant in grants for action in grant.looking})
        if looking:
            stated.append(allow(looking, ["*"]))
        own = [worldwide(environment, "iam", f"role/{self._role(key)}") for key in (CI, CI_PLAN)]
        writes = ["iam:Attach*", "iam:Delete*", "iam:Detach*", "iam:Put*", "iam:Tag*", "iam:Untag*", "iam:Update*"]
        stated.append({"Effect": "Deny", "Action": writes, "Resource": own})
        return policy(stated)


class _Made:
    """Registers."""

    def __init__(self, environment: Environment, provider: aws.Provider) -> None:
        self._environment = environment
        self._provider = provider
        self._tags = tags_of(environment)

    def key(self, alias: str) -> pulumi.Output[str]:
        """A key that rotates, which the account's own policies give out."""
        import pulumi_aws as aws

        opts = Footing(KEY).options(self._provider)
        root = f"arn:{partition(self._environment)}:iam::{self._environment.account}:root"
        made = aws.kms.Key(
            KEY,
            description=f"mlinfra: the state of {self._environment.name}, and the secrets in it",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=policy([{**allow(["kms:*"], ["*"]), "Principal": {"AWS": root}}]),
            tags=self._tags,
            opts=opts,
        )
        aws.kms.Alias(KEY, name=alias, target_key_id=made.key_id, opts=opts)
        return made.arn

    def bucket(self, thing: Thing, key: pulumi.Input[str] | None) -> None:
        """A bucket: versioned, encrypted, closed to the public, and only by TLS. Without a key, S3's own encrypts."""
        import pulumi_aws as aws

        label, opts = thing.key, Footing(thing.key).options(self._provider)
        bucket = aws.s3.Bucket(label, bucket=thing.name, tags=self._tags, opts=opts)
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms" if key is not None else "AES256", kms_master_key_id=key
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            label,
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=default, bucket_key_enabled=key is not None
                )
            ],
            opts=opts,
        )
        aws.s3.BucketVersioning(
            label,
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=opts,
        )
        aws.s3.BucketPublicAccessBlock(
            label,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=opts,
        )
        aws.s3.BucketOwnershipControls(
            label,
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=opts,
        )
        rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="old versions end",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=OLD_VERSIONS_DAYS
            ),
            abort_incomplete_multipart_upload=(
                aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(days_after_initiation=7)
            ),
        )
        aws.s3.BucketLifecycleConfiguration(label, bucket=bucket.bucket, rules=[rule], opts=opts)
        whole = arn(self._environment, "s3", thing.name)
        refused = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [whole, f"{whole}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        aws.s3.BucketPolicy(label, bucket=bucket.bucket, policy=policy([refused]), opts=opts)

    def repository(self, thing: Thing) -> None:
        """A repository whose tags stay what they are; pushed images are scanned."""
        import pulumi_aws as aws

        environment = self._environment
        key = environment.encryption.key if environment.encryption else None
        encryption = aws.ecr.RepositoryEncryptionConfigurationArgs(
            encryption_type="KMS" if key else "AES256", kms_key=key
        )
        aws.ecr.Repository(
            thing.key,
            name=thing.name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[encryption],
            tags=self._tags,
            opts=Footing(thing.key).options(self._provider),
        )

    def issuer(self, thing: Thing) -> pulumi.Resource:
        """The issuer of tokens: one for the whole account."""
        import pulumi_aws as aws

        return aws.iam.OpenIdConnectProvider(
            OIDC,
            url=f"https://{thing.name}",
            client_id_lists=[AUDIENCE],
            tags=self._tags,
            opts=Footing(OIDC).options(self._provider),
        )

    def role(self, thing: Thing, trust: str, rights: str, first: list[pulumi.Resource]) -> None:
        """A role that jobs of one repository take, with a policy of its own."""
        import pulumi_aws as aws

        opts = Footing(thing.key).options(self._provider, first)
        made = aws.iam.Role(
            thing.key,
            name=thing.name,
            description=f"mlinfra: {thing.key} of {self._environment.name}",
            assume_role_policy=trust,
            max_session_duration=SESSION_SECONDS,
            tags=self._tags,
            opts=opts,
        )
        aws.iam.RolePolicy(thing.key, name="mlinfra", role=made.name, policy=rights, opts=opts)
