"""Telling credentials from other texts: by formats that are known, and by names that say what stands behind them.

A value never leaves this module: what is returned says what it looks like, not what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlinfra.policy.values import number
from mlinfra.resources import SECRET

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector

_DETECTORS = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "private_key": "PrivateKeyDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "twilio": "TwilioKeyDetector",
}
"""Those of the library that know a format; the others guess by entropy or names, or also find what is no secret."""

_TOKENS = (
    r"gh[opsru]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}",
    r"hf_[A-Za-z0-9]{20,}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|nvapi-[\w-]{20,}|lsv2_(?:pt|sk)_\w{20,}",
    r"sk-(?:proj|ant|svcacct|or)-[\w-]{16,}|sk-[A-Za-z0-9]{20,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"AIza[\w-]{30,}|ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}|dapi[0-9a-f]{32}|hvs\.[\w-]{20,}",
    r"dckr_pat_[\w-]{16,}|pypi-[\w-]{40,}|xox[abeoprs]-[\w-]{10,}",
)
_FORMATS = (
    ("a private key", re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")),
    ("a password in a URL", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@", re.IGNORECASE)),
    ("a token", re.compile(rf"(?<![\w-])(?:{'|'.join(_TOKENS)})")),
    ("a bearer token", re.compile(r"\bBearer +[\w.~+/-]{20,}", re.IGNORECASE)),
    ("a shared access key", re.compile(r"\b(?:AccountKey|SharedAccessKey)=[\w+/]{20,}|[?&]sig=[\w%+/-]{20,}")),
)
"""What the library does not know: above all the tokens of ML platforms."""

_REFERENCES = re.compile(r"\$?\{\{.*?\}\}|\$\{[^}]*\}|\$\([^)]*\)?|\$\w+|`[^`]*`|<[^<>]*>|" + re.escape(SECRET))
"""What stands for a value that comes from elsewhere, wherever it is in a text."""

_ELSEWHERE = re.compile(
    r"arn:[\w-]+:.*|projects/[^/]+/secrets/.*|@Microsoft\.KeyVault\(.*|\{\{.*|%\(.*|<.*>|\[.*\]|"
    r"(?:/|\./|\.\./|~/|[A-Za-z]:\\)[\w .@:/\\-]*|[a-z][a-z0-9+.-]*://.*|(?:vault|secretref|keyvault|resolve|ssm|file|env):.*|"
    r"[\w./-]+\.(?:txt|json|pem|key|crt|cert|ya?ml|env|ini|cfg|conf|p12|jks)",
    re.IGNORECASE | re.DOTALL,
)
"""A value that says where a secret is (an ARN, a resource, a path, an address), or that stands for one."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = ("password", "passwd", "pwd", "passphrase", "secret", "token", "credential")
_SECRET_KEYS = ("apikey", "accesskey", "privatekey", "secretkey")
_OTHER_TOKENS = frozenset(
    (kind, "token") for kind in ("eos", "bos", "pad", "unk", "sep", "cls", "mask", "stop", "next")
)
"""Tokens of a text, or of a page of results; not those that somebody shows at a door."""

_ABOUT = re.compile(
    "name|arn|id|path|file|filename|dir|directory|mount|uri|url|endpoint|host|region|ref|reference|location|version|"
    "type|ttl|expiry|expiration|length|limit|count|size|provider|manager|policy|rotation|enabled|header|prefix|stdin|"
    "algorithm|issuer|format"
)
"""Last words of names that tell something about a secret: where it is, how old it may be."""

_NOTHING = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null", "nil"})
_ASSIGNED = re.compile(
    r"(?<![\w${])(?P<name>[A-Za-z_][\w.-]*)[\"']?[ \t]*(?:=|:[ \t]*(?=[\"']))[ \t]*"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|`[^`\n]*`|\$\([^)\n]*\)|[^\s;&|,)\"'`]+)"
)
_FLAG = re.compile(r"(?<!\S)--(?P<name>[\w-]+)[ \t]+(?P<value>\"[^\"\n]*\"|'[^'\n]*'|(?!-)[^\s;&|\"']+)")


def looks_like(text: str) -> str | None:
    """Return what credential is in a text, in words; None where there is none that anybody would know."""
    plain = _REFERENCES.sub("", text)
    for name, pattern in _FORMATS:
        if pattern.search(plain):
            return name
    for detector in _detectors():
        if any(True for _ in detector.analyze_string(plain)):
            return f"{detector.secret_type} (by its format)"
    return None


def is_secret_name(name: str) -> bool:
    """Whether a name says that a credential stands behind it: `DB_PASSWORD`, `apiKey`, not `MAX_TOKENS`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or (_ABOUT.fullmatch(words[-1]) and words[-3:] != ["access", "key", "id"]):
        return False
    pairs = ["".join(pair) for pair in pairwise(words)]
    if any(word.endswith(_SECRET_KEYS) for word in (*words, *pairs)):
        return True
    return any(
        word.removesuffix("s").endswith(_SECRET_WORDS) and word != "tokens" and (before, word) not in _OTHER_TOKENS
        for before, word in pairwise(["", *words])
    )


def is_literal(value: Any) -> bool:
    """Whether a value is itself what its name says: no reference, number, boolean or empty text."""
    text = str(value).strip().strip("\"'").strip()
    if text.lower() in _NOTHING or number(text) is not None:
        return False
    return not _ELSEWHERE.fullmatch(text) and bool(_REFERENCES.sub("", text).strip())


def assigned(text: str) -> Iterator[str]:
    """Yield the names in a script or a list of options that are given a literal credential."""
    for pattern in (_ASSIGNED, _FLAG):
        for match in pattern.finditer(text):
            if is_secret_name(match["name"]) and is_literal(match["value"]):
                yield match["name"]


@cache
def _detectors() -> Sequence[RegexBasedDetector]:
    # imported late: the library brings an HTTP client along, and most plans hold no text to look at
    return [getattr(import_module(f"detect_secrets.plugins.{module}"), name)() for module, name in _DETECTORS.items()]
