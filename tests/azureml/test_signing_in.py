"""Who is not signed in to Azure is told so once."""

from __future__ import annotations

import logging

import pytest

from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml import clients


class _Nobody:
    """Tries each way to sign in, as Azure's credential does."""

    def get_token(self, *_: str) -> None:
        from azure.core.exceptions import ClientAuthenticationError

        logging.getLogger("azure.identity._credentials.chained").warning("az is not there\nazd is not there")
        raise ClientAuthenticationError("no way to sign in\naz is not there\nazd is not there")


def test_ways_to_sign_in_that_are_not_there_are_not_told_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", _Nobody)
    monkeypatch.setattr(clients, "_credential", clients._credential.__wrapped__)
    with pytest.raises(MlinfraError, match=r"^there are no credentials of Azure here: no way to sign in$") as told:
        clients.token("https://management.azure.com")
    assert "az login" in (told.value.remedy or "")
    assert not caplog.records
