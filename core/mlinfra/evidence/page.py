"""The evidence as one page that people read and print: self-contained, without a script, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE = "page.html.j2"


def page(document: Mapping[str, Any], digest: str) -> str:
    """Return the page of the evidence `document`, whose file has `digest`."""
    return _template().render(document=document, digest=digest)


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "time": _time,
        "number": _number,
        "duration": _duration,
        "column": _column,
        "dollars": _dollars,
    }
    return templates.get_template(_TEMPLATE)


def _time(text: str | None) -> str:
    """Return a time as people read it, in UTC."""
    return f"{text[:19].replace('T', ' ')} UTC" if text else "unknown"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for name, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} seconds"


def _column(column: Mapping[str, Any]) -> str:
    """Return what is said of a column beside its name."""
    rest = [f"{name} {value}" for name, value in sorted(column.items()) if name not in ("name", "type", "required")]
    optional = ["may be null"] if column.get("required") is False else []
    return ", ".join([str(column.get("type", "unknown")), *optional, *rest])


def _dollars(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"
