"""What the official provider asks Vault for, by resource type, and whether the policies of deployers allow it.

`official_vault.json` has the requests that it was seen to send; the table below is held against them both ways.
Logins are made without a token: `auth/<mount>/login`, and no child of the token is made (`skip_child_token`).
"""

import json
import re
import runpy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from components.teams.vault_rights import deployer_policy as team_policy
from components.vault.deployer import MOUNTS, deployer_policy
from components.vault.platform import provider_args
from tests.support.monitor import Recording, Registered, record
from tests.support.stacks import ROOT, plan_of, pulumi_config, values
from tests.unit.vault.test_policies import allowed, parse

pytestmark = pytest.mark.unit

FACTS = ROOT / "embedded" / "tests" / "stand_ins" / "official_vault.json"
WRITES = frozenset({"create", "update"})
KEPT = WRITES | {"read", "delete"}
# By type: the paths with the inputs of a resource in them, and what is asked there. A path that is written is created
# where Vault has an existence check for it, and updated everywhere.
ASKED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "vault:index/audit:Audit": {"sys/audit/{path}": frozenset({"update", "delete"}), "sys/audit": frozenset({"read"})},
    "vault:index/mount:Mount": {
        "sys/mounts/{path}": frozenset({"read", "update", "delete"}),
        "sys/mounts/{path}/tune": frozenset({"update"}),
    },
    "vault:kv/secretBackendV2:SecretBackendV2": {"{mount}/config": frozenset({"read", "update"})},
    "vault:index/policy:Policy": {"sys/policies/acl/{name}": frozenset({"read", "update", "delete"})},
    "vault:index/authBackend:AuthBackend": {
        "sys/auth/{path}": frozenset({"update", "delete"}),
        "sys/mounts/auth/{path}": frozenset({"read"}),
        "sys/mounts/auth/{path}/tune": frozenset({"read", "update"}),
    },
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": {"auth/{backend}/config": frozenset({"read", "update"})},
    "vault:kubernetes/authBackendRole:AuthBackendRole": {"auth/{backend}/role/{roleName}": KEPT},
    "vault:kv/secretV2:SecretV2": {"{mount}/data/{name}": WRITES | {"delete"}},
    "vault:database/secretBackendConnection:SecretBackendConnection": {"{backend}/config/{name}": KEPT},
    "vault:database/secretBackendRole:SecretBackendRole": {"{backend}/roles/{name}": KEPT},
    "vault:generic/endpoint:Endpoint": {"{path}": frozenset({"update"})},
    "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest": {
        "{backend}/issuers/generate/intermediate/{type}": frozenset({"update"})
    },
    "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned": {
        "{backend}/intermediate/set-signed": frozenset({"update"}),
        "sys/mounts/{backend}": frozenset({"read"}),
    },
    "vault:pkiSecret/secretBackendRole:SecretBackendRole": {
        "{backend}/roles/{name}": frozenset({"read", "update", "delete"})
    },
}
LOOKUP = ("auth/token/lookup-self", "read")
# Written with `disable_read`: the deployer reads no secret. These facts have others, which the program never makes.
READ_SECRETS = {"a secret that is read", "a secret with metadata", "a secret that is not kept"}


def asked(kind: str, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The requests for a resource of a type: path and capability."""
    backend = {"backend": "kubernetes"} if "kubernetes/" in kind else {}
    for template, capabilities in ASKED[kind].items():
        path = template.format(**{**backend, **inputs}).strip("/")
        yield from ((path, each) for each in sorted(capabilities))


def facts() -> list[dict[str, Any]]:
    return [each for each in json.loads(FACTS.read_text(encoding="utf-8")) if each["name"] not in READ_SECRETS]


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: str(fact["name"]))
def test_the_table_has_every_request_that_the_official_provider_sent(fact: dict[str, Any]) -> None:
    sent = {request for step in fact["steps"] for request in (*step["wrote"], *step["read"])} | {*fact["deleted"]}
    table = {
        f"{capability} {path}" for step in fact["steps"] for path, capability in asked(fact["type"], step["inputs"])
    }
    assert sent <= table


@pytest.mark.parametrize("kind", ASKED)
def test_the_table_has_nothing_that_it_never_sent(kind: str) -> None:
    own = [fact for fact in facts() if fact["type"] == kind]
    sent = {
        request.partition(" ")[0] for fact in own for step in fact["steps"] for request in step["wrote"] + step["read"]
    }
    sent |= {request.partition(" ")[0] for fact in own for request in fact["deleted"]}
    assert frozenset().union(*ASKED[kind].values()) == sent


VAULT = values("production")["vault"]
CHANGES: dict[str, Any] = {
    "databases": {
        "orders": {"host": "pg.data.svc", "database": "orders", "adminUser": "vault"},
        "sessions": {"engine": "mariadb", "host": "db.data.svc", "database": "sessions", "adminUser": "vault"},
    },
    "vault": {**VAULT, "pki": {"commonName": "inner", "domains": ["*.example.org"]}},
    "posture": {"issuer": {"value": "vault", "reason": "internal names only"}},
    "teams": {"blue": {"namespaces": ["blue"]}},
}


@cache
def recorded() -> Recording:
    """What the program registers for a stack with databases, an intermediate and a team."""
    config = pulumi_config({**values("production"), **CHANGES})
    return record(lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__") and None, "production", config)


def of_vault() -> list[Registered]:
    return [made for made in recorded().resources if made.type.startswith("vault:")]


def test_each_type_of_the_program_is_in_the_table() -> None:
    types = {made.type for made in of_vault()}
    assert types <= ASKED.keys()
    assert len(types) > 8


def test_the_deployer_may_ask_all_of_it() -> None:
    policy = parse(deployer_policy(pki=True))
    requests = {(path, each) for made in of_vault() for path, each in asked(made.type, made.inputs)}
    requests |= set(
        asked(
            "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned", {"backend": "pki"}
        )
    )
    refused = {(path, each) for path, each in (*requests, LOOKUP) if each not in closest(policy, path)}
    # Its own policy is read-only, and no resource of the program's.
    assert refused == set()
    # What is left to itself: secrets are written with `disable_read`, since it reads none.
    assert all(made.inputs["disableRead"] is True for made in of_vault() if made.type == "vault:kv/secretV2:SecretV2")


def closest(policy: Mapping[str, frozenset[str]], path: str) -> frozenset[str]:
    """The capabilities of the rule that Vault takes: that of the path itself before one with a wildcard.

    https://developer.hashicorp.com/vault/docs/concepts/policies#priority-matching
    """
    return policy[path] if path in policy else allowed(policy, path)


def test_the_deployer_of_a_team_may_ask_what_its_services_are_made_of() -> None:
    namespaces = sorted({made.inputs["name"].split("/")[0] for made in of_vault() if made.type.endswith(":SecretV2")})
    assert namespaces
    text = team_policy(namespaces, ["orders", "sessions"])
    # Beside the parameters, which name the databases.
    policy = parse(re.sub(r"  allowed_parameters = \{.*?\n  \}\n", "", text, flags=re.DOTALL))
    kinds = ("vault:kv/secretV2:SecretV2", "vault:database/secretBackendRole:SecretBackendRole")
    own = [made for made in of_vault() if made.type in kinds]
    requests = {(path, each) for made in own for path, each in asked(made.type, made.inputs)}
    assert {(path, each) for path, each in (*requests, LOOKUP) if each not in allowed(policy, path)} == set()


@pytest.mark.parametrize("method", ["environment", "cert", "jwt", "kubernetes"])
def test_no_login_makes_a_child_of_its_token(method: str) -> None:
    login = {"method": method, **({"certFile": "/c.pem", "keyFile": "/k.pem"} if method == "cert" else {})}
    args = plan_of("production", vault={**VAULT, "login": login}).vault
    assert args is not None
    made = provider_args(args, None)
    assert made.skip_child_token is True
    assert (made.auth_login_cert is not None) == (method == "cert")
    mount = getattr(made.auth_login_jwt, "mount", None)
    assert mount == (MOUNTS[method] if method in ("jwt", "kubernetes") else None)
