"""record(): runs a Pulumi program on an in-memory monitor; no engine, no network, no credentials."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from mlinfra.resources import STACK_TYPE, Resource, Resources, hide_secrets
from mlinfra.wire import fields

_FRAMES = 8
_IDENTITIES = "userAssignedIdentities"
_MAKES_FORMER_URN = "collapse_alias_to_urn"


def record(program: Callable[[], object], *, project: str, stack: str) -> Resources:
    """Return the resources that `program` registers, with wire inputs as `pulumi preview --json` shows them.

    Outputs that only a target can know are unknown, as in a preview. What the program raises comes through.
    """
    from pulumi.runtime import mocks, settings
    from pulumi.runtime.proto import resource_pb2
    from pulumi.runtime.stack import run_in_stack

    class Monitor(mocks.MockMonitor):
        def __init__(self) -> None:
            super().__init__(_NoMocks())
            self.recorded: list[Resource] = []
            self.former: dict[str, tuple[str, ...]] = {}

        def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the protocol's own name
            urn = self.make_urn(request.parent, request.type, request.name)
            self.former[urn] = self.former_names(request)
            self.recorded.append(
                Resource(
                    urn=urn,
                    type=request.type,
                    name=request.name,
                    inputs=hide_secrets(fields(request.object)),
                    parent=request.parent,
                    dependencies=sorted(set(request.dependencies)),
                    protect=request.protect,
                    custom=request.custom,
                    aliases=self.former[urn],
                    ignore_changes=tuple(request.ignoreChanges),
                    provider=request.provider,
                    property_dependencies={
                        key: sorted(value.urns) for key, value in sorted(request.propertyDependencies.items())
                    },
                )
            )
            return resource_pb2.RegisterResourceResponse(urn=urn, id="", object=_answered(request.object))

        def former_names(self, request: Any) -> tuple[str, ...]:
            # as the engine does: a child named after its parent is found under the parent's former names too
            own = [alias.spec.name for alias in request.aliases if alias.spec.name]
            parent = request.parent.split("::", 3)[-1]
            rest = request.name.removeprefix(parent)
            inherited = [f"{name}{rest}" for name in self.former.get(request.parent, ()) if rest != request.name]
            return tuple(dict.fromkeys([*own, *inherited]))

        def make_urn(self, parent: str, type_: str, name: str) -> str:
            # as the engine does: the types of all parents, but not the stack's own
            chain = "" if not parent or f"::{STACK_TYPE}::" in parent else parent.split("::")[2] + "$"
            return f"urn:pulumi:{stack}::{project}::{chain}{type_}::{name}"

    class _NoMocks(mocks.Mocks):
        def call(self, args: Any) -> Any:
            return {}, []

        def new_resource(self, args: Any) -> Any:
            return "", args.inputs

    def run() -> None:
        program()

    def execute() -> None:
        settings.configure(
            mocks.MockSettings(  # type: ignore[no-untyped-call]
                monitor=monitor,
                monitor_features=set(monitor.GetDeploymentInfo(None).supportedFeatures),  # type: ignore[no-untyped-call]
                engine=mocks.MockEngine(None),
                project=project,
                stack=stack,
                dry_run=True,
                organization=None,
                callbacks=None,
            )
        )
        settings.set_root_resource(None)  # type: ignore[arg-type]
        loop.run_until_complete(run_in_stack(run))

    monitor = Monitor()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        # Pulumi's settings are context variables: a context of its own leaves those of the caller alone
        with _short_stacks(), _no_former_urns():
            copy_context().run(execute)
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return Resources(sorted(monitor.recorded, key=lambda resource: resource.urn))


def _answered(given: Any) -> Any:
    """Return inputs as a provider answers them: where azure-native takes a list of identities, it answers a mapping."""
    for value in given.fields.values():
        inside = value.struct_value.fields if value.HasField("struct_value") else {}
        if _IDENTITIES in inside and inside[_IDENTITIES].HasField("list_value"):
            ids = [item.string_value for item in inside[_IDENTITIES].list_value.values]
            inside[_IDENTITIES].struct_value.update({id_: {} for id_ in ids})
    return given


@contextmanager
def _short_stacks() -> Iterator[None]:
    """Let the SDK see the nearest frames only: with each resource it sends the whole stack, which nobody reads here,
    and reading that takes a fifth of the time of a registration."""
    before = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = _FRAMES
    try:
        yield
    finally:
        if before is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = before


@contextmanager
def _no_former_urns() -> Iterator[None]:
    """Let the SDK make no URN of each alias of each resource: only engines that know no alias asked for them, and
    azure-native, with an alias for each version of its API, spends four fifths of a registration on them."""
    from pulumi import resource

    before = getattr(resource, _MAKES_FORMER_URN)
    setattr(resource, _MAKES_FORMER_URN, lambda *_: None)
    try:
        yield
    finally:
        setattr(resource, _MAKES_FORMER_URN, before)
