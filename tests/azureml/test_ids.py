"""The ids by which interrupted creates are taken over are those that Azure Resource Manager gives."""

from __future__ import annotations

import pytest

from mlinfra.environment import parse_environment
from mlinfra.yaml_file import read_yaml
from mlinfra_providers.azureml.ids import PATHS, id_of
from mlinfra_providers.azureml.replacing import REPLACED_BY
from tests.lab.azure import kinds

TEXT = (
    "target: azureml\nstacks: []\naccount: 11111111-2222-3333-4444-555555555555\nregion: eastus\nresource_group: acme\n"
)
ENVIRONMENT, _ = parse_environment(read_yaml(TEXT, "environments/prod.yaml"), "prod")


@pytest.mark.parametrize("token", [*REPLACED_BY, *(f"azure-native:{short}" for short in kinds.PATHS)])
def test_every_type_has_the_path_of_the_lab(token: str) -> None:
    if token.endswith(":FeaturesetVersion"):
        return  # made by mlinfra's own handler
    kind = kinds.kind_of(token)
    assert kind is not None
    names = {name: f"/{name}/" if name in ("scope", "resourceUri") else f"the-{name}" for name in kind.names}
    assert ENVIRONMENT is not None
    expected = kind.path.format(
        subscription=ENVIRONMENT.account, **{name: value.strip("/") for name, value in names.items()}
    )
    assert id_of(ENVIRONMENT, token, names) == "/" + expected.lstrip("/")


def test_without_a_name_there_is_no_id() -> None:
    assert ENVIRONMENT is not None
    assert id_of(ENVIRONMENT, "azure-native:redis:Redis", {"resourceGroupName": "acme"}) is None
    assert id_of(ENVIRONMENT, "mlinfra:azureml:Traffic", {"name": "one"}) is None
    assert len(PATHS) == len(set(PATHS.values()))
