"""Credentials are told from other texts, and never shown."""

from __future__ import annotations

from base64 import b64encode

import pytest

from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.resources import Resource, Resources
from mlinfra_policies.catalogue import rules
from mlinfra_policies.families.identity.credentials import assigned, is_literal, is_secret_name, looks_like

SIGNED = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "hf_" + "aBcD" * 8,
        "sk-proj-" + "aB3_" * 6,
        "dapi" + "0a" * 16,
        "glpat-" + "aB3-" * 5,
        "ghr_" + "aB3" * 6,
        "AIza" + "aB3-" * 9,
        "dckr_pat_" + "aB3-" * 6,
        "SharedAccessKey=" + "aB3/" * 11,
        SIGNED,
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "postgres://flights:hunter2@db:5432/flights",
        "redis://:p$a!ss@cache",
        "Authorization: Bearer " + "aB3" * 8,
        "DefaultEndpointsProtocol=https;AccountKey=" + "aB3/" * 21 + "ab==",
        "https://acme.blob.core.windows.net/data?sv=2024&sig=" + "aB3%2B" * 6,
    ],
)
def test_a_credential_is_known_by_its_format(text: str) -> None:
    assert looks_like(text)
    assert looks_like(f"run --with '{text}' now")


@pytest.mark.parametrize(
    "text",
    [
        "s3://models/churn/model.tar.gz",
        "http://proxy:8080",
        "postgres://flights@db/flights",
        "postgres://flights:${DB_PASSWORD}@db/flights",
        "sk-learn-custom-container-model",
        "europe-west4-docker.pkg.dev/acme/ml/serving@sha256:" + "0a" * 32,
        "git@github.com:acme/models.git",
        "arn:aws:iam::111122223333:role/flights",
        "https://acme.com/search?a=b",
        "2.5.1",
    ],
)
def test_other_texts_look_like_none(text: str) -> None:
    assert looks_like(text) is None


def test_a_name_says_that_a_credential_stands_behind_it() -> None:
    yes = "DB_PASSWORD apiKey API-KEY dbpassword hfToken AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY privateKey credentials"
    assert [name for name in yes.split() if not is_secret_name(name)] == []
    no = "MAX_TOKENS max_new_tokens TOKENIZERS_PARALLELISM eos_token SECRET_ARN PASSWORD_FILE KMS_KEY_ID monkey key"
    assert [name for name in no.split() if is_secret_name(name)] == []


def test_a_reference_a_number_or_nothing_is_no_literal_credential() -> None:
    yes = ["hunter2", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", '"abc"', "p@ss/word", "changeme"]
    assert [value for value in yes if not is_literal(value)] == []
    no = ["", "''", "true", "512", "1e-4", False, 3, None, "[secret]", "</s>", "[PAD]", "<your token>"]
    no += ["arn:aws:secretsmanager:eu-west-1:1:secret:db", "projects/acme/secrets/db/versions/1", "~/.aws/credentials"]
    no += ["@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/db)", "$(TOKEN)", "${TOKEN}", "{{ db }}"]
    no += ["${{secrets.TOKEN}}", "secrets/key.json"]
    assert [value for value in no if is_literal(value)] == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("export DB_PASSWORD=hunter2", ["DB_PASSWORD"]),
        ("curl --token abcdef https://acme.com", ["token"]),
        ('{"password": "hunter2", "user": "ada"}', ["password"]),
        ("Server=db;Password=hunter2;", ["Password"]),
        ("export DB_PASSWORD=$(aws secretsmanager get-secret-value --secret-id db)", []),
        ("TOKEN=`cat /run/token`", []),
        ("docker login --password-stdin registry", []),
        ('if [ "$TOKEN" == "x" ]; then', []),
        ("# the password: ask the owner", []),
        ("--max_tokens 512", []),
    ],
)
def test_a_line_of_a_script_gives_a_name_a_literal_credential(line: str, names: list[str]) -> None:
    assert list(assigned(line)) == names


def test_no_credential_is_in_what_is_found() -> None:
    script = b64encode(b"#!/bin/sh\nexport TOKEN=hunter2\ngit clone https://ada:hunter2@acme.com/x\n").decode()
    inputs = {"onStart": script, "primaryContainer": {"environment": {"TOKEN": "hunter2", "DB": "pg://a:hunter2@db"}}}
    types = ["model:Model", "notebookInstanceLifecycleConfiguration:NotebookInstanceLifecycleConfiguration"]
    resources = [
        Resource(f"urn:pulumi:dev::p::aws:sagemaker/{each}::x", f"aws:sagemaker/{each}", "x", inputs) for each in types
    ]
    [rule] = [rule for rule in rules() if rule.id == "IAM-06"]
    found = check(Inspection(Resources(resources)), [rule])
    assert len(found) == 2
    assert "hunter2" not in "".join(str(finding.to_json()) for finding in found)
