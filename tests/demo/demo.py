"""`make demo`: one declared stack becomes real on this machine, a second model is promoted and rolled out under load.

Three bad models are stopped by gates, one release is rolled back, and everything is taken down again. It happens in
.cache/demo, a copy of this repository's files with a git of its own. KEEP=1 leaves everything running there. Exit
code 1 when anything is not as it must be.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from mlinfra.adapters import Service, Serving
from mlinfra.operations.session import Session
from mlinfra.repository import Repository
from mlinfra.rollout.record import Phase, RolloutRecord
from tests.demo import place
from tests.demo.flights import Flights
from tests.demo.labels import Labels
from tests.demo.load import Load
from tests.demo.place import beside, declare_variant, git, merge, pull, revert, run, say, show
from tests.demo.table import Tried, equal_to_model, show_table
from tests.demo.watching import drift

STACK, ENDPOINT = "flight-delay", "flight-delay"
DEV, STAGING, PROD = place.ENVIRONMENTS
RATE, COMPARED = 35.0, 100
ACCEPTED_AUC = 0.68
LABEL_SECONDS = 20.0
LOOKED_SECONDS = 0.5
LONGEST_ROLLOUT_SECONDS = 300.0
BAD = {"wrong": "accuracy", "slow": "p95_ms", "failing": "error_rate"}
"""The bad models in the order in which they are tried, and the metric whose gate must stop each."""

Checks = Iterator[tuple[bool, str]]


def main() -> int:
    checks: list[tuple[bool, str]] = []
    introduce()
    with place.place():
        try:
            checks.extend(story())
        finally:
            checks.extend(ending())
    say("summary", "what had to be so, after")
    for good, line in checks:
        show(("ok    " if good else "FAILED", "good" if good else "bad"), f"  {line}", indent=2)
    if all(good for good, _ in checks):
        show("KEEP=1 make demo leaves it running; . .venv/bin/activate brings mlinfra to your shell", indent=2)
    return 0 if all(good for good, _ in checks) else 1


def introduce() -> None:
    """Say what is going to happen to somebody who never heard of it."""
    show("Will a flight out of New York arrive late? One declared ML platform, made real on this machine.")
    parts = "two feature stores, training, registry, endpoint, monitor"
    for word, file, holds in (
        ("what", "stacks/flight_delay/stack.py", parts),
        ("where", "environments/demo*.yaml", "dev, staging, prod: local (Feast, MLflow, KServe, Envoy)"),
    ):
        show((f"{word:7}", "name"), f"{file:30}", (holds, "quiet"), indent=2)


def story() -> Checks:
    """Tell all of it; yields what had to be so."""
    say("1 of 5", "make it real: features, training, registry, endpoint, drift monitor")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(Flights.read)
        staging = beside("up", STAGING)
        run("up", DEV)
        flights = reading.result()
    yield trained()

    say("2 of 5", "promote it: a pull request to prod; then a second model through staging")
    first = promote(DEV, PROD)
    second_model = train("better")
    run("up", PROD, quiet=True)
    second_model.ended()
    staging.ended()
    second = promote(DEV, STAGING)
    run("up", STAGING, quiet=True)
    promote(STAGING, PROD, quiet=False)
    with (
        Load(url(PROD), flights.april, RATE) as load,
        Labels(load, flights, _service(PROD), ENDPOINT, LABEL_SECONDS),
    ):
        say("3 of 5", "roll it out: 10, 50, 100 %, watched by gates")
        show(f"{RATE:.0f} real flights of April a second go to {PROD} from now on", indent=2)
        good = rolled_out("second", second, load, lambda: drift(url(STAGING), STAGING))
        yield good.record.phase is Phase.SERVED, f"second model {second}: {good.told()}"
        yield from good.found
        if good.record.phase is not Phase.SERVED:
            return

        say("4 of 5", f"roll back: {second} → {first}")
        back = rolled_back(second, load)
        yield (
            back.left == 0,
            f"rolled back {second} → {first}: its last answer {back.seconds:.1f} s after the command began",
        )
        yield equal(second, load, flights)

        say("5 of 5", "try three bad models")
        tried = [good]
        for name, metric in BAD.items():
            bad = rolled_out(name, promote(DEV, PROD), load)
            revert()
            tried.append(bad)
            yield bad.stopped_by(metric), f"{name} model {bad.release}: {bad.told()}"
    show_table(load, first, tried, back.seconds)
    lost = [each for each in load.told if not each.good]
    yield not lost, f"{len(load.told):,} requests sent, {len(lost)} not answered by 2xx in time"
    yield equal(first, load, flights)


@dataclass(frozen=True)
class Back:
    """A rollback: seconds from the start of the command to the withdrawn release's last answer, and how many requests
    it answered that were sent after the command's end."""

    seconds: float
    left: int


def rolled_back(release: str, load: Load) -> Back:
    """Roll prod back from a release, and let automation go on."""
    began = time.time()
    run("rollback", PROD, "--reason", "only to show it", "--direct")
    ended = time.time()
    pull()
    run("resume", PROD, "--reason", "it was shown", "--direct")
    pull()
    answers = [each for each in load.of(release) if each.ended >= began]
    seconds = max((each.ended for each in answers), default=began) - began
    return Back(seconds, sum(each.sent > ended for each in answers))


def equal(release: str, load: Load, flights: Flights) -> tuple[bool, str]:
    """Say whether a release answered what its model says when it is called directly."""
    same = equal_to_model(Repository(place.HERE), PROD, ENDPOINT, release, load, flights, COMPARED)
    return same == COMPARED, f"{same} of {COMPARED} answers of {release} equal to the model called directly"


def trained() -> tuple[bool, str]:
    """Say how good the model is, by the metrics that its script logged."""
    status = json.loads(run("status", DEV, "--json", quiet=True))
    metrics = status["endpoints"][0]["trained"]["metrics"]
    return (
        metrics["auc"] >= ACCEPTED_AUC,
        f"trained on {metrics['rows_trained']:,.0f} flights of January to March: "
        f"AUC {metrics['auc']:.3f} on held-out days, {metrics['auc_april']:.3f} in April",
    )


def train(variant: str) -> place.Job:
    """Begin to train another model in dev, beside what goes on."""
    declare_variant(variant)
    show(f"in {DEV} a {variant} model is declared", indent=2)
    return beside("up", DEV)


def promote(source: str, target: str, *, quiet: bool = True) -> str:
    """Promote what serves in `source`, and merge it as a reviewer would; return the release."""
    release = serving(source).rollout
    assert release is not None
    words = ("promote", STACK, "--from", source, "--to", target)
    if quiet:
        show((f"$ mlinfra {' '.join(words)}", "name"))
    run(*words, quiet=quiet)
    branch = f"mlinfra/promote/{STACK}/{target}/{release.release}"
    commit = git("ls-remote", "origin", f"refs/heads/{branch}").split()[0]
    merge(commit)
    show(f"merged {commit[:12]}: {release.release} is the release of {target}", indent=2)
    return release.release


def rolled_out(name: str, release: str, load: Load, beside: Callable[[], Checks] = lambda: iter(())) -> Tried:
    """Roll a release out in prod, and watch it until it serves everything, or nothing.

    The next model is trained meanwhile, and while gates watch something may be done `beside`.
    """
    began = time.time()
    later = [train(following) for before, following in pairwise(("second", *BAD)) if before == name]
    run("up", PROD, quiet=True, codes=(0, 1, 4))
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(lambda: list(beside()))
        record, shares = watched(release)
        found = doing.result()
    for job in later:
        job.ended()
    return Tried(name, release, record, shares, began, load, found)


def watched(release: str) -> tuple[RolloutRecord, Sequence[int]]:
    """Look until a rollout is over, and say each step; return its record and the shares that were seen."""
    shares: list[int] = []
    deadline = time.monotonic() + LONGEST_ROLLOUT_SECONDS
    while True:
        now = serving(PROD)
        share = weights(now).get(release, 0)
        if share not in shares[-1:] and (share or shares):
            shares.append(share)
            show(f"{release} gets {share} %", indent=2)
        record = now.rollout
        if record is not None and record.release == release and not record.is_under_way:
            if share not in (0, 100):
                continue
            return record, shares
        if time.monotonic() > deadline:
            raise SystemExit(f"the rollout of {release} did not end: {record}")
        time.sleep(LOOKED_SECONDS)


def serving(environment: str) -> Serving:
    """Return what serves there, as the target says it."""
    return _service(environment).observe(ENDPOINT)


@functools.cache
def _service(environment: str) -> Service:
    return Session.open(Repository(place.HERE), environment).service


def weights(now: Serving) -> Mapping[str, int]:
    """Return the split in force."""
    return {item.release: item.weight for item in now.releases}


def url(environment: str) -> str:
    """Return where predictions are asked."""
    return f"{serving(environment).url}/v2/models/{ENDPOINT}/infer"


def ending() -> Checks:
    """Take everything down, and look for what is left; with KEEP=1 leave it."""
    if os.environ.get("KEEP"):
        say("the end", f"KEEP=1: everything goes on running in {place.HERE}")
        show("take it down there: " + "; ".join(f"mlinfra down {name}" for name in place.ENVIRONMENTS), indent=2)
        return
    say("the end", f"take it down: mlinfra down {', '.join(place.ENVIRONMENTS)}")
    before = place.processes()
    place.take_down()
    after = place.processes()
    yield not after, f"taken down: {len(before)} processes ended, {len(after)} left"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(place.INTERRUPTED)
