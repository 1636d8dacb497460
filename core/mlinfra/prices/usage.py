"""What only its user knows about a stack's load: how often, how long, how much; and what was committed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=1)]


class Usage(BaseModel):
    """The load of one part, or of one resource of your own. What is not stated is assumed, and labelled so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Amount | None = Field(None, description="Requests a month.")
    request_ms: Amount | None = Field(None, description="Milliseconds that one request takes (serverless).")
    data_gb: Amount | None = Field(None, description="GB that go in and out a month.")
    replicas: Amount | None = Field(None, description="Replicas at the usual load, between minimum and maximum.")
    runs: Amount | None = Field(None, description="Runs a month of a job.")
    run_hours: Amount | None = Field(None, description="Hours that one run takes.")
    hours: Amount | None = Field(None, le=744, description="Hours a month that it is switched on (notebooks).")
    storage_gb: Amount | None = Field(None, description="GB that are kept.")
    reads: Amount | None = Field(None, description="Reads a month of an online store, of up to 4 KB each.")
    writes: Amount | None = Field(None, description="Writes a month to an online store, of up to 1 KB each.")
    log_gb: Amount | None = Field(None, description="GB of logs a month.")


UsageByName = Mapping[str, Usage]
"""By a part's key (`endpoints.flight-delay`), or by the name of a resource of your own."""

Commitments = Mapping[str, Factor]
"""By service of the snapshot (`SageMaker`): what an hour costs with a commitment, as a share of the list price."""
