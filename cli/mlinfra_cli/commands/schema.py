"""mlinfra schema: the JSON Schema of environments/*.yaml."""

from __future__ import annotations

EXAMPLES = (("mlinfra schema > environments/environment.schema.json", "renew it after mlinfra was upgraded"),)


def command() -> None:
    """Print the JSON Schema of environment files.

    Editors complete and check environments/*.yaml by it.
    """
    from mlinfra.environment import environment_schema
    from mlinfra_cli.results import write_json

    write_json(environment_schema())
