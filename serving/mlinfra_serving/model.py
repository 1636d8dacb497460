"""The model as KServe sees it: one request at a time goes to it, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlinfra.problems import MlinfraError
from mlinfra_serving.artifacts import LoadedModel
from mlinfra_serving.capture import Capture
from mlinfra_serving.decoding import Answer, Request, frame_of
from mlinfra_serving.kserve_sdk import InvalidInput, Model
from mlinfra_serving.shims import Decode
from mlinfra_serving.signature import Input

_MIRRORED_HOST = re.compile(r"-shadow(:\d+)?$")
_logger = logging.getLogger("mlinfra.serving")


@dataclass(frozen=True)
class Call:
    """The body of a request, and how to read it."""

    body: bytes
    content_type: str
    decode: Decode


class ServedModel(Model):  # type: ignore[misc]
    """A loaded model under the endpoint's name. `ready` after `load`, until the server drains."""

    def __init__(self, name: str, release: str, loaded: LoadedModel, capture: Capture | None) -> None:
        super().__init__(name)
        self.release = release
        self.artifact = loaded.digest
        self._loaded = loaded
        self._capture = capture
        # one thread: libraries differ in whether their models may be asked from several at once
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")

    def load(self) -> bool:
        """Ask the model once, with a row of zeros, empty texts and nulls, and be ready.

        Raises:
            MlinfraError: the model fails on it, or does not answer with one number per row.
        """
        inputs = self._loaded.signature["inputs"]
        row = Request("", {entry["name"]: [_neutral(entry)] for entry in inputs}, 1, lambda answer: b"")
        try:
            self._loaded.predict_conformed(frame_of(row, self._loaded.signature))
        except ValueError as error:
            _logger.info("the model refuses the warm-up row, which no training row was: %s", error)
        except MlinfraError:
            raise
        except Exception as error:  # noqa: BLE001 - a model is code of any library
            raise MlinfraError(f"the model fails: {type(error).__name__}: {error}") from None
        self.ready = True
        return True

    async def predict(
        self, payload: Call, headers: Mapping[str, str] | None = None, response_headers: Any = None
    ) -> tuple[Request, Answer]:
        """Return the read request and its answer.

        Raises:
            InvalidInput: the body is wrong, or the model refuses its values.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._answer, payload, headers or {})

    def _answer(self, call: Call, headers: Mapping[str, str]) -> tuple[Request, Answer]:
        signature = self._loaded.signature
        request = call.decode(call.body, call.content_type, signature)
        # the router gives a mirrored request the same x-request-id, so that both answers can be compared
        request_id = request.id or headers.get("x-request-id", "")[:256] or uuid.uuid4().hex
        frame = frame_of(request, signature)
        try:
            predictions = self._loaded.predict_conformed(frame)
        except ValueError as error:
            # the values are of the right types, and the model was asked before: it refuses these values
            raise InvalidInput(f"the model refuses the values: {_first_line(error)}") from None
        if self._capture is not None:
            mirrored = bool(_MIRRORED_HOST.search(headers.get("host", "")))
            self._capture.offer(request, request_id, predictions.tolist(), mirrored)
        return request, Answer(self.name, self.release, request_id, np.ascontiguousarray(predictions))

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs for V2 model metadata."""
        return [_metadata(entry["name"], entry["type"]) for entry in self._loaded.signature["inputs"]]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs for V2 model metadata."""
        return [_metadata(entry["name"], entry["type"]) for entry in self._loaded.signature["outputs"]]


def _neutral(entry: Input) -> Any:
    if not entry["required"]:
        return None
    return {"FP64": 0.0, "INT64": 0, "BOOL": False, "BYTES": ""}[entry["type"]]


def _metadata(name: str, type_name: str) -> dict[str, Any]:
    return {"name": name, "datatype": type_name, "shape": [-1]}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
