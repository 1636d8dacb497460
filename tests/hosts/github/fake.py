"""GitHub as its own description says it is: every request to it, and every answer of it, is checked against that.

What the description does not hold is from GitHub's documentation: a duplicate is answered 422, a moved head 409,
`/user` 403 for the token of a workflow, and GraphQL's viewer and auto-merge.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from tests.hosts.fake import Asked, Told

REPOSITORY = "/repos/acme/platform"
API = "https://api.github.com"
DESCRIPTION: dict[str, Any] = json.loads((Path(__file__).parent / "openapi.json").read_text(encoding="utf-8"))

_TEXTS = {"date-time": "2026-01-01T00:00:00Z", "uri": "https://example.com/", "email": "a@example.com"}


@cache
def contract() -> OpenAPI:
    return OpenAPI.from_dict(DESCRIPTION)


def smallest(schema: Mapping[str, Any]) -> Any:
    """Return a small value of a schema: what is required, and nothing else."""
    if "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        return smallest(DESCRIPTION["components"][kind][name])
    for several in ("allOf", "anyOf", "oneOf"):
        if several in schema:
            parts = [smallest(part) for part in schema[several]]
            return {key: value for part in parts for key, value in part.items()} if several == "allOf" else parts[0]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("nullable"):
        return None
    match schema.get("type", "object"):
        case "object":
            properties = schema.get("properties", {})
            return {name: smallest(properties[name]) for name in schema.get("required", [])}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return _TEXTS.get(schema.get("format", ""), "text")


def a(name: str, **values: Any) -> dict[str, Any]:
    """Return a small value of the description's schema `name`, with these values."""
    return {**smallest({"$ref": f"#/components/schemas/{name}"}), **values}


@dataclass
class FakeGitHub:
    """One repository, `acme/platform`. `me` is whose token it is; a workflow's token asks GraphQL for that."""

    me: int = 7
    of_workflow: bool = False
    read_only: bool = False
    allowed: tuple[str, ...] = ("merge", "squash", "rebase")
    pulls: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    unknown_for: int = 0
    blocked: str = ""
    waiting: bool = True
    asked: list[Asked] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __call__(self, asked: Asked) -> Told:
        self.asked.append(asked)
        assert asked.headers["authorization"] == "Bearer ghp_secret"
        if asked.path == "/graphql":
            return self._graph(asked.json)
        request = MockRequest(
            API,
            asked.method.lower(),
            asked.path,
            args=dict(asked.query),
            data=asked.body or None,
            content_type=asked.headers.get("content-type", "application/json"),
        )
        contract().validate_request(request)
        told = self._answer(asked)
        response = MockResponse(told.content, status_code=told.status, headers=dict(told.headers))
        contract().validate_response(request, response)
        return told

    def user(self, number: int, login: str) -> dict[str, Any]:
        return a("simple-user", id=number, login=login)

    def add_pull(
        self, branch: str, sha: str, *, base: str = "main", fork: bool = False, **values: Any
    ) -> dict[str, Any]:
        number = next(self.numbers)
        repository = a("repository", full_name="eve/platform" if fork else "acme/platform")
        owner = self.user(1, "eve" if fork else "acme")
        head = {"label": f"{owner['login']}:{branch}", "ref": branch, "sha": sha, "repo": repository, "user": owner}
        pull = a(
            "pull-request",
            number=number,
            node_id=f"PR_{number}",
            html_url=f"https://github.com/acme/platform/pull/{number}",
            user=owner,
            head=head,
            base={**head, "ref": base, "sha": "0" * 40},
            **{"state": "open", "merged_at": None, "mergeable": True, "title": "", "body": None, **values},
        )
        self.pulls.insert(0, pull)
        return pull

    def _answer(self, asked: Asked) -> Told:
        path = asked.path.removeprefix(REPOSITORY)
        if path == "/user":
            if self.of_workflow:
                return Told(403, a("basic-error", message="Resource not accessible by integration"))
            return Told(200, a("public-user", id=self.me, login="ada", user_view_type="public"))
        if path == "":
            rules = {f"allow_{name}": True for name in ("merge_commit", "squash_merge", "rebase_merge")}
            rules |= {f"allow_{kind}{'_commit' if kind == 'merge' else '_merge'}": kind in self.allowed
                      for kind in ("merge", "squash", "rebase")}  # fmt: skip
            return Told(200, a("full-repository", **rules))
        if asked.method != "GET" and self.read_only:
            return Told(403, a("basic-error", message="Resource not accessible by integration"))
        if path == "/pulls":
            return self._list(asked) if asked.method == "GET" else self._open(asked.json)
        if found := re.fullmatch(r"/pulls/(\d+)(/\w+)?", path):
            return self._one(int(found[1]), found[2] or "", asked)
        if path.startswith("/statuses/"):
            self.statuses.append(asked.json)
            return Told(201, a("status", **{name: value for name, value in asked.json.items() if value}))
        return self._comment(path, asked)

    def _list(self, asked: Asked) -> Told:
        owner, _, branch = asked.query["head"].partition(":")
        found = [
            _simple(pull)
            for pull in self.pulls
            if pull["head"]["label"] == f"{owner}:{branch}" and pull["base"]["ref"] == asked.query["base"]
        ]
        return Told(200, found)

    def _open(self, told: dict[str, Any]) -> Told:
        for pull in self.pulls:
            if pull["state"] == "open" and (pull["head"]["ref"], pull["base"]["ref"]) == (told["head"], told["base"]):
                error = {"resource": "PullRequest", "code": "custom",
                         "message": f"A pull request already exists for acme:{told['head']}."}  # fmt: skip
                return Told(422, {"message": "Validation Failed", "documentation_url": "", "errors": [error]})
        pull = self.add_pull(
            told["head"], self.heads[told["head"]], base=told["base"], title=told["title"], body=told["body"]
        )
        return Told(201, pull)

    def _one(self, number: int, rest: str, asked: Asked) -> Told:
        pull = next((pull for pull in self.pulls if pull["number"] == number), None)
        if pull is None:
            return Told(404, a("basic-error", message="Not Found"))
        if rest == "/reviews":
            return Told(200, self.reviews)
        if rest == "/merge":
            return self._merge(pull, asked.json)
        if asked.method == "PATCH":
            pull.update(asked.json)
        self.unknown_for -= 1
        return Told(200, pull | {"mergeable": None} if self.unknown_for >= 0 else pull)

    def _merge(self, pull: dict[str, Any], told: dict[str, Any]) -> Told:
        if told["merge_method"] not in self.allowed:
            return Told(405, {"message": f"{told['merge_method']} is not allowed on this repository."})
        if self.blocked:
            return Told(405, {"message": self.blocked})
        if told["sha"] != pull["head"]["sha"]:
            return Told(409, {"message": "Head branch was modified. Review and try the merge again."})
        pull.update(state="closed", merged_at="2026-01-01T00:00:00Z", merged=True)
        return Told(200, a("pull-request-merge-result", merged=True))

    def _comment(self, path: str, asked: Asked) -> Told:
        if asked.method == "GET":
            return Told(200, self.comments)
        if asked.method == "POST":
            return Told(201, self.add_comment(asked.json["body"]))
        comment = next(item for item in self.comments if path.endswith(f"/{item['id']}"))
        if asked.method == "DELETE":
            self.comments.remove(comment)
            return Told(204)
        comment.update(asked.json)
        return Told(200, comment)

    def add_comment(self, body: str, *, by: int | None = None) -> dict[str, Any]:
        number = next(self.numbers)
        url = f"https://github.com/acme/platform/pull/1#issuecomment-{number}"
        author = self.user(by or self.me, "somebody")
        comment = a("issue-comment", id=number, body=body, html_url=url, user=author)
        self.comments.append(comment)
        return comment

    def _graph(self, told: dict[str, Any]) -> Told:
        if "viewer" in told["query"]:
            return Told(200, {"data": {"viewer": {"databaseId": self.me}}})
        assert told["variables"].keys() == {"pull", "head", "method"}
        if not self.waiting:
            message = "Pull request Pull request is in clean status"
            return Told(200, {"data": None, "errors": [{"type": "UNPROCESSABLE", "message": message}]})
        return Told(200, {"data": {"enablePullRequestAutoMerge": {"clientMutationId": None}}})


def _simple(pull: dict[str, Any]) -> dict[str, Any]:
    """Return the pull request as a list shows it: without `mergeable`."""
    known = DESCRIPTION["components"]["schemas"]["pull-request-simple"]["properties"]
    return a("pull-request-simple", **{name: value for name, value in pull.items() if name in known})
