"""Gates: what each says of a new release, from what was measured of it and of the one that serves now.

Pure but for `ask`. Absolute gates compare the measured number. Relative ones fail when the new release is worse than
the allowed multiple beyond chance (`significance.py`, `quality.py`). Too few samples, and whatever is missing or not a
number, are no data: silence is not yes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.declarations.check import ASKED, LABELLED, UNCOMPARED, Answer, Check
from mlinfra.rollout import quality
from mlinfra.rollout.record import GateResult
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra.rollout.significance import (
    ALPHA,
    EARLY_ALPHA,
    is_slower,
    more_errors,
    quantile,
    samples_for_quantile,
    too_many_errors,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlinfra.rollout.asking import Asking

SHARES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
"""The share of all answers that a latency is not exceeded by."""

Earlier = Callable[[], Samples | NoData]


@dataclass(frozen=True)
class _Measured:
    """A number of one release, the samples it is from, and why there is none."""

    value: float | None
    samples: int
    why: str = ""


def evaluate(
    gates: Sequence[Check],
    samples: Samples | NoData,
    new: str,
    old: str | None,
    *,
    min_samples: int,
    ask: Asking,
    before: Earlier | None = None,
    alpha: float = ALPHA,
) -> list[GateResult]:
    """Return what each gate says of the release `new`, in their order; `old` is the one that it is compared with.

    Releases are named by their first 12 digits. Fewer than `min_samples` requests (of quality: labelled ones) are no
    data, with one exception: a gate on the error rate fails sooner where that many errors would come of a rate that
    is allowed in less than one of 1,000 cases. `before` is asked for what was measured of `old` earlier, when a gate
    compares with it and it has too few samples of its own: at the last step it serves nothing. `alpha` is the chance
    with which a relative gate may fail an equal release: who looks often asks for less.
    """
    looked: list[Samples | NoData] = []

    def earlier() -> ReleaseSamples:
        if before is None or old is None:
            return ReleaseSamples()
        if not looked:
            looked.append(before())
        return _of(looked[0], old)

    results = []
    for gate in gates:
        if gate.metric in ASKED:
            results.append(_asked(gate, ask))
        elif isinstance(samples, NoData):
            results.append(_result(gate, Answer.NO_DATA, _Measured(None, 0), message=samples.reason))
        elif not gate.relative:
            results.append(_absolute(gate, _of(samples, new), min_samples))
        elif old is None:
            nothing = "nothing serves now that it could be compared with"
            results.append(_result(gate, Answer.NO_DATA, _measure(gate.metric, _of(samples, new)), message=nothing))
        else:
            beside = _of(samples, old)
            if _count(gate.metric, beside) < min_samples and _count(gate.metric, earlier()) >= min_samples:
                beside = earlier()
            results.append(_relative(gate, _of(samples, new), beside, min_samples, alpha))
    return results


def _of(samples: Samples | NoData, release: str) -> ReleaseSamples:
    return ReleaseSamples() if isinstance(samples, NoData) else samples.releases.get(release, ReleaseSamples())


def _asked(gate: Check, ask: Asking) -> GateResult:
    question = gate.argument or ""
    if gate.metric == "prometheus":
        asked = ask.prometheus(question, gate.address)
    else:
        asked = ask.command(question) if gate.metric == "command" else ask.approval(question)
    answer = gate.ask({} if asked.value is None else {gate.metric: asked.value})
    shown = None if gate.metric in UNCOMPARED else asked.value
    return _result(gate, answer, _Measured(shown, 0), message=asked.message)


def _absolute(gate: Check, release: ReleaseSamples, least: int) -> GateResult:
    found = _measure(gate.metric, release)
    if gate.metric == "error_rate" and found.value is not None and found.samples < least:
        chance = too_many_errors(release.errors, release.requests, gate.value)
        if chance < EARLY_ALPHA:
            return _result(gate, Answer.FAIL, found, message=_early(release, least))
    if few := _too_few(gate.metric, release, least, ""):
        return _result(gate, Answer.NO_DATA, found, message=few)
    if found.value is None or not math.isfinite(found.value):
        return _result(gate, Answer.NO_DATA, found, message=found.why or "was not measured")
    return _result(gate, gate.ask({gate.metric: found.value}), found)


def _relative(gate: Check, new: ReleaseSamples, old: ReleaseSamples, least: int, alpha: float) -> GateResult:
    found, beside = _measure(gate.metric, new), _measure(gate.metric, old)
    if gate.metric == "error_rate" and _is_rate(new) and _is_rate(old) and min(found.samples, beside.samples) < least:
        chance = more_errors(new.errors, new.requests, old.errors, old.requests, gate.value)
        if chance < EARLY_ALPHA:
            return _result(gate, Answer.FAIL, found, beside, _early(new, least))
    for measured, release, who in ((found, new, ""), (beside, old, "the release that serves: ")):
        if few := _too_few(gate.metric, release, least, who):
            return _result(gate, Answer.NO_DATA, found, beside, few)
        if measured.value is None or not math.isfinite(measured.value):
            return _result(gate, Answer.NO_DATA, found, beside, f"{who}{measured.why or 'was not measured'}")
    answer, message = _compared(gate, new, old, found, beside, alpha)
    return _result(gate, answer, found, beside, message)


def _compared(
    gate: Check, new: ReleaseSamples, old: ReleaseSamples, found: _Measured, beside: _Measured, alpha: float
) -> tuple[Answer, str]:
    """Answer a relative gate of which both numbers are known."""
    name, factor = gate.metric, gate.value
    if name in SHARES and new.latencies_ms is not None and old.latencies_ms is not None:
        needed = samples_for_quantile(SHARES[name])
        for samples, who in ((found.samples, ""), (beside.samples, "the release that serves: ")):
            if samples < needed:
                return Answer.NO_DATA, f"{who}{samples} of the {needed} answers that a comparison of {name} needs"
        bad = is_slower(_numbers(new.latencies_ms), _numbers(old.latencies_ms), SHARES[name], factor, alpha)
    elif name == "error_rate":
        bad = more_errors(new.errors, new.requests, old.errors, old.requests, factor) < alpha
    elif name in LABELLED:
        chance = quality.worse(name, new, old, factor)
        if math.isnan(chance):
            return Answer.NO_DATA, "the errors are too large to be compared"
        bad = chance < alpha
    else:
        value, allowed = found.value or 0.0, factor * (beside.value or 0.0)
        passed = math.isclose(value, allowed) or value <= allowed
        return Answer.PASS if passed else Answer.FAIL, "compared without a test: single samples are not known"
    return (Answer.FAIL, f"worse beyond chance ({1 - alpha:.3g})") if bad else (Answer.PASS, "")


def _measure(metric: str, release: ReleaseSamples) -> _Measured:
    """Return a metric of one release."""
    count = _count(metric, release)
    if metric in SHARES:
        if release.latencies_ms is None:
            value = release.percentiles_ms.get(metric)
            return _Measured(value, count, "" if value is not None else "the latency is not known")
        if not count:
            return _Measured(None, 0)
        value = quantile(_numbers(release.latencies_ms), SHARES[metric])
        known = _all_numbers(release.latencies_ms)
        return _Measured(value, count) if known else _Measured(None, count, "a latency is not a number")
    if metric == "error_rate":
        if not _is_rate(release):
            why = f"{release.errors} errors of {release.requests} requests" if release.requests else ""
            return _Measured(None, count, why)
        return _Measured(release.errors / release.requests, count)
    if metric in LABELLED:
        if release.predictions is None or release.labels is None:
            return _Measured(None, 0, "no labels are known")
        value, why = quality.quality(metric, release)
        return _Measured(value, count, why)
    if metric == "drifted_columns":
        value = release.drifted_columns
        why = "drift is not known: no monitor with thresholds, or too few captured rows"
        return _Measured(None if value is None else float(value), count, why)
    return _Measured(release.saturation, count, "the saturation is not known")


def _count(metric: str, release: ReleaseSamples) -> int:
    """Return how many samples a metric of a release is from."""
    if metric in LABELLED:
        return 0 if release.labels is None else len(release.labels)
    if metric in SHARES and release.latencies_ms is not None:
        return len(release.latencies_ms)
    return release.requests


def _too_few(metric: str, release: ReleaseSamples, least: int, who: str) -> str:
    """Return how many samples are missing, or an empty text. Drift is known only where there are enough rows."""
    count = _count(metric, release)
    if metric == "drifted_columns" or count >= least:
        return ""
    if metric in LABELLED:
        return f"{who}{count} of {least} labelled requests (a label could arrive for {release.labelled_of})"
    return f"{who}{count} of {least} {'answers' if metric in SHARES else 'requests'}"


def _is_rate(release: ReleaseSamples) -> bool:
    return release.requests > 0 and 0 <= release.errors <= release.requests


def _early(release: ReleaseSamples, least: int) -> str:
    return f"{release.errors} errors in {release.requests} requests: too many already, before there are {least}"


def _numbers(values: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _all_numbers(values: Sequence[float]) -> bool:
    import numpy as np

    return bool(np.isfinite(_numbers(values)).all())


def _result(
    gate: Check, answer: Answer, found: _Measured, beside: _Measured | None = None, message: str = ""
) -> GateResult:
    return GateResult(
        gate=str(gate),
        answer=answer,
        measured=_finite(found.value),
        against=_finite(beside.value) if beside else None,
        samples=found.samples,
        message=message,
    )


def _finite(value: float | None) -> float | None:
    # what is remembered is JSON, which has no NaN
    return value if value is not None and math.isfinite(value) else None
