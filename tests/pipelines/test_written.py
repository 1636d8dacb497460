"""What is written: valid by the hosts' own schemas, the same each time, and with no more rights than needed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from mlinfra.operations.pipelines import HOSTS, Pipelines, pipelines
from mlinfra.pipelines.lanes import read_lanes, tick
from mlinfra.problems import Problems, WrongUse
from mlinfra.repository import Repository
from tests.pipelines.conftest import EVERYTHING, Make, Written

FORGES = ("github", "gitea")
ALONE = [{name: re.sub(r"accept_from: .*\n", "", text)} for name, text in EVERYTHING.items()]


@cache
def parsed(text: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(text)
    return document


def jobs(of: Pipelines) -> dict[str, Any]:
    found: dict[str, Any] = parsed(of.text).get("jobs", parsed(of.text))
    return found


def steps(job: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from job.get("steps", ())


class TestValid:
    @pytest.mark.parametrize("host", FORGES)
    @pytest.mark.parametrize("environments", [EVERYTHING, *ALONE], ids=lambda given: ",".join(given))
    def test_by_actionlint(
        self, make: Make, actionlint: Path, tmp_path: Path, host: str, environments: dict[str, str]
    ) -> None:
        done = lint(actionlint, tmp_path, pipelines(make(environments), host).text)
        assert (done.returncode, done.stdout) == (0, "")

    def test_actionlint_sees_what_is_wrong(self, written: Written, actionlint: Path, tmp_path: Path) -> None:
        text = written["github"].text.replace("needs.touched.outputs.dev", "needs.touched.outputs.dve", 1)
        done = lint(actionlint, tmp_path, text)
        assert done.returncode == 1
        assert "dve" in done.stdout

    @pytest.mark.parametrize("environments", [EVERYTHING, *ALONE], ids=lambda given: ",".join(given))
    def test_by_the_schema_of_gitlab(self, make: Make, environments: dict[str, str]) -> None:
        check_gitlab(pipelines(make(environments), "gitlab").text)

    def test_the_schema_sees_what_is_wrong(self, written: Written) -> None:
        text = written["gitlab"].text
        for right, wrong in (("resource_group: mlinfra-dev", "resource_group: [dev]"), ("  script:", "  skript:")):
            with pytest.raises(jsonschema.ValidationError):
                check_gitlab(text.replace(right, wrong))

    def test_jobs_need_only_jobs_that_are_there_and_run_then(self, written: Written) -> None:
        for host in HOSTS:
            found = jobs(written[host])
            for job in found.values():
                for needed in [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", ()):
                    assert needed in found
                    if "rules" in job:
                        assert job["rules"] == found[needed]["rules"]


class TestTheSameEachTime:
    @pytest.mark.parametrize("host", HOSTS)
    def test_for_the_same_environments(self, make: Make, written: Written, host: str) -> None:
        assert pipelines(make(), host).text == written[host].text

    @pytest.mark.parametrize("host", HOSTS)
    def test_write_and_check(self, make: Make, host: str) -> None:
        repository = make()
        assert not pipelines(repository, host).current
        pipelines(repository, host).write()
        assert pipelines(repository, host).current
        pipelines(repository, host).write()
        assert pipelines(repository, host).current

    @pytest.mark.parametrize("host", HOSTS)
    @pytest.mark.parametrize(
        "change",
        [
            ("dev", "target: local\nstacks: [fares]\n"),
            ("staging", EVERYTHING["staging"].replace("1m", "20m")),
            ("staging", EVERYTHING["staging"].replace("gs:", "s3:")),
            ("prod-us", EVERYTHING["prod-us"].replace("[staging]", "[dev]")),
            ("prod-us", EVERYTHING["prod-us"].replace("vertex", "sagemaker")),
            ("new", "target: kubernetes\nstacks: [fares]\n"),
        ],
        ids=["stacks", "tick", "state", "order", "target", "new"],
    )
    def test_a_changed_environment_makes_it_stale(self, make: Make, host: str, change: tuple[str, str]) -> None:
        repository = make()
        pipelines(repository, host).write()
        (repository.root / "environments" / f"{change[0]}.yaml").write_text(change[1])
        assert not pipelines(repository, host).current

    @pytest.mark.parametrize("host", HOSTS)
    def test_a_lock_does_not(self, make: Make, host: str) -> None:
        repository = make()
        pipelines(repository, host).write()
        (repository.root / "environments" / "dev.lock.yaml").write_text("api: {release: '3f9c2ab1'}\n")
        assert pipelines(repository, host).current


class TestRights:
    @pytest.mark.parametrize("host", FORGES)
    def test_actions_are_pinned_by_commit_with_their_version(self, written: Written, host: str) -> None:
        used = re.findall(r"uses: (.*)", written[host].text)
        assert used
        assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []

    def test_least_permissions(self, written: Written) -> None:
        document = parsed(written["github"].text)
        assert document["permissions"] == {}
        clouds = {lane.name: bool(lane.clouds) for lane in read_lanes(Repository(written["github"].root))}
        assert clouds == {"dev": False, "lab": False, "staging": True, "prod-eu": True, "prod-us": True}
        for key, job in document["jobs"].items():
            kind, _, name = key.partition("-")
            wanted = {"actions": "read"} if kind == "quiet" else {"contents": "read"}
            wanted |= {"id-token": "write"} if clouds.get(name) else {}
            wanted |= {"plan": {"pull-requests": "write"}, "watch": {"issues": "write"}}.get(kind, {})
            assert job["permissions"] == wanted, key

    def test_only_the_step_that_speaks_to_the_host_has_its_token(self, written: Written) -> None:
        for host in FORGES:
            for job in jobs(written[host]).values():
                assert "github.token" not in json.dumps(job.get("env", {}))
                for step in steps(job):
                    if "github.token" in json.dumps(step.get("env", {})):
                        assert "mlinfra.pipelines.report" in step["run"] or "curl" in step["run"]
                        assert not re.search(r"^\s*mlinfra ", step["run"], re.MULTILINE)

    def test_each_cloud_is_asked_for_a_token_and_no_key_is_kept(self, written: Written) -> None:
        found = jobs(written["github"])
        actions = {
            name: {step["uses"].partition("@")[0] for step in steps(found[f"up-{name}"]) if "uses" in step}
            - {"actions/checkout", "actions/setup-python"}
            for name in EVERYTHING
        }
        aws, gcp, azure = "aws-actions/configure-aws-credentials", "google-github-actions/auth", "azure/login"
        assert actions == {
            "dev": set(), "lab": set(), "staging": {aws, gcp}, "prod-eu": {azure}, "prod-us": {aws, gcp},
        }  # fmt: skip
        secrets = re.findall(r"secrets\.(\w+)", written["github"].text)
        assert {name for name in secrets if not name.endswith("_PASSPHRASE")} == set()
        tokens = {name: set(job.get("id_tokens", {})) for name, job in jobs(written["gitlab"]).items()}
        assert tokens["up staging"] == {"AWS_ID_TOKEN", "GCP_ID_TOKEN"}
        assert tokens["plan prod-eu"] == {"ARM_OIDC_TOKEN"}
        assert "gives jobs no OpenID Connect token" in written["gitea"].text

    @pytest.mark.parametrize("host", HOSTS)
    def test_a_pull_request_has_other_credentials_than_an_up(self, written: Written, host: str) -> None:
        found = {key.replace(" ", "-"): job for key, job in jobs(written[host]).items()}

        def who(job: str) -> set[str]:
            return set(
                re.findall(r"MLINFRA_[A-Z_]+_(?:ROLE|ACCOUNT|CLIENT|KEY_ID|KEY|SECRET)\b", json.dumps(found[job]))
            )

        for name in ("staging", "prod-eu", "prod-us"):
            assert who(f"plan-{name}")
            assert all("_PLAN_" in word for word in who(f"plan-{name}"))
            assert who(f"up-{name}") == who(f"tick-{name}") == who(f"watch-{name}")
            assert not any("_PLAN_" in word for word in who(f"up-{name}"))

    def test_a_fork_gets_no_credentials(self, written: Written) -> None:
        own = "github.event.pull_request.head.repo.full_name == github.repository"
        for name in ("staging", "prod-eu", "prod-us"):
            job = jobs(written["github"])[f"plan-{name}"]
            logins = [step for step in steps(job) if "uses" in step and not step["uses"].startswith("actions/")]
            assert logins
            assert all(step["if"] == own for step in logins)


class TestRuns:
    @pytest.mark.parametrize("host", HOSTS)
    def test_which_commands_run(self, written: Written, host: str) -> None:
        for key, job in jobs(written[host]).items():
            kind = key.replace(" ", "-").partition("-")[0]
            text = "\n".join([*job.get("script", ()), *(str(step.get("run", "")) for step in steps(job))])
            found = set(re.findall(r'\bmlinfra (\w+) "\$ENVIRONMENT"', text))
            wanted = {
                "plan": {"plan", "check", "cost"},
                "up": {"up"},
                "tick": {"tick"},
                "watch": {"verify", "plan", "drift"},
            }
            assert found == wanted.get(kind, set()), key

    @pytest.mark.parametrize("host", HOSTS)
    def test_one_at_a_time_and_never_cancelled(self, written: Written, host: str) -> None:
        for key, job in jobs(written[host]).items():
            kind, _, name = key.replace(" ", "-").partition("-")
            if kind not in ("up", "tick", "watch"):
                continue
            if host == "gitlab":
                assert job["resource_group"] == f"mlinfra-{name}"
                assert jobs(written[host])[".mlinfra"]["interruptible"] is False
            else:
                assert job["concurrency"] == {"group": f"mlinfra-{name}", "cancel-in-progress": False}

    @pytest.mark.parametrize("host", HOSTS)
    def test_every_job_has_an_end(self, written: Written, host: str) -> None:
        for key, job in jobs(written[host]).items():
            assert key.startswith(".") or "timeout-minutes" in job or "timeout" in job, key

    @pytest.mark.parametrize("host", HOSTS)
    def test_ups_are_in_the_order_of_releases(self, written: Written, host: str) -> None:
        found = {key.replace(" ", "-"): job for key, job in jobs(written[host]).items()}
        needs = {name: [word.replace(" ", "-") for word in found[f"up-{name}"].get("needs", [])] for name in EVERYTHING}
        assert needs == {
            "dev": [], "lab": [], "staging": ["up-dev"], "prod-eu": ["up-staging"], "prod-us": ["up-staging"],
        }  # fmt: skip

    def test_schedules_and_their_real_bounds(self, written: Written) -> None:
        document = parsed(written["github"].text)
        crons = [item["cron"] for item in document["on"]["schedule"]]
        assert crons == ["*/5 * * * *", "7 * * * *", "23 * * * *"]
        for name, cron in (("dev", "*/5 * * * *"), ("staging", "*/5 * * * *"), ("prod-eu", "7 * * * *")):
            assert f"github.event.schedule == '{cron}'" in document["jobs"][f"tick-{name}"]["if"]
        assert all("'23 * * * *'" in job["if"] for key, job in document["jobs"].items() if key.startswith("watch"))
        for host in HOSTS:
            text = written[host].text
            assert "staging: a tick every 5m (1m is asked for)" in text
            assert "prod-eu: a tick every 1h (90m is asked for)" in text
        assert parsed(written["gitea"].text)["on"]["schedule"] == [{"cron": "*/5 * * * *"}]
        due = {key: job["rules"][0]["if"] for key, job in jobs(written["gitlab"]).items() if "rules" in job}
        assert due["tick staging"].endswith('$MLINFRA_SCHEDULE == "tick-5m"')
        assert due["tick prod-eu"].endswith('$MLINFRA_SCHEDULE == "tick-1h"')

    @pytest.mark.parametrize("host", HOSTS)
    def test_a_local_environment_runs_on_its_own_machine_and_keeps_its_files(self, written: Written, host: str) -> None:
        found = {key.replace(" ", "-"): job for key, job in jobs(written[host]).items()}
        for kind in ("up", "tick", "watch"):
            for name in EVERYTHING:
                job = found[f"{kind}-{name}"]
                own = (job.get("runs-on") or job.get("tags", [""])[0]) == "self-hosted"
                cleans = "GIT_CLEAN_FLAGS" not in job.get("variables", {}) and not any(
                    step.get("with", {}).get("clean") is False for step in steps(job)
                )
                assert (own, cleans) == (name == "dev", name != "dev")
        assert found["plan-dev"].get("runs-on", "ubuntu-latest") == "ubuntu-latest"

    @pytest.mark.parametrize("host", HOSTS)
    def test_the_passphrase_is_given_where_secrets_need_one(self, written: Written, host: str) -> None:
        found = {key.replace(" ", "-"): json.dumps(job) for key, job in jobs(written[host]).items()}
        given = {key for key, text in found.items() if "PULUMI_CONFIG_PASSPHRASE" in text}
        assert given == {f"{kind}-{name}" for kind in ("up", "tick") for name in ("staging", "prod-us", "lab")}

    @pytest.mark.parametrize("host", HOSTS)
    def test_what_is_installed(self, make: Make, host: str) -> None:
        repository = make()
        text = json.dumps(jobs(pipelines(repository, host)))
        assert re.search(r"pip install 'mlinfra-toolkit\[azure,signing\]==\d", text)
        (repository.root / "requirements.txt").write_text("mlinfra-toolkit[aws]\n")
        assert not pipelines(repository, host).current
        assert "mlinfra-toolkit" not in json.dumps(jobs(pipelines(repository, host)))


class TestTouched:
    @pytest.mark.parametrize(
        ("file", "expected"),
        [
            ("environments/dev.yaml", {"dev"}),
            ("environments/prod-eu.lock.yaml", {"prod-eu"}),
            ("environments/staging.py", {"staging"}),
            ("Pulumi.prod-us.yaml", {"prod-us"}),
            ("stacks/flights/deep/train.py", {"dev", "staging", "prod-eu", "prod-us"}),
            ("stacks/fares/stack.py", {"prod-eu", "lab"}),
            ("stacks/common/columns.py", set(EVERYTHING)),
            ("stacks/__main__.py", set(EVERYTHING)),
            ("policies/rules/ours.py", set(EVERYTHING)),
            ("requirements.txt", set(EVERYTHING)),
            ("README.md", set()),
            ("releases/flights/1.json", set()),
            ("docs/environments/dev.yaml", set()),
        ],
    )
    def test_by_git(self, make: Make, tmp_path: Path, file: str, expected: set[str]) -> None:
        repository = make()
        base = committed(repository.root)
        [step] = [step for step in steps(jobs(pipelines(repository, "github"))["touched"]) if "run" in step]
        (repository.root / file).parent.mkdir(parents=True, exist_ok=True)
        (repository.root / file).write_text("changed")
        committed(repository.root)
        out = tmp_path / "out"
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=repository.root, env={"PATH": "/usr/bin:/bin", "BASE": base, "GITHUB_OUTPUT": str(out)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = dict(line.split("=") for line in out.read_text().split())
        assert {name for name, answer in said.items() if answer == "true"} == expected
        assert set(said) == set(EVERYTHING)

    def test_what_git_cannot_tell_is_an_error(self, make: Make, tmp_path: Path) -> None:
        repository = make()
        committed(repository.root)
        [step] = [step for step in steps(jobs(pipelines(repository, "github"))["touched"]) if "run" in step]
        environment = {"PATH": "/usr/bin:/bin", "BASE": "0" * 40, "GITHUB_OUTPUT": str(tmp_path / "out")}
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]], cwd=repository.root, env=environment, capture_output=True, check=False
        )
        assert done.returncode != 0


class TestRefused:
    @pytest.mark.parametrize("host", HOSTS)
    def test_a_circle(self, make: Make, host: str) -> None:
        repository = make(
            {
                "a": "target: local\nstacks: [x]\naccept_from: [c]\n",
                "b": "target: local\nstacks: [x]\naccept_from: [a]\n",
                "c": "target: local\nstacks: [x]\naccept_from: [b]\n",
            }
        )
        with pytest.raises(Problems, match="would flow in a circle: ") as caught:
            pipelines(repository, host)
        assert caught.value.message.endswith(
            "environments/a.yaml: accept_from: releases would flow in a circle: a → b → c → a"
        )

    def test_all_problems_at_once(self, make: Make) -> None:
        repository = make(
            {
                "dev": "target: locl\nstacks: [x]\n",
                "prod": "target: local\nstacks: [x]\naccept_from: [stagin]\ntick_every: soon\n",
                "staging": "target: local\nstacks: [x]\n",
            }
        )
        with pytest.raises(Problems) as caught:
            pipelines(repository, "github")
        assert [(item.file, item.line, item.path) for item in caught.value.problems] == [
            ("environments/dev.yaml", 1, "target"),
            ("environments/prod.yaml", 3, "accept_from"),
            ("environments/prod.yaml", 4, "tick_every"),
        ]
        assert [item.nearest for item in caught.value.problems] == ["local", "staging", ""]

    @pytest.mark.parametrize("names", [["a.b"], ["1a"], ["ä"], ["a b"], ["x-y", "x_y"], ["Prod", "prod"]])
    def test_names_that_no_job_can_have(self, make: Make, names: list[str]) -> None:
        with pytest.raises(WrongUse):
            pipelines(make(dict.fromkeys(names, "target: local\nstacks: [x]\n")), "github")


@pytest.mark.parametrize("host", HOSTS)
def test_an_environment_may_be_called_no(make: Make, host: str) -> None:
    text = pipelines(make({"no": "target: local\nstacks: [x]\n"}), host).text
    assert re.findall(r"ENVIRONMENT: (.*)", text) == ["'no'"] * 4


@pytest.mark.parametrize(
    ("asked", "every", "cron"),
    [
        ("30s", "5m", "*/5 * * * *"), ("5m", "5m", "*/5 * * * *"), ("7m", "6m", "*/6 * * * *"),
        ("14m", "12m", "*/12 * * * *"), ("59m", "30m", "*/30 * * * *"), ("60m", "1h", "7 * * * *"),
        ("5h", "4h", "7 */4 * * *"), ("23h", "12h", "7 */12 * * *"), ("1d", "24h", "7 0 * * *"),
        ("9d", "24h", "7 0 * * *"),
    ],
)  # fmt: skip
def test_a_schedule_looks_at_least_as_often_as_asked(asked: str, every: str, cron: str) -> None:
    assert (tick(asked).every, tick(asked).cron) == (every, cron)


def lint(program: Path, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "workflow.yml"
    file.write_text(text)
    return subprocess.run([program, "-no-color", file], cwd=folder, capture_output=True, text=True, check=False)


def check_gitlab(text: str) -> None:
    schema = json.loads(Path(__file__).with_name("gitlab-ci.json").read_text())
    jsonschema.Draft7Validator(schema).validate(YAML(typ="safe").load(text))


def committed(root: Path) -> str:
    """Commit everything and return the commit."""
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
