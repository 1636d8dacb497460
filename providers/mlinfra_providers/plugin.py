"""The Pulumi resource plugin `mlinfra`: one process that serves every resource type of `mlinfra:<module>:<Type>`.

The engine finds the executable `pulumi-resource-mlinfra` beside the interpreter. Handlers come from the entry point
group `mlinfra.resources`: name = module of the type token, value = a mapping of type names to `Handler` classes.
Protocol: pulumi/provider.proto of the Pulumi SDK. Why not dynamic resources: docs/architecture.md.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from mlinfra.installed import installed
from mlinfra.problems import MlinfraError, tells_no_room
from mlinfra.wire import fields
from mlinfra_providers.handler import Handler

GROUP = "mlinfra.resources"
FINISH_SECONDS = 600.0
"""An operation that has begun is finished: half of it would be recorded as nothing."""
DESTROY = "MLINFRA_DESTROY_DATA"
"""Names, separated by blanks, the URNs of resources whose data the environment lets an `up` destroy."""
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@cache
def handler_class(token: str) -> type[Handler]:
    """Return the handler of a type token `mlinfra:<module>:<Type>`.

    Raises:
        MlinfraError: no installed package brings it.
    """
    _, module, name = token.split(":")
    for point in installed(GROUP):
        if point.name == module:
            handlers: Mapping[str, type[Handler]] = point.load()
            if name in handlers:
                return handlers[name]
    raise MlinfraError(f"no resource type {token!r} is installed", remedy="install the package of its adapter")


def to_struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return properties in the form of the wire."""
    made = struct_pb2.Struct()
    made.update(dict(value))
    return made


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return properties from the wire; whole numbers come back as integers, the engine's own keys are left out."""
    return {key: value for key, value in fields(struct).items() if not key.startswith("__")}


def _unknown(handler: Handler) -> dict[str, str]:
    return dict.fromkeys(handler.outputs, _UNKNOWN)


def _explained(method: Callable[..., Any]) -> Callable[..., Any]:
    """An expected error reaches the user as its message; anything else as a defect with its last line of code."""

    @wraps(method)
    def wrapped(self: Plugin, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except MlinfraError as error:
            _abort(context, f"{error.message}\n{error.remedy}".strip())
        except Exception as error:  # noqa: BLE001  the engine needs an answer whatever happened
            if tells_no_room(str(error)):
                _abort(context, str(error))
            logging.getLogger(__name__).error("%s", traceback.format_exc())
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            _abort(context, f"a defect in mlinfra at {place}: {type(error).__name__}: {error}")

    return wrapped


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Translates the engine's calls to those of the handlers."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def _handler(self, urn: str) -> Handler:
        return handler_class(urn.split("::")[2].split("$")[-1])(self._repository)

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=False, accept_resources=False)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=version("mlinfra-toolkit"))

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema='{"name": "mlinfra"}')

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    @_explained
    def Check(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.news)
        known = {key: value for key, value in inputs.items() if value != _UNKNOWN}
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in self._handler(request.urn).check(known)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @_explained
    def Diff(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn)
        old = from_struct(request.old_inputs if request.HasField("old_inputs") else request.olds)
        new = from_struct(request.news)
        changed = sorted(handler.differs(old, new))
        replaced = sorted(handler.immutable.intersection(changed))
        lost = None if replaced else handler.loses(old, new)
        if lost and request.urn not in os.environ.get(DESTROY, "").split():
            raise MlinfraError(
                f"{lost}: refused, whoever reads this would break",
                remedy="declare something new, and let its readers move",
            )
        if lost:
            replaced = changed
        kinds = provider_pb2.PropertyDiff
        detailed = {
            name: kinds(
                kind=kinds.UPDATE_REPLACE if name in replaced else kinds.UPDATE,
                inputDiff=True,
            )
            for name in changed
        }
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            replaces=replaced,
            deleteBeforeReplace=bool(lost),
            diffs=changed,
            detailedDiff=detailed,
            hasDetailedDiff=bool(changed),
        )

    @_explained
    def Create(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.properties)
        handler = self._handler(request.urn)
        if request.preview:  # the engine asks what would be known; nothing is made
            return provider_pb2.CreateResponse(properties=to_struct({**inputs, **_unknown(handler)}))
        id_, outputs = handler.create(inputs)
        return provider_pb2.CreateResponse(id=id_, properties=to_struct({**inputs, **outputs}))

    @_explained
    def Read(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.inputs) or from_struct(request.properties)
        found = self._handler(request.urn).read(request.id, inputs)
        if found is None:
            return provider_pb2.ReadResponse(id="")
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=to_struct(found.inputs),
            properties=to_struct({**found.inputs, **found.outputs}),
        )

    @_explained
    def Update(self, request: Any, context: Any) -> Any:
        old = from_struct(request.old_inputs if request.HasField("old_inputs") else request.olds)
        new = from_struct(request.news)
        handler = self._handler(request.urn)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct({**new, **_unknown(handler)}))
        outputs = handler.update(request.id, old, new)
        return provider_pb2.UpdateResponse(properties=to_struct({**new, **outputs}))

    @_explained
    def Delete(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.old_inputs if request.HasField("old_inputs") else request.properties)
        self._handler(request.urn).delete(request.id, inputs)
        return empty_pb2.Empty()


def die_with_parent() -> None:
    """End this process when the engine is killed: an orphan would go on changing things that nobody records."""
    parent = os.getppid()

    def watch() -> None:
        waiting = threading.Event()
        while not waiting.wait(0.5):
            if os.getppid() != parent:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Serve until the engine ends; prints the port, as the engine expects of a plugin."""
    from mlinfra.repository import Repository

    die_with_parent()
    here = Path(os.environ.get("MLINFRA_REPOSITORY", Path.cwd()))
    limit = 400 * 1024 * 1024
    server = grpc.server(
        ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(Repository.find(here).root), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # the engine interrupts its plugins when it has done
        signal.signal(number, lambda *_: ending.set())
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ending.wait()
    server.stop(FINISH_SECONDS).wait()


if __name__ == "__main__":
    main()
