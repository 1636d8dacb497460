"""The pages of the shipped rules, one a family: why a rule is there, what it demands, and executed examples."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from mlinfra.policy.profiles import profiles
from mlinfra.policy.rule import Rule, Verdict
from mlinfra.policy.settings import Settings
from mlinfra_policies.catalogue import rules
from mlinfra_policies.examples import Example, examples

GENERATED = "<!-- Generated: make docs. A test fails when it is stale. -->"
_OUTCOMES = ("violation", "ok", "unknown")


@cache
def pages() -> dict[str, str]:
    """Return the pages by their paths in `docs/`: `rules.md`, and one for each family."""
    return {"rules.md": _index(), **{f"rules/{family}.md": _family(family) for family in _families()}}


def _families() -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule in rules():
        found.setdefault(rule.family, []).append(rule)
    return found


@cache
def _rationale() -> Mapping[str, str]:
    return tomllib.loads(files("mlinfra_policies").joinpath("rationale.toml").read_text(encoding="utf-8"))


def _index() -> str:
    lines = ["# Rules", "", GENERATED, ""]
    lines += ["What `mlinfra check` judges by. [How to run it, and how to write a rule](policies.md)."]
    for family, members in _families().items():
        lines += ["", f"## [{_title(family)}](rules/{family}.md)", ""]
        lines += ["| rule | severity | level | targets | |", "|---|---|---|---|---|"]
        lines += [
            f"| [{rule.id}](rules/{family}.md#{rule.id.lower()}) | {rule.severity} | {rule.level} "
            f"| {', '.join(_targets(rule)) or '-'} | {rule.title} |"
            for rule in members
        ]
    return "\n".join([*lines, "", *_profiles(), "", *_settings(), ""])


def _profiles() -> Iterator[str]:
    yield "## Profiles"
    yield ""
    yield "| profile | | mandatory rules |"
    yield "|---|---|---|"
    for profile in profiles().values():
        mandatory = sum(rule.level == "mandatory" for rule in profile.applied(rules()))
        yield f"| `{profile.name}` | {profile.description} | {mandatory} of {len(rules())} |"


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "Set under `policies.settings` in an environment, or in a file with `--settings`. `null` switches a rule off."
    yield ""
    yield "| setting | default | rules |"
    yield "|---|---|---|"
    for name, value in Settings().model_dump(mode="json").items():
        used = [f"[{rule.id}](rules/{rule.family}.md#{rule.id.lower()})" for rule in rules() if _uses(rule, name)]
        yield f"| `{name}` | `{_flow(value)}` | {', '.join(used)} |"


def _uses(rule: Rule, setting: str) -> bool:
    return setting in {parameter.partition(".")[0] for parameter in rule.parameters}


def _family(family: str) -> str:
    members = _families()[family]
    lines = [
        f"# {_title(family)}",
        "",
        GENERATED,
        "",
        "[All rules](../rules.md) · [How to run them](../policies.md)",
        "",
    ]
    lines += [f"- [{rule.id}](#{rule.id.lower()}): {rule.title}" for rule in members]
    for rule in members:
        lines += ["", *_rule(rule)]
    return "\n".join([*lines, ""])


def _rule(rule: Rule) -> Iterator[str]:
    yield f"## {rule.id}"
    yield ""
    yield f"**{rule.title}**: {rule.severity}, {rule.level}, {rule.scope}. {_rationale()[rule.id]}"
    yield ""
    for name, text in (
        ("Violation", rule.violation), ("Fine", rule.ok), ("Unknown", rule.unknown), ("Remedy", rule.remedy),
    ):  # fmt: skip
        if text:
            yield f"- {name}: {text}"
    if rule.parameters:
        links = ", ".join(f"[`{name}`](../rules.md#settings)" for name in rule.parameters)
        yield f"- Settings: {links}"
    for name, ids in rule.equivalents.items():
        yield f"- As in {name}: {', '.join(ids)}"
    if rule.frameworks:
        yield f"- Frameworks: {', '.join(rule.frameworks)}"
    if rule.targets:
        yield ""
        yield "| target | decided by |"
        yield "|---|---|"
        yield from (f"| {name} | {_decided(said)} |" for name, said in rule.targets.items())
    for example in _shown(examples(rule.id)):
        yield ""
        yield from _example(example)


def _targets(rule: Rule) -> list[str]:
    return [name for name, said in rule.targets.items() if said.get("decidable")]


def _decided(said: Mapping[str, Any]) -> str:
    if not said.get("decidable"):
        return _cell(f"nothing: {said.get('reason', '')}")
    by = "; ".join(f"`{item['type']}`" + f" `{item['property']}`" * ("property" in item) for item in said["decided_by"])
    return _cell(f"{by}. {said['detail']}" if "detail" in said else by)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _shown(all_: Sequence[Example]) -> Iterator[Example]:
    """Yield one example of each outcome, all of the target that has the first violation."""
    target = next((example.target for example in all_ if example.verdict == Verdict.VIOLATION), None)
    for outcome in _OUTCOMES:
        of_target = [example for example in all_ if example.verdict == outcome and example.target == target]
        yield from (of_target or [example for example in all_ if example.verdict == outcome])[:1]


def _example(example: Example) -> Iterator[str]:
    where = f", at `{example.path}`" if example.path else ""
    heads = {"violation": f"A violation{where}", "ok": "Fine", "unknown": f"Unknown{where}"}
    yield f"{heads[example.verdict]} ({example.target}):"
    yield ""
    yield "```yaml"
    shown = {key: value for key, value in example.described.items() if key not in ("target", "verdict", "path")}
    yield from _block(shown).splitlines()
    yield "```"


def _block(value: Any) -> str:
    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 116
    writer.dump(value, stream)
    return stream.getvalue()


def _flow(value: Any) -> str:
    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = True
    writer.width = 10_000
    writer.dump({"v": int(value) if isinstance(value, float) and value.is_integer() else value}, stream)
    return stream.getvalue().strip().removeprefix("{v: ").removesuffix("}")


def _title(family: str) -> str:
    return family.replace("-", " ").capitalize()
