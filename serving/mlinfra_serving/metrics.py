"""What the server counts, beside what KServe measures; all of it is on `GET /metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

REQUESTS = Counter("mlinfra_requests", "Answered prediction requests (POST), by status code.", ["code"])
IN_FLIGHT = Gauge("mlinfra_requests_in_flight", "Prediction requests being worked on.")
CAPTURED_ROWS = Counter("mlinfra_captured_rows", "Rows written to the capture folder.")
CAPTURE_DROPPED = Counter("mlinfra_capture_dropped", "Sampled rows not captured: queue or disk full.")
