"""The section `env` of a service file, and the detection of secrets among its values."""

import re
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from components.schema.fields import LONGEST_WORD
from components.schema.problem import UNREPEATED
from components.schema.shape import Shape
from components.schema.typed_file import SECRET_KEY, misplaced

# Formats of secrets, each documented by its issuer or by a standard.
_SECRET_VALUES = MappingProxyType(
    {
        "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        "a password in an address": re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@"),
        "a token of Vault": re.compile(r"\b(?:hv[sbr]|[sb])\.[A-Za-z0-9_-]{20,}"),
        "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."),
        "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        "a token of a forge": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,})"),
        "a key of a service": re.compile(r"\b(?:xox[abprs]-[\w-]{10,}|sk_live_\w{16,}|AIza[\w-]{35})"),
    }
)
# Applications of this platform need variables that name the file of a secret.
_FILE_NAME = re.compile(r"[._-](FILE|PATH|DIR)$", re.IGNORECASE)
# As Authentik and others, and Grafana, name the file whose content they take in place of a value.
_OF_A_FILE = re.compile(r"(file://)?/vault/secrets/[\w.-]+|\$__file\{/vault/secrets/[\w.-]+\}")
# What a variable says of a secret, with a value that holds none: an address, a number, a time, a switch.
_ABOUT_SECRETS = re.compile(
    r"[._-](ENDPOINT|URL|URI|HOST|PORT|ISSUER|AUDIENCE|ALGORITHM|TYPE|SCOPES?|TTL|TIMEOUT|INTERVAL|LIFETIME|EXPIRY"
    r"|(SECONDS|MINUTES|HOURS|DAYS|MS)|LENGTH|ROUNDS|ENABLED|REQUIRED|HEADER|COOKIE|NAME)$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"https?://[^\s@]*|\d{1,9}[a-zA-Z]{0,2}|[A-Za-z][A-Za-z0-9._-]{0,15}")


# What the program that reads a file puts in itself: ${NAME}, $NAME, $(NAME), {name} of Python, %(name)s, <name>. One
# with a default, as ${NAME:-hunter2}, is none.
_PLACEHOLDER = re.compile(r"\$?\{\{?[^{}\s:]*\}?\}|\$\(\w+\)|\$[A-Z_][A-Z0-9_]*|%\(\w+\)s|%s|<[\w-]+>")


def problem_with_text(text: str) -> str:
    """The kind of secret that is in a file of configuration; empty when there is none, or a name in its place."""
    return problem_with_value(_PLACEHOLDER.sub("", text))


def problem_with_value(value: str) -> str:
    """The kind of secret that a value looks like; empty when it looks like none."""
    return next((f"looks like {what}" for what, shape in _SECRET_VALUES.items() if shape.search(value)), "")


# https://github.com/kubernetes/apimachinery/blob/v0.30.0/pkg/util/validation/validation.go, `IsEnvVarName`; newer ones
# take more.
_NAME = r"(?!\.$|\.\.)[-._A-Za-z][-._A-Za-z0-9]*"
_SHELL_NAME = "[A-Za-z_][A-Za-z0-9_]*"


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise ValueError(
            "not the name of a variable such as LOG_LEVEL: letters, digits, underscores, dots and hyphens, no digit "
            "first, nor two dots"
        )
    return value


def shell_name(value: str) -> str:
    """The name of a variable that a shell has, and hands on to the program that it becomes. Raises `ValueError`."""
    if not re.fullmatch(_SHELL_NAME, value):
        raise ValueError("not a variable of a shell such as DB_PASSWORD: letters, digits, underscores, no digit first")
    return value


def _called_like_a_secret(name: str, value: str) -> bool:
    if not SECRET_KEY.search(name.lower()) or (_FILE_NAME.search(name) and value.startswith("/")):
        return False
    return not (_OF_A_FILE.fullmatch(value) or (_ABOUT_SECRETS.search(name) and _NO_SECRET.fullmatch(value)))


def _plain(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if len(f"{name}={value}".encode()) > LONGEST_WORD:
            message = f"more than {LONGEST_WORD} bytes with its name, which no program gets as one variable"
            raise misplaced([name], f"{message}: keep it under config", UNREPEATED)
        problem = "is called like a secret" if _called_like_a_secret(name, value) else problem_with_value(value)
        if problem:
            advice = "every process and crash report has the environment: keep it under secrets and read its file"
            raise misplaced([name], f"{problem}; {advice}", UNREPEATED)
    return values


VariableName = Annotated[StrictStr, AfterValidator(_name), Shape(_NAME)]
ShellName = Annotated[StrictStr, AfterValidator(shell_name), Shape(_SHELL_NAME)]

Environment = Annotated[dict[VariableName, StrictStr], AfterValidator(_plain)]
"""Names and values of environment variables; those that look like secrets are refused."""
