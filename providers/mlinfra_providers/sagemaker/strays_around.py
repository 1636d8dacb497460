"""What a killed run, or one that lost its connection, made around the parts and did not record.

Network, budget, bucket, database and feature group: AWS would refuse a second one of the same name or range with each
`up`, or (keys, networks) make another beside the first, which costs and which nobody finds. What is empty is removed,
so that the `up` that follows makes and records it; what is not is named. AWS tells of no network when it was made, and
removes only what nothing uses: that is asked of AWS itself (DependencyViolation, BucketNotEmpty).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import UTC, datetime
from typing import Any

from mlinfra.environment import Environment
from mlinfra.resources import Resources
from mlinfra_providers.sagemaker.around import budget_name, database_name, key_alias, key_description
from mlinfra_providers.sagemaker.clients import Clients, asking, explained, gone_is_fine, is_gone
from mlinfra_providers.sagemaker.storage import bucket_name

KEY_DAYS = 30
"""How long AWS keeps a key that is to be deleted, and takes it back: aws kms cancel-key-deletion."""
_IN_USE = ("DependencyViolation", "BucketNotEmpty")
_NETWORK = (
    ("VpcEndpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("SecurityGroup", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("Subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("RouteTable", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("Vpc", "describe_vpcs", "Vpcs", "VpcId"),
)
"""Kind, how it is listed, where the answer has the list, and the id of one; what is within comes first."""


class StraysAround:
    """What is there of one environment and belongs to no part alone, and its feature groups.

    `since`: what is older belongs to a state that somebody lost, where AWS tells the age.
    """

    def __init__(self, clients: Clients, environment: Environment, since: datetime) -> None:
        self._clients = clients
        self._environment = environment
        self._since = since

    def remove(self, recorded: Resources) -> Iterator[str]:
        """Remove what no resource of the state is, name what is not empty; yield a line for each."""
        if not recorded.declared():
            return
        known = {resource.id for resource in recorded.declared()}
        kinds = {resource.type.rpartition(":")[2] for resource in recorded.declared()}
        yield from self._feature_groups(known)
        if "CatalogDatabase" not in kinds:
            yield from self._database()
        if "Budget" not in kinds:
            yield from self._budget()
        if "Bucket" not in kinds and self._environment.bucket is None:
            yield from self._bucket()
        if self._environment.network is None or not self._environment.network.security_groups:
            named = self._environment.network.vpc if self._environment.network is not None else None
            ours = {item.id for item in recorded.declared() if item.type.endswith(":Vpc")} | ({named} - {None})
            yield from self._network(known, ours)
        if self._environment.encryption is None and "Alias" not in kinds:
            yield from self._alias()
        if self._environment.encryption is None and "Key" not in kinds:
            yield from self._keys()

    def _feature_groups(self, known: set[str]) -> Iterator[str]:
        api = self._clients("sagemaker")
        asked = {"NameContains": f"{self._environment.name}-", "CreationTimeAfter": self._since}
        with explained("looking for feature groups that no state has"):
            for page in api.get_paginator("list_feature_groups").paginate(**asked):
                for item in page["FeatureGroupSummaries"]:
                    name = item["FeatureGroupName"]
                    if name in known or not self._is_ours(api.list_tags(ResourceArn=item["FeatureGroupArn"])["Tags"]):
                        continue
                    told = api.describe_feature_group(FeatureGroupName=name)
                    if told.get("FeatureGroupStatus") == "Deleting":
                        continue
                    if told.get("OnlineStoreTotalSizeBytes") or self._has_rows(told):
                        yield _named(
                            "FeatureGroup", name, f"aws sagemaker delete-feature-group --feature-group-name {name}"
                        )
                        continue
                    with gone_is_fine():
                        api.delete_feature_group(FeatureGroupName=name)
                    self._until_gone(name)
                    yield _removed("FeatureGroup", name)

    def _has_rows(self, group: Mapping[str, Any]) -> bool:
        """Whether there are rows in the offline store: an Iceberg table has its metadata beside them from the start."""
        storage = group.get("OfflineStoreConfig", {}).get("S3StorageConfig", {})
        uri = storage.get("ResolvedOutputS3Uri")
        if not uri:
            return False
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self._clients("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        return any(item["Key"].endswith(".parquet") for page in pages for item in page.get("Contents", ()))

    def _until_gone(self, name: str) -> None:
        from botocore.exceptions import ClientError

        for _ in asking():
            try:
                self._clients("sagemaker").describe_feature_group(FeatureGroupName=name)
            except ClientError as error:
                if is_gone(error):
                    return
                raise

    def _database(self) -> Iterator[str]:
        from botocore.exceptions import ClientError

        api, name = self._clients("glue"), database_name(self._environment)
        with explained(f"looking for the database {name}"):
            try:
                found = api.get_database(Name=name)["Database"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "EntityNotFoundException":
                    raise
                return
            if not str(found.get("Description", "")).startswith("mlinfra:"):
                return
            if api.get_tables(DatabaseName=name)["TableList"]:
                yield _named("Database", name, f"aws glue delete-database --name {name}")
                return
            api.delete_database(Name=name)
            yield _removed("Database", name)

    def _budget(self) -> Iterator[str]:
        from botocore.exceptions import ClientError

        api, name = self._clients("budgets"), budget_name(self._environment)
        with explained(f"looking for the budget {name}"):
            try:
                api.describe_budget(AccountId=self._environment.account, BudgetName=name)
            except ClientError as error:
                # an environment without a budget grants nobody a look at it
                if error.response["Error"]["Code"] not in ("NotFoundException", "AccessDeniedException"):
                    raise
                return
            api.delete_budget(AccountId=self._environment.account, BudgetName=name)
            yield _removed("Budget", name)

    def _bucket(self) -> Iterator[str]:
        from botocore.exceptions import ClientError

        api, name = self._clients("s3"), bucket_name(self._environment)
        with explained(f"looking for the bucket {name}"):
            try:
                api.head_bucket(Bucket=name)
                api.delete_bucket(Bucket=name)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "BucketNotEmpty":
                    yield _named("Bucket", name, f"aws s3 rb s3://{name} --force; or write bucket: {name}")
                elif code not in ("404", "NoSuchBucket"):
                    raise
                return
            yield _removed("Bucket", name)

    def _network(self, known: set[str], ours: Set[str | None]) -> Iterator[str]:
        """Remove what is within our network; where none is known, the whole of one that was begun.

        With a network in the state, another one of the same tags is not touched: it may be another repository's.
        """
        from botocore.exceptions import ClientError

        api = self._clients("ec2")
        wanted = {"environment": self._environment.name, "managed-by": "mlinfra"}
        now = datetime.now(UTC)
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in wanted.items()]
        for kind, operation, listed, key in _NETWORK:
            with explained(f"looking for each {kind} that no state has"):
                for item in getattr(api, operation)(Filters=filters)[listed]:
                    if item[key] in known or (ours and item["VpcId"] not in ours):
                        continue
                    # gateways to S3 are removed whoever uses them: of those AWS tells the age
                    if item.get("State") in ("deleting", "deleted") or item.get("CreationTimestamp", now) < self._since:
                        continue
                    try:
                        with gone_is_fine():
                            _delete(api, kind, item[key])
                    except ClientError as error:
                        if error.response["Error"]["Code"] not in _IN_USE:
                            raise
                        yield _named(kind, item[key], "what uses it first, then it, in the console of VPC")
                        continue
                    yield _removed(kind, item[key])

    def _alias(self) -> Iterator[str]:
        api, called = self._clients("kms"), key_alias(self._environment)
        with explained(f"looking for {called}"):
            if (target := self._aliased(called)) is not None:
                with gone_is_fine():
                    api.delete_alias(AliasName=called)
                yield _removed("Alias", f"{called} of {target}")

    def _keys(self) -> Iterator[str]:
        """Let go of keys where the state has none: another is made, and who looks for the data's key must find it."""
        api = self._clients("kms")
        with explained("looking for keys that no state has"):
            for page in api.get_paginator("list_keys").paginate():
                for id_ in (item["KeyId"] for item in page["Keys"]):
                    if not self._is_our_key(id_):
                        continue
                    told = api.describe_key(KeyId=id_)["KeyMetadata"]
                    if told["Description"] != key_description(self._environment):
                        continue
                    if told["KeyState"] == "Enabled" and told["CreationDate"] >= self._since:
                        api.schedule_key_deletion(KeyId=id_, PendingWindowInDays=KEY_DAYS)
                        yield f"Key {id_} was made by a run that did not record it: AWS deletes it in {KEY_DAYS} days"

    def _aliased(self, called: str) -> str | None:
        """Return the key of an alias, where it is one of this environment's."""
        for page in self._clients("kms").get_paginator("list_aliases").paginate():
            for item in page["Aliases"]:
                if item["AliasName"] == called and (id_ := item.get("TargetKeyId")) and self._is_our_key(id_):
                    return str(id_)
        return None

    def _is_our_key(self, id_: str) -> bool:
        """Whether a key has our tags; whose tags nobody may read for us is another's."""
        from botocore.exceptions import ClientError

        try:
            tags = self._clients("kms").list_resource_tags(KeyId=id_).get("Tags", ())
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            return False
        return self._is_ours([{"Key": item["TagKey"], "Value": item["TagValue"]} for item in tags])

    def _is_ours(self, tags: list[dict[str, str]]) -> bool:
        said = {item["Key"]: item["Value"] for item in tags}
        return said.get("managed-by") == "mlinfra" and said.get("environment") == self._environment.name


def _delete(api: Any, kind: str, id_: str) -> None:
    if kind == "VpcEndpoint":
        api.delete_vpc_endpoints(VpcEndpointIds=[id_])
    elif kind == "SecurityGroup":
        api.delete_security_group(GroupId=id_)
    elif kind == "Subnet":
        api.delete_subnet(SubnetId=id_)
    elif kind == "RouteTable":
        api.delete_route_table(RouteTableId=id_)
    else:
        api.delete_vpc(VpcId=id_)


def _removed(kind: str, name: str) -> str:
    return f"{kind} {name} was made by a run that did not record it: removed"


def _named(kind: str, name: str, way_out: str) -> str:
    return f"{kind} {name} is in no state, and not empty, so it stays; where nobody needs it: {way_out}"
