"""What the adapters of this package share: each is a folder, and what it does is found by the file's name.

`<kind>.py` declares a kind of part, `around.py` what all parts share; `refusals.py` says what cannot be, `replacing.py`
what a change of an SDK's resource replaces or loses, `doctor.py` asks the target, `resources/` has the types of the
plugin. A file is imported when it is asked for: each SDK takes a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.place import refuse_foreign
from mlinfra.problems import Problem
from mlinfra_providers.handler import Handler


class AdapterByFile:
    """An adapter whose parts are in the files beside its own."""

    name: str
    place: Mapping[str, tuple[Any, Any]]
    extra: str
    """The extra of mlinfra-toolkit that brings its packages."""
    packages: tuple[str, ...]
    """What is imported of them."""

    def refuse_environment(self, environment: Environment) -> Iterator[tuple[str, str, str]]:
        """Refuse what the target has not, and what is missing or not written as it writes it."""
        yield from refuse_foreign(environment, self.place)
        yield from self._file("refusals").refuse_place(environment)

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse what the target cannot do, with a reason and a way out."""
        yield from self._file("refusals").refuse_part(part, environment)

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs that replace a resource: what its handler says, or what is known of the SDK's types."""
        handler = self._handler(type_token)
        known: frozenset[str] | None = self._file("replacing").replaced_by(type_token) if handler is None else None
        return known if handler is None else handler.immutable

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs that an `up` leaves as they are: what the handler says."""
        handler = self._handler(type_token)
        return frozenset() if handler is None else handler.kept

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what a change would take from those who read the data: what its handler says, or what is known of the
        SDK's types."""
        handler = self._handler(type_token)
        if handler is not None:
            return handler(Path()).loses(before, after)
        lost: str | None = self._file("replacing").loses(type_token, before, after)
        return lost

    def id_of(self, environment: Environment, type_token: str, inputs: Mapping[str, Any]) -> str | None:
        """Return None: to make again what was killed while it was made does no harm."""
        return None

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Register what all parts share."""
        made: Links = self._file("around").surround(parts, links)
        return made

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources; a kind has the same file here and among the declarations."""
        made: Links = self._file(type(part.part).__module__.rpartition(".")[2]).declare(part, links)
        return made

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Look for the packages of the extra."""
        missing = [name for name in self.packages if not _is_there(name)]
        if missing:
            yield False, f"packages are missing: {', '.join(missing)}", f"pip install 'mlinfra-toolkit[{self.extra}]'"
        else:
            yield True, f"every package of the extra {self.extra} is installed", ""

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Ask about credentials, region, stores, permissions and quotas; change nothing."""
        yield from self._file("doctor").examine(environment, parts)

    def _handler(self, type_token: str) -> type[Handler] | None:
        package, _, name = type_token.rpartition(":")
        handlers: Mapping[str, type[Handler]] = self._file("resources").HANDLERS
        return handlers.get(name) if package == f"mlinfra:{self.name}" else None

    def _file(self, name: str) -> Any:
        classes = type(self).__mro__
        # a class that inherits from an adapter has the files of that adapter
        adapter = classes[classes.index(AdapterByFile) - 1]
        return import_module(f"{adapter.__module__.rpartition('.')[0]}.{name}")


def _is_there(package: str) -> bool:
    # google and azure are namespaces that other distributions have, too: to look inside one, it must be there
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
