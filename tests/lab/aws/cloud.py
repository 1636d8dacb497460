"""AWS in the lab: wire inputs of pulumi_aws, checked against the SDK and botocore's model, made on moto."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any

from tests.lab.arguments import problems
from tests.lab.aws.kinds import Account, Kind, restricted
from tests.lab.cloud import DEFAULTS, Answer, Cloud, Live, Question, Refused, Unfinished
from tests.lab.wire import Properties

SERVICES = ("s3", "iam", "kms", "ec2", "cloudwatch", "logs", "budgets", "glue", "sagemaker", "appautoscaling", "sns",
            "events", "scheduler", "ecr")  # fmt: skip


@cache
def kinds() -> dict[str, Kind]:
    """Return every type of the lab by its token."""
    listed: list[Kind] = []
    for name in SERVICES:
        listed += import_module(f"tests.lab.aws.{name}").KINDS
    return {kind.token: kind for kind in listed}


def kind_of(token: str) -> Kind:
    """Return a type. Raises Refused where the lab has none."""
    if token not in kinds():
        raise Refused(f"the lab has no {token!r} yet; tests/lab/aws has one file a service")
    return kinds()[token]


class Aws(Cloud):
    """The provider `aws`."""

    derived = {"tagsAll": "tags"}  # noqa: RUF012  read only

    def __init__(self) -> None:
        self._region = os.environ.get("AWS_REGION", "us-east-1")
        self._default_tags: dict[str, str] = {}
        self._accounts: dict[str, Account] = {}

    def configure(self, settings: Properties) -> None:
        """Take region, default tags and allowed accounts."""
        self._region = settings.get("region", self._region)
        self._default_tags = dict((settings.get("defaultTags") or {}).get("tags", {}))
        allowed = [str(item) for item in settings.get("allowedAccountIds") or []]
        if allowed:
            own = self._account({}).call("sts", "GetCallerIdentity")["Account"]
            if own not in allowed:
                raise Refused(f"AWS account ID not allowed: {own}")

    def _account(self, inputs: Properties) -> Account:
        region = inputs.get("region", self._region)
        if region not in self._accounts:
            self._accounts[region] = Account(region, self._default_tags)
        return self._accounts[region]

    def check(self, question: Question) -> Answer:
        """Generate a name where none is given, then judge."""
        kind = kind_of(question.token)
        inputs = dict(question.inputs)
        if kind.named and kind.named in kind.arguments.types and kind.named not in inputs:
            named = kind.named in question.old.get(DEFAULTS, [])
            prefix = inputs.pop(f"{kind.named}Prefix", "") or f"{question.name[: kind.longest - 8]}-"
            kept = question.old.get(kind.named) if named else None
            inputs[kind.named] = kept or f"{prefix}{question.suffix()}"
            inputs[DEFAULTS] = [kind.named]
        failures = list(problems(kind.arguments, inputs))
        if not failures:
            failures = list(kind.problems(self._tagged(kind, inputs)))
        return Answer(inputs, failures)

    def _tagged(self, kind: Kind, inputs: Properties) -> Properties:
        inner = {key: value for key, value in inputs.items() if not key.startswith("__")}
        tags = self._all_tags(kind, inner)
        return inner | ({"tags": tags} if tags else {})

    def _all_tags(self, kind: Kind, inputs: Properties) -> dict[str, str]:
        if "tags" not in kind.arguments.types:
            return {}
        given = inputs.get("tags", {})
        return {**self._default_tags, **given} if isinstance(given, dict) else given

    def replaces(self, token: str, id_: str, old: Properties, new: Properties, changed: set[str]) -> set[str]:
        """What the API has no call for."""
        return changed - kind_of(token).in_place

    def deletes_first(self, token: str, old: Properties, new: Properties) -> bool:
        """A fixed name cannot be had twice; a type without a generated name is known by what it belongs to."""
        named = kind_of(token).named
        if not named:
            return True
        return named not in new.get(DEFAULTS, []) and old.get(named) == new.get(named)

    def planned(self, token: str, id_: str | None, inputs: Properties) -> Properties:
        kind = kind_of(token)
        tagged = {"tagsAll": self._all_tags(kind, inputs)} if "tags" in kind.arguments.types else {}
        return {**inputs, **tagged}

    def _outputs(self, kind: Kind, id_: str, inputs: Properties) -> tuple[Properties, Properties] | None:
        """Return inputs and outputs as they are in the cloud."""
        live = kind.live(self._account(inputs), id_)
        if live is None:
            return None
        everything = live.get("tags", {}) if kind.keeps_tags else self._all_tags(kind, inputs)
        own = {key: value for key, value in everything.items() if self._default_tags.get(key) != value}
        own |= {key: value for key, value in inputs.get("tags", {}).items() if everything.get(key) == value}
        if own or "tags" in inputs:
            live["tags"] = own
        else:
            live.pop("tags", None)
        found = restricted(live, {**inputs, **({"tags": {}} if own else {})} if inputs else live, kind.arguments)
        # what the API does not tell is as it was said
        kept = {name: value for name, value in inputs.items() if name in kind.aside and name not in found}
        outputs = {"region": self._account(inputs).region, **live, **kept, **found}
        if "tags" in kind.arguments.types:
            outputs["tagsAll"] = everything
        return {**found, **kept}, outputs

    def create(self, token: str, inputs: Properties) -> tuple[str, Properties]:
        kind, account = kind_of(token), self._account(inputs)
        id_ = kind.made(account, self._tagged(kind, inputs))
        try:
            kind.settled(account, id_)
        except Refused as refused:
            known = self._outputs(kind, id_, inputs)
            raise Unfinished(id_, inputs, known[1] if known else inputs, str(refused)) from refused
        known = self._outputs(kind, id_, inputs)
        if known is None:
            raise Refused(f"{id_} was made, and is not there")
        return id_, known[1]

    def read(self, token: str, id_: str, inputs: Properties) -> Live | None:
        known = self._outputs(kind_of(token), id_, inputs)
        return Live(*known) if known else None

    def update(self, token: str, id_: str, old: Properties, new: Properties) -> Properties:
        kind, account = kind_of(token), self._account(new)
        before, after = self._tagged(kind, old), self._tagged(kind, new)
        names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        if "tags" in names:
            self._change_tags(kind, account, id_, after.get("tags", {}))
        kind.changed(account, id_, before, after, names - {"tags"})
        kind.settled(account, id_)
        known = self._outputs(kind, id_, new)
        if known is None:
            raise Refused(f"{id_} is not there any more")
        return known[1]

    def _change_tags(self, kind: Kind, account: Account, id_: str, wanted: dict[str, str]) -> None:
        live: dict[str, Any] = kind.live(account, id_) or {}
        there = live.get("tags", {})
        put = {key: value for key, value in wanted.items() if there.get(key) != value}
        kind.tag(account, id_, str(live.get("arn", id_)), put, [key for key in there if key not in wanted])

    def delete(self, token: str, id_: str, inputs: Properties) -> None:
        kind_of(token).removed(self._account(inputs), id_, inputs)
