"""Lanes: what a pipeline must know of each environment, read from the environments' files alone."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlinfra.adapters import adapter_names, load_adapter
from mlinfra.durations import seconds
from mlinfra.environment import Environment, parse_environment
from mlinfra.problems import Problem, Problems, WrongUse, nearest
from mlinfra.repository import Repository

_TARGETS: Mapping[str, tuple[str | None, str]] = {
    "local": (None, "local"),
    "kubernetes": (None, "kubernetes"),
    "sagemaker": ("aws", "aws"),
    "vertex": ("gcp", "gcp"),
    "azureml": ("azure", "azure"),
}
"""By target: whose credentials it needs, and the extra of mlinfra-toolkit."""

_SCHEMES: Mapping[str, str] = {
    "s3": "aws", "awskms": "aws",
    "gs": "gcp", "gcs": "gcp", "gcpkms": "gcp",
    "azblob": "azure", "az": "azure", "abfs": "azure", "abfss": "azure", "azurekeyvault": "azure",
}  # fmt: skip
"""By the scheme of a URL: whose credentials it needs. The extras are called as the clouds are."""

_OF_ALL = (
    "stacks/*", "Pulumi.yaml", "pyproject.toml", "uv.lock", "requirements.txt", "policies/**/*", "prices/**/*",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MINUTES = (5, 6, 10, 12, 15, 20, 30)
_HOURS = (1, 2, 3, 4, 6, 8, 12, 24)
LEAST_MINUTES = 5
"""No host starts schedules more often."""


@dataclass(frozen=True)
class Tick:
    """How often a host can look: `asked` is the environment's, `minutes` and `cron` (UTC) what the host is told."""

    asked: str
    minutes: int
    cron: str

    @property
    def every(self) -> str:
        """The interval as people write it."""
        return f"{self.minutes // 60}h" if self.minutes >= 60 else f"{self.minutes}m"


@dataclass(frozen=True)
class Lane:
    """One environment in the pipelines.

    `after` are the environments that its releases come from, `clouds` those whose credentials it needs, `paths` the
    patterns of the files that make it, `passphrase` whether secrets in its state need one. Where it is not `shared`,
    it lives on one machine, and only a runner there can change it.
    """

    name: str
    shared: bool
    after: Sequence[str]
    clouds: Sequence[str]
    extras: Sequence[str]
    paths: Sequence[str]
    tick: Tick
    passphrase: bool

    @property
    def variable(self) -> str:
        """What the names of this environment's variables begin with: MLINFRA_PROD."""
        return f"MLINFRA_{_key(self.name)}"


def read_lanes(repository: Repository) -> list[Lane]:
    """Return the environments in the order in which releases flow; those at the same step by name.

    Raises:
        Problems: all problems of all environments' files, cycles of accept_from among them.
        WrongUse: there is no environment, or a name of which no job can be called.
    """
    names = repository.environments()
    if not names:
        raise WrongUse("there is no environment", remedy="write environments/dev.yaml")
    _check_names(names)
    environments: dict[str, Environment] = {}
    problems: list[Problem] = []
    for name in names:
        file = repository.yaml(f"environments/{name}.yaml")
        environment, found = parse_environment(file, name)
        problems += found
        if environment is None:
            continue
        environments[name] = environment
        said = {problem.path for problem in found}
        known = sorted({*adapter_names(), *_TARGETS})
        if environment.target not in known and "target" not in said:
            near = nearest(environment.target, known)
            line = file.line("target")
            problems.append(Problem(file.name, line, "target", "is no target", found=environment.target, nearest=near))
        for source in environment.accept_from:
            if source not in names:
                problems.append(
                    Problem(
                        file.name, file.line("accept_from"), "accept_from", "is no environment here",
                        found=source, expected=", ".join(names), nearest=nearest(source, names),
                    )
                )  # fmt: skip
    if problems:
        raise Problems(problems)
    folders = _folders(repository)
    return [_lane(environments[name], environments.values(), folders) for name in _in_order(environments)]


def tick(duration: str) -> Tick:
    """Return the schedule that looks at least as often as a duration asks, as far as a host can."""
    asked = max(seconds(duration) // 60, LEAST_MINUTES)
    if asked >= 60:
        hours = max(hours for hours in _HOURS if hours <= asked // 60)
        return Tick(duration, hours * 60, {1: "7 * * * *", 24: "7 0 * * *"}.get(hours, f"7 */{hours} * * *"))
    minutes = max(minutes for minutes in _MINUTES if minutes <= asked)
    return Tick(duration, minutes, f"*/{minutes} * * * *")


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise WrongUse(
                f"no job can be called {name!r}",
                remedy="give the environment a name of letters, digits, - and _, with a letter first",
            )
    by_key: dict[str, str] = {}
    for name in names:
        if (other := by_key.setdefault(_key(name), name)) != name:
            raise WrongUse(f"the variables of {other} and {name} would be called the same", remedy="rename one of them")


def _key(name: str) -> str:
    return name.upper().replace("-", "_")


def _in_order(environments: Mapping[str, Environment]) -> list[str]:
    sorter = graphlib.TopologicalSorter({name: environments[name].accept_from for name in sorted(environments)})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        names = error.args[1][1:]
        first = names.index(min(names))
        circle = " → ".join([*names[first:], *names[:first], names[first]])
        file = f"environments/{names[first]}.yaml"
        raise Problems([Problem(file, 0, "accept_from", f"releases would flow in a circle: {circle}")]) from None
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found += ready
        sorter.done(*ready)
    return found


def _folders(repository: Repository) -> list[str]:
    paths = (repository.root / "stacks").glob("*/")
    return sorted(path.name for path in paths if path.is_dir() and not path.name.startswith((".", "__")))


def _lane(environment: Environment, everyone: Iterable[Environment], folders: Sequence[str]) -> Lane:
    name, target = environment.name, environment.target
    cloud, extra = _TARGETS.get(target, (None, None))
    urls = (environment.state, environment.artifacts, environment.secrets_provider)
    schemes = (urlsplit(url).scheme for url in urls if url)
    clouds = sorted({_SCHEMES[scheme] for scheme in schemes if scheme in _SCHEMES} | ({cloud} if cloud else set()))
    signing = "signing" if environment.signed_by else None
    shared = load_adapter(target).shared if target in adapter_names() else True
    # a folder that no environment names may be imported by any stack
    of_someone = {folder for each in everyone for folder in each.stacks}
    stacks = sorted({*environment.stacks, *(folder for folder in folders if folder not in of_someone)})
    own = [f"environments/{name}.{kind}" for kind in ("yaml", "lock.yaml", "py")]
    return Lane(
        name=name,
        shared=shared,
        after=tuple(sorted(environment.accept_from)),
        clouds=tuple(clouds),
        extras=tuple(sorted({word for word in (extra, signing, *clouds) if word})),
        paths=(*own, f"Pulumi.{name}.yaml", *(f"stacks/{folder}/**/*" for folder in stacks), *_OF_ALL),
        tick=tick(environment.tick_every),
        passphrase=shared and environment.secrets_provider is None,
    )
