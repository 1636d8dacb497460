"""A git host that is ill: what is tried again, what is told, and that the token is told to nobody."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate

import pytest

from mlinfra.hosts import Host, HostError, api
from mlinfra.hosts.gitea import Gitea
from mlinfra.hosts.github import GitHub
from mlinfra.hosts.gitlab import GitLab
from tests.hosts.fake import Answer, Asked, Told, serving

SECRET = "ghp_0123456789secret"
ENVIRON = {"GITHUB_TOKEN": SECRET, "GITLAB_TOKEN": SECRET, "GITEA_TOKEN": SECRET}
HOSTS = [GitHub, GitLab, Gitea]
NEW = "b" * 40

every_host = pytest.mark.parametrize("kind", HOSTS, ids=lambda kind: kind.name)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "FIRST_WAIT_SECONDS", 0.0)


def hosted(kind: type[GitHub | GitLab | Gitea], url: str) -> Host:
    return kind.at(url, "acme/platform", ENVIRON)


def asking(host: Host) -> list[Callable[[], object]]:
    return [
        lambda: host.open_or_adopt("branch", "main", NEW, "title", "body"),
        lambda: host.get(1),
        lambda: host.approvals(1),
        lambda: host.set_status(NEW, "context", "success", "ok", None),
        lambda: host.merge(1, NEW),
        lambda: host.merge(1, NEW, when_green=True),
        lambda: host.close(1),
    ]


def refused(ask: Callable[[], object]) -> HostError:
    """Return how it was refused: with a way out, and without the token in anything that can be printed."""
    with pytest.raises(HostError) as caught:
        ask()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + error.remedy
    assert SECRET not in shown
    assert "/httpx/" not in shown
    assert error.remedy
    return error


@every_host
@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (301, {"Location": "https://elsewhere.example.com"}, "has moved"),
        (401, {}, "does not accept the token"),
        (403, {}, "answered 403"),
        (403, {"Retry-After": "9999"}, "takes no more requests"),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 9999)}, "takes no more"),
        (404, {}, "answered 404"),
        (422, {}, "answered 422"),
        (429, {}, "takes no more requests"),
        (429, {"Retry-After": "9999"}, "takes no more requests"),
        (429, {"Retry-After": "9" * 400}, "takes no more requests"),
        (429, {"Retry-After": "²", "X-RateLimit-Reset": "soon"}, "takes no more requests"),
        (429, {"Retry-After": formatdate(time.time() + 9999, usegmt=True)}, "takes no more requests"),
        (500, {}, "answered 500"),
        (502, {}, "answered 502"),
        (503, {"Retry-After": "0"}, "answered 503"),
    ],
)
def test_what_is_not_done_is_told(
    kind: type[GitHub | GitLab | Gitea], status: int, headers: dict[str, str], message: str
) -> None:
    told = Told(status, {"message": f"why, {SECRET}", "errors": [{"message": "exactly"}]}, headers)
    with serving(lambda asked: told) as url:
        host = hosted(kind, url)
        for ask in asking(host):
            error = refused(ask)
            assert message in error.message
            assert error.status == (429 if message.startswith("takes") else status)
        if status == 403 and not headers:
            assert host.comment_sticky(1, "key", 1, "text") is None
        else:
            refused(lambda: host.comment_sticky(1, "key", 1, "text"))


@every_host
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"<html>please log in</html>", "that is not JSON"),
        (b'{"number": ', "that is not JSON"),
        (b"\xff\xfe", "that is not JSON"),
        (b'"text"', "something else than its API"),
        (b'{"id": "text", "approved_by": 3}', "something else than its API"),
    ],
)
def test_an_answer_of_something_else_is_told(kind: type[GitHub | GitLab | Gitea], raw: bytes, message: str) -> None:
    with serving(lambda asked: Told(200, raw=raw)) as url:
        host = hosted(kind, url)
        for ask in (lambda: host.get(1), lambda: host.open_or_adopt("branch", "main", NEW, "title", "body")):
            assert message in refused(ask).message
        refused(lambda: host.comment_sticky(1, "key", 1, "text"))


@every_host
def test_an_answer_that_breaks_off_is_told(kind: type[GitHub | GitLab | Gitea]) -> None:
    with serving(lambda asked: Told(200, raw=b'{"number": 1', length=1000)) as url:
        for ask in asking(hosted(kind, url)):
            assert "broke off" in refused(ask).message


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@every_host
def test_a_host_that_hangs_is_left(kind: type[GitHub | GitLab | Gitea], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANSWER_SECONDS", 0.3)
    with silent() as url:
        error = refused(lambda: hosted(kind, url).get(1))
    assert "no answer within 0.3 s" in error.message
    assert error.status is None


@every_host
def test_a_host_that_is_away_is_told(kind: type[GitHub | GitLab | Gitea]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = refused(lambda: hosted(kind, url).get(1))
    assert f"cannot be reached at {url}" in error.message
    refused(lambda: hosted(kind, "http://[broken").get(1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:1"), ("ALL_PROXY", "x://y"), ("SSL_CERT_FILE", "/never/there")],
)
def test_an_environment_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert "cannot be reached" in refused(lambda: GitHub.at("http://127.0.0.1:9", "a/b", ENVIRON).get(1)).message


def counted(answers: list[Told]) -> tuple[list[str], Answer]:
    """An answer a time, the last one for ever; and the methods that were asked."""
    methods: list[str] = []
    lock = threading.Lock()

    def answer(asked: Asked) -> Told:
        with lock:
            methods.append(asked.method)
            return answers[min(len(methods), len(answers)) - 1]

    return methods, answer


ME = Told(200, {"id": 1, "login": "ada"})


@pytest.mark.parametrize("ill", [Told(500), Told(502), Told(503), Told(429), Told(403, headers={"Retry-After": "0"}),
                                 Told(200, raw=b"{", length=9)])  # fmt: skip
def test_what_may_be_repeated_is_repeated(ill: Told) -> None:
    methods, answer = counted([ill, ill, ME])
    with serving(answer) as url:
        host = GitHub.at(url, "acme/platform", ENVIRON)
        assert host._me() == 1
    assert methods == ["GET"] * 3


def test_it_is_not_repeated_for_ever() -> None:
    methods, answer = counted([Told(500)])
    with serving(answer) as url:
        refused(lambda: GitHub.at(url, "acme/platform", ENVIRON)._me())
    assert methods == ["GET"] * api.ATTEMPTS


@pytest.mark.parametrize(("ill", "asked"), [(Told(500), 1), (Told(200, raw=b"{", length=9), 1), (Told(429), 4)])
def test_what_may_have_been_done_is_looked_for_and_not_repeated(ill: Told, asked: int) -> None:
    """A pull request may be there after an answer that was lost; a request that was not taken is no such case."""
    methods: list[str] = []

    def answer(request: Asked) -> Told:
        methods.append(request.method)
        return Told(200, []) if request.method == "GET" else ill

    with serving(answer) as url:
        host = Gitea.at(url, "acme/platform", ENVIRON)
        refused(lambda: host.open_or_adopt("branch", "main", NEW, "title", "body"))
    assert methods.count("POST") == asked
    assert methods[-1] == "GET"


def test_the_host_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    _, answer = counted([Told(429, headers={"Retry-After": "7"}), Told(503, headers={"Retry-After": "3"}), ME])
    with serving(answer) as url:
        GitHub.at(url, "acme/platform", ENVIRON)._me()
    assert waited == [7.0, 3.0]


@pytest.mark.parametrize(("said", "tries"), [("Please try again later", 3), ("not enough approvals", 1)])
def test_gitea_says_405_for_later_and_for_never(said: str, tries: int) -> None:
    tried: list[Asked] = []

    def answer(asked: Asked) -> Told:
        if asked.method == "GET":
            return Told(200, {"default_merge_style": "squash"})
        tried.append(asked)
        return Told(200) if len(tried) == 3 else Told(405, {"message": said})

    with serving(answer) as url:
        host = Gitea.at(url, "acme/platform", ENVIRON)
        if tries == 1:
            assert said in refused(lambda: host._merge(1, NEW, False)).message
        else:
            host._merge(1, NEW, False)
    assert len(tried) == tries


@pytest.mark.parametrize("value", [f"{SECRET} x", f"{SECRET}\nX-Evil: 1", f"{SECRET}é", f"{SECRET}\x00"])
def test_a_token_that_no_header_can_hold(value: str) -> None:
    error = refused(lambda: GitHub.at("http://127.0.0.1:9", "acme/platform", {"GITHUB_TOKEN": value}))
    assert error.message.startswith("GITHUB_TOKEN is no token")


@every_host
def test_the_token_is_in_no_representation(kind: type[GitHub | GitLab | Gitea]) -> None:
    host = kind.at("http://127.0.0.1:9", "acme/platform", {name: f" {token}\n" for name, token in ENVIRON.items()})
    assert SECRET not in repr(host) + repr(host.api) + repr(host.api.token) + repr(vars(host))
    assert host.api.token.value == SECRET


@every_host
def test_without_a_token_it_is_said_which_to_give(kind: type[GitHub | GitLab | Gitea]) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Told:
        seen.append(asked)
        return Told(401, {"message": "Requires authentication"})

    with serving(answer) as url:
        error = refused(lambda: kind.at(url, "acme/platform", {"GITHUB_TOKEN": ""}).get(1))
    assert "wants a token" in error.message
    assert "_TOKEN" in error.remedy
    assert "authorization" not in seen[0].headers
