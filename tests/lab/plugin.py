"""A Pulumi resource plugin for an emulated cloud: `python -m tests.lab.plugin aws` is `pulumi-resource-aws`.

It speaks `ResourceProvider` of pulumi's `provider.proto` and leaves everything else to a `Cloud`. Secrets stay
secret: their wrappers are taken off before the cloud sees a value and put back on what it answers.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path as File
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.lab.cloud import DEFAULTS, Cloud, Question, Refused, Unfinished
from tests.lab.wire import Path, Properties, differences, opened, sealed, shown, to_struct

CLOUDS = {
    "aws": "tests.lab.aws.cloud:Aws",
    "azure-native": "tests.lab.azure.cloud:Azure",
    "gcp": "tests.lab.gcp.cloud:Google",
    "kubernetes": "tests.lab.kubernetes.cloud:Kubernetes",
}
MESSAGE_BYTES = 400 * 1024 * 1024
THREADS = 32


def _explained(method: Callable[..., Any]) -> Callable[..., Any]:
    """A refusal reaches the user as its message; a defect of the lab with its last line of code."""

    @wraps(method)
    def wrapped(self: Plugin, request: Any, context: grpc.ServicerContext) -> Any:
        with self.working():
            try:
                return method(self, request, context)
            except Refused as error:
                _abort(context, str(error))
            except Unfinished as error:
                self.tell_unfinished(error, context)
            except Exception as error:  # noqa: BLE001  the engine needs an answer whatever happened
                if os.environ.get("LAB_TRACE"):
                    sys.stderr.write(traceback.format_exc())
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{File(frame.filename).name}:{frame.lineno}"
                _abort(context, f"a defect in the lab at {place}: {type(error).__name__}: {error}")

    return wrapped


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


def _token(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def _inner(value: Properties) -> Properties:
    return {key: item for key, item in value.items() if not key.startswith("__")}


def _settings(value: Properties) -> Properties:
    """Nested settings of a provider arrive as JSON text."""
    read = {}
    for key, item in value.items():
        try:
            read[key] = json.loads(item) if isinstance(item, str) and item[:1] in "[{tf" else item
        except ValueError:
            read[key] = item
    return read


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Translates the engine's calls to those of a cloud."""

    def __init__(self, name: str, cloud: Cloud) -> None:
        self._name = name
        self._cloud = cloud
        self._lock = threading.Lock()
        self._running = 0

    @contextmanager
    def working(self) -> Any:
        """Count the calls under way."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def idle(self) -> bool:
        """Say whether no call is under way."""
        with self._lock:
            return self._running == 0

    def tell_unfinished(self, error: Unfinished, context: grpc.ServicerContext) -> NoReturn:
        """Tell the engine what was made although it failed (`ErrorResourceInitFailed` of provider.proto)."""
        detail = provider_pb2.ErrorResourceInitFailed(
            id=error.id,
            properties=to_struct(error.outputs),
            inputs=to_struct(error.inputs),
            reasons=[error.reason],
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=error.reason)
        status.details.add().Pack(detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        _abort(context, error.reason)

    def _sealed(self, outputs: Properties, secrets: set[Path]) -> Any:
        sources = {path[0] for path in secrets}
        derived: set[Path] = {(name,) for name, source in self._cloud.derived.items() if source in sources}
        return to_struct(sealed(outputs, secrets | derived))

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=_version(self._name))

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": self._name}))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        same = request.old_inputs == request.news
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_NONE if same else kinds.DIFF_SOME)

    @_explained
    def Configure(self, request: Any, context: Any) -> Any:
        self._cloud.configure(_settings(opened(request.args)[0]))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    @_explained
    def Check(self, request: Any, context: Any) -> Any:
        inputs, secrets = opened(request.news)
        old, _ = opened(request.olds)
        answer = self._cloud.check(Question(_token(request.urn), request.name, inputs, old, request.randomSeed))
        failures = [
            # a nested `property` is printed as `value {<nil>}`, so the path is part of the reason
            provider_pb2.CheckFailure(reason=f"{shown(failure.path)}: {failure.message}")
            for failure in answer.failures
        ]
        return provider_pb2.CheckResponse(inputs=to_struct(sealed(answer.inputs, secrets)), failures=failures)

    @_explained
    def Diff(self, request: Any, context: Any) -> Any:
        old = _inner(opened(request.old_inputs)[0])
        new = _inner(opened(request.news)[0])
        found = list(differences(old, new))
        token = _token(request.urn)
        changed = {str(path[0]) for path, _, _ in found}
        replaced = self._cloud.replaces(token, request.id, old, new, changed) if found else set()
        kinds, response = provider_pb2.PropertyDiff, provider_pb2.DiffResponse
        detailed = {}
        for path, was, is_ in found:
            verb = "UPDATE" if was and is_ else "ADD" if is_ else "DELETE"
            kind = kinds.Kind.Value(f"{verb}_REPLACE" if path[0] in replaced else verb)
            detailed[shown(path)] = kinds(kind=kind, inputDiff=True)
        return response(
            changes=response.DIFF_SOME if found else response.DIFF_NONE,
            replaces=sorted(replaced),
            deleteBeforeReplace=bool(replaced) and self._cloud.deletes_first(token, *map(_defaults_of, _pair(request))),
            diffs=sorted(changed),
            detailedDiff=detailed,
            hasDetailedDiff=bool(found),
        )

    @_explained
    def Create(self, request: Any, context: Any) -> Any:
        given, secrets = opened(request.properties)
        inputs, token = _inner(given), _token(request.urn)
        if request.preview:
            planned = self._cloud.planned(token, None, inputs)
            return provider_pb2.CreateResponse(id="", properties=self._sealed(planned, secrets))
        id_, outputs = self._cloud.create(token, inputs)
        return provider_pb2.CreateResponse(id=id_, properties=self._sealed(outputs, secrets))

    @_explained
    def Read(self, request: Any, context: Any) -> Any:
        given, secrets = opened(request.inputs)
        live = self._cloud.read(_token(request.urn), request.id, _inner(given))
        if live is None:
            return provider_pb2.ReadResponse(id="")
        inputs = live.inputs | {key: given[key] for key in (DEFAULTS,) if key in given}
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=to_struct(sealed(inputs, secrets)),
            properties=self._sealed(live.outputs, secrets),
        )

    @_explained
    def Update(self, request: Any, context: Any) -> Any:
        old = _inner(opened(request.old_inputs)[0])
        given, secrets = opened(request.news)
        new, token = _inner(given), _token(request.urn)
        if request.preview:
            before, _ = opened(request.olds)
            planned = before | self._cloud.planned(token, request.id, new)
            return provider_pb2.UpdateResponse(properties=self._sealed(planned, secrets))
        outputs = self._cloud.update(token, request.id, old, new)
        return provider_pb2.UpdateResponse(properties=self._sealed(outputs, secrets))

    @_explained
    def Delete(self, request: Any, context: Any) -> Any:
        self._cloud.delete(_token(request.urn), request.id, _inner(opened(request.old_inputs)[0]))
        return empty_pb2.Empty()

    @_explained
    def Invoke(self, request: Any, context: Any) -> Any:
        answer = self._cloud.invoke(request.tok, opened(request.args)[0])
        told = provider_pb2.InvokeResponse()
        getattr(told, "return").CopyFrom(to_struct(answer))  # a word of Python's own
        return told


def _pair(request: Any) -> tuple[Properties, Properties]:
    return opened(request.old_inputs)[0], opened(request.news)[0]


def _defaults_of(value: Properties) -> Properties:
    return {**_inner(value), DEFAULTS: value.get(DEFAULTS, [])}


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(f"pulumi-{name}")


def main() -> None:
    """Serve until the engine ends; prints the port, as the engine expects of a plugin."""
    name = sys.argv[1]
    module, _, attribute = CLOUDS[name].partition(":")
    plugin = Plugin(name, getattr(importlib.import_module(module), attribute)())
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ending.wait()
    # at once: the engine waits five seconds for each plugin that is still there
    while not plugin.idle():
        threading.Event().wait(0.02)
    os._exit(0)


if __name__ == "__main__":
    main()
