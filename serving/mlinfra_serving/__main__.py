"""`python -m mlinfra_serving`: load one model, after checking that it is the right one, and serve it.

Exit codes: 0 ended by a signal, 1 cannot serve, 2 wrong settings, 78 (EX_CONFIG of sysexits.h) the model is not the
one of its digest: no supervisor should try again.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mlinfra.problems import MlinfraError, Refused
from mlinfra_serving import settings as settings_module
from mlinfra_serving.settings import Settings

NO_USE_IN_RETRYING = 78


def main(arguments: Sequence[str]) -> int:
    """Run the server until a signal ends it, and return the exit code."""
    started = time.monotonic()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mlinfra").setLevel(logging.INFO)
    # numerical libraries read it when they are imported; more threads than one only wait for each other here
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        return _serve(settings_module.read(arguments), started)
    except MlinfraError as error:
        remedy = f" → {error.remedy}" if error.remedy else ""
        sys.stderr.write(f"error: {error.message}{remedy}\n")
        return NO_USE_IN_RETRYING if isinstance(error, Refused) else error.exit_code


def _serve(settings: Settings, started: float) -> int:
    from mlinfra_serving.artifacts import load_model
    from mlinfra_serving.storage import fetch

    bound = listen(settings.host, settings.port)
    loaded = load_model(fetch(settings.model), settings.model_digest, settings.runtime)

    # KServe takes a second to import: a model that is refused is refused before
    from mlinfra_serving.capture import Capture
    from mlinfra_serving.model import ServedModel
    from mlinfra_serving.server import Server
    from mlinfra_serving.shims import shim
    from mlinfra_serving.shipping import Shipping

    capture = None
    store = settings.capture_store
    if settings.capture_dir is not None or store is not None:
        folder = settings.capture_dir or Path(tempfile.mkdtemp(prefix="mlinfra-capture-"))
        shipping = Shipping(folder, store, moves=settings.capture_dir is None) if store is not None else None
        capture = Capture(folder, settings.release, settings.capture_percent, loaded.signature, shipping)
    model = ServedModel(settings.name, settings.release, loaded, capture)
    model.load()
    if capture is not None:
        capture.start()
    logging.getLogger("mlinfra.serving").info(
        "%s release %s on http://%s:%d after %.1f s",
        settings.name,
        settings.release,
        settings.host,
        bound.getsockname()[1],
        time.monotonic() - started,
    )
    Server(shim(settings.mode, os.environ), settings.drain_seconds).serve(model, bound)
    if capture is not None:
        capture.close()
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that holds `port` on `host` and nothing else; it does not take connections yet.

    Raises:
        MlinfraError: the address is in use, or not one of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        result = socket.socket(family, kind, protocol)
        result.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        result.bind(address)
    except OSError as error:
        raise MlinfraError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", remedy="choose another --port"
        ) from None
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
