"""Releases and the lock: what is served, named by content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from mlinfra.digests import PREFIX, digest_json, short
from mlinfra.problems import MlinfraError, Problem, nearest
from mlinfra.yaml_file import YamlFile

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_FROZEN = ConfigDict(frozen=True, extra="forbid")


def _moment(value: Any) -> Any:
    """Take what YAML reads as a date, and text; a time without a zone is UTC."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


Moment = Annotated[str, BeforeValidator(_moment)]
"""A time as ISO 8601 in UTC."""
LEAST_DIGITS = 8
"""How many digits name a release, at least."""


class Runtime(BaseModel):
    """What loads the model: the library's name and the exact version that it was trained with."""

    model_config = _FROZEN
    name: str
    version: str


class Identity(BaseModel):
    """What a release is. Two releases with the same identity are the same release.

    `spec` is the endpoint's canonical specification before overrides; `signature` the schema of inputs and outputs;
    `artifact` and `baseline` are tree digests.
    """

    model_config = _FROZEN
    artifact: Digest
    runtime: Runtime
    spec: Mapping[str, Any]
    signature: Mapping[str, Any]
    baseline: Digest


class Provenance(BaseModel):
    """How a release came to be; not part of its identity. `created` is ISO 8601 in UTC."""

    model_config = _FROZEN
    created: str
    author: str
    run: str
    metrics: Mapping[str, float] = Field(default_factory=dict)
    data: Mapping[str, str] = Field(default_factory=dict)
    code: str = ""
    commit: str | None = None


class Release(BaseModel):
    """An immutable release of one endpoint, whole enough to be realized again much later."""

    model_config = _FROZEN
    version: Literal[1] = 1
    stack: str
    endpoint: str
    identity: Identity
    provenance: Provenance

    @property
    def digest(self) -> str:
        """The release's name: the digest of its identity."""
        return digest_json(self.identity.model_dump(mode="json"))

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits of the digest."""
        return short(self.digest)

    def to_json(self) -> bytes:
        """Return the file's bytes: readable, keys in order, one newline at the end."""
        shown = {"digest": self.digest, **self.model_dump(mode="json")}
        return (json.dumps(shown, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_release(data: bytes, where: str) -> Release:
    """Return the release that a file holds.

    Raises:
        MlinfraError: not a release, or its identity is not what its digest says.
    """
    try:
        shown = json.loads(data)
        claimed = shown.pop("digest")
        release = Release.model_validate(shown)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f"{error.error_count()} fields do not fit" if isinstance(error, ValidationError) else str(error)
        raise MlinfraError(f"{where}: not a release: {reason}", remedy="take the file from git again") from error
    if release.digest != claimed:
        raise MlinfraError(
            f"{where}: was changed by hand: it says {claimed}, its identity is {release.digest}",
            remedy="releases are immutable: take the file from git again, or train a new one",
        )
    return release


class Hold(BaseModel):
    """Stops automation: nothing is promoted or rolled out here until it is resumed; `since` is ISO 8601 in UTC."""

    model_config = _FROZEN
    reason: str
    owner: str
    since: Moment


class Pin(BaseModel):
    """One endpoint's lines in a lock: digests or their first digits (8 or more).

    The previous release is kept warm until `warm_until` (ISO 8601 in UTC; unset: as long as it is named).
    """

    model_config = _FROZEN
    release: str
    previous: str | None = None
    warm_until: Moment | None = None
    hold: Hold | None = None

    def is_warm(self, now: datetime) -> bool:
        """Whether the previous release is still kept beside the other one."""
        return self.previous is not None and (self.warm_until is None or now < datetime.fromisoformat(self.warm_until))


Lock = Mapping[str, Pin]
"""The pins of one environment, by endpoint."""


_LOCK_MESSAGES = {
    "missing": ("is missing", "a digest"),
    "extra_forbidden": ("is no field here", ", ".join(Pin.model_fields)),
    "model_type": ("is no pin", "{release: digest}"),
    # digits alone, or with one e, are numbers for YAML
    "string_type": ("is no text", "a digest in quotes"),
}


def parse_lock(file: YamlFile) -> tuple[dict[str, Pin], list[Problem]]:
    """Return the pins of a lock file, with every problem in it."""
    problems = list(file.problems)
    pins: dict[str, Pin] = {}
    if file.value is None:
        return pins, problems
    if not isinstance(file.value, dict):
        return pins, [*problems, Problem(file.name, 1, "", "is no mapping", expected="endpoint: {release: …}")]
    for endpoint, value in file.value.items():
        try:
            pins[endpoint] = Pin.model_validate(value)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                steps = [endpoint, *(str(step) for step in detail["loc"])]
                message, expected, near = (*_LOCK_MESSAGES.get(detail["type"], (str(detail["msg"]), "")), "")
                if detail["type"] == "extra_forbidden":
                    near = nearest(steps[-1], Pin.model_fields)
                problems.append(
                    Problem(
                        file.name, file.line(*steps), ".".join(steps), message,
                        found=repr(detail["input"])[:80], expected=expected, nearest=near,
                    )
                )  # fmt: skip
    return pins, problems


def find_release(wanted: str, releases: Mapping[str, Release]) -> Release | None:
    """Return the release whose digest starts with `wanted` (8 digits or more), or None when none or several do."""
    digits = wanted.removeprefix(PREFIX)
    if len(digits) < LEAST_DIGITS:
        return None
    found = [release for digest, release in releases.items() if digest.removeprefix(PREFIX).startswith(digits)]
    return found[0] if len(found) == 1 else None
