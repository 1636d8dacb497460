"""A service account for each part, with the least that it needs: some prefixes of some buckets.

Conditions: https://cloud.google.com/storage/docs/access-control/iam (names of objects, and the prefix of a listing).
Images are pulled and logs written by Vertex AI's own agent, not by these accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.digests import digest_json, short
from mlinfra_providers.vertex.naming import account_email, account_id, options

READ, WRITE = "roles/storage.objectViewer", "roles/storage.objectUser"
_DIGITS = 6


def account(
    part: ResolvedPart, links: Links, purpose: str, *, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> list[pulumi.Resource]:
    """Register a part's account, and what it may do with `gs://bucket/prefix` places; return all that was made."""
    environment = links.environment
    made: list[pulumi.Resource] = [
        gcp.serviceaccount.Account(
            f"{part.part.name}-{purpose}",
            account_id=account_id(environment, part.part, purpose),
            display_name=f"mlinfra: {part.key} in {environment.name}"[:100],
            description=f"mlinfra: {purpose} of {part.stack}",
            project=environment.account,
            opts=options(links),
        )
    ]
    for role, uris in ((READ, reads), (WRITE, writes)):
        made += [_grant(part, links, purpose, role, uri, made[0]) for uri in dict.fromkeys(uris)]
    return made


def member(part: ResolvedPart, links: Links, purpose: str) -> str:
    """Return a part's account as policies name it."""
    return f"serviceAccount:{account_email(links.environment, part.part, purpose)}"


def _grant(
    part: ResolvedPart, links: Links, purpose: str, role: str, uri: str, owner: pulumi.Resource
) -> pulumi.Resource:
    bucket, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
    return gcp.storage.BucketIAMMember(
        f"{part.part.name}-{purpose}-{short(digest_json([role, uri]))[:_DIGITS]}",
        bucket=bucket,
        role=role,
        member=member(part, links, purpose),
        condition=gcp.storage.BucketIAMMemberConditionArgs(
            title=f"{role.rpartition('.')[2]} under one prefix",
            expression=(
                f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/{prefix}/") || '
                f'api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("{prefix}/")'
            ),
        ),
        opts=options(links, depends_on=[owner, *links.around.made]),
    )
