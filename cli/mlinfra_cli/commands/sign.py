"""mlinfra sign: vouch for a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    ("mlinfra sign 3f9c2ab1 --key key.pem", "environments with signed_by: key.pub then let it come"),
    ("MLINFRA_SIGNING_PASSWORD=… mlinfra sign 3f9c2ab1 --key key.pem", "with a key that has a password"),
)


def command(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A digest, or 8 or more of its first digits.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key: PEM, elliptic curve.")],
) -> None:
    """Sign a release with a private key; offline.

    The signature is kept beside the release in each artifact store that holds its artifact. A password of the key
    is read from MLINFRA_SIGNING_PASSWORD alone. Exit code 1 when the store of an environment cannot be read.
    """
    from mlinfra.operations.sign import sign
    from mlinfra.repository import Repository
    from mlinfra_cli import render

    signed = sign(Repository.find(), release, key)
    render.show(
        render.text(("signed ", "good"), f"{signed.release.short} ({signed.release.endpoint})"),
        *(render.text(f"kept in {store}", indent=2) for store in signed.stores),
    )
    if signed.unread:
        render.error(f"the store of {', '.join(signed.unread)} cannot be read", "mlinfra releases tells why")
        raise typer.Exit(1)
