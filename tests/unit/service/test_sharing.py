"""A secret that two services read: one path in Vault, one owner, who agrees."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.kube.service_ref import ServiceRef
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.file.directory import Admission, read_services
from components.service.manifests.external_secrets import external_secret
from components.service.manifests.vault import injector_annotations, vault_policy
from components.service.secure_service import SecureService
from tests.support.monitor import record
from tests.support.stacks import platform, settings
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

OPEN = Admission((), api_server_reachable=True)
BANK = SMALL.replace("namespace: shop", "namespace: bank")
AUTH = "secrets: {auth: {generate: [password], values: {user: app}, readers: [web]}}\n"
READS = "secrets: {cache: {from: redis/auth}}\n"


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (
            {"redis": SMALL + AUTH.replace("[web]", "[]"), "web": SMALL + READS},
            r"redis\.yaml:5: secrets\.auth\.readers: web reads it, and it does not agree: add web here.*legal: web",
        ),
        (
            {"redis": SMALL + AUTH, "web": BANK + READS.replace("redis", "shop/redis"), "w": SMALL + "name: web"},
            r"redis\.yaml:5: secrets\.auth\.readers: bank/web reads it.*legal: web, bank/web",
        ),
        ({"web": SMALL + READS}, r"web\.yaml:5: secrets\.cache\.from: no such secret of a service, found 'redis/auth'"),
        (
            {"redis": SMALL + AUTH, "web": SMALL + READS.replace("/auth", "/key")},
            r"secrets\.cache\.from: no such secret of a service, found 'redis/key'; legal: redis/auth",
        ),
        (
            {"redis": SMALL + AUTH, "web": SMALL + READS, "c": SMALL + "secrets: {x: {from: web/cache}}"},
            r"c\.yaml:5: secrets\.x\.from: it is not web's own: name its owner.*legal: redis/auth",
        ),
        ({"redis": SMALL + "secrets: {a: {generate: [x]}, b: {from: redis/a}}"}, r"its own secret needs no from"),
        ({"redis": SMALL + AUTH}, r"redis\.yaml:5: secrets\.auth\.readers\[0\]: no such service, .*found 'web'"),
        ({"redis": SMALL + AUTH.replace("web", "redis")}, r"readers\[0\]: it reads its own secrets anyhow"),
        (
            {"redis": SMALL + AUTH, "web": SMALL + READS.replace("auth", "auth, template: '{{ .Data.data.key }}'")},
            r"web\.yaml:5: secrets\.cache\.template: line 1 of .*key.*legal: .*password.*user",
        ),
        (
            {
                "a": SMALL + "secrets: {k: {generate: [x], readers: [b]}, other: {from: b/k}}",
                "b": SMALL + "secrets: {k: {generate: [x], readers: [a]}, other: {from: a/k}}",
            },
            r"a\.yaml:5: secrets\.other\.from: shop/a, shop/b read secrets of each other",
        ),
        *(
            ({"web": SMALL + READS.replace("auth", f"auth, {key}: {value}")}, rf"secrets\.cache\.{key}: the secret is")
            for key, value in (("values", "{a: b}"), ("generate", "[x]"), ("readers", "[a]"), ("replaces", "1"))
        ),
        ({"web": SMALL + "secrets: {c: {from: auth}}"}, r"secrets\.c\.from: not a secret of another service"),
        ({"web": SMALL + "secrets: {c: {from: '*/auth'}}"}, r"secrets\.c\.from: not a secret of another service"),
        (
            {"web": SMALL + "secrets: {c: {}}"},
            r"secrets\.c: no field: write values, generate, or both",
        ),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(tmp_path: Path, texts: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        read_services(write(tmp_path, **texts), OPEN)
    assert len(caught.value.problems) == 1


def planned(tmp_path: Path, stack: str = "production", **texts: str) -> dict[str, SecureServiceArgs]:
    write(tmp_path, **{name: text.replace("r.example.org", "registry.example.org") for name, text in texts.items()})
    read = read_stack(tmp_path, f"Pulumi.{stack}.yaml", settings(stack))
    return {args.name: args for args in plan(read).services}


def test_the_reader_reads_the_owners_path_and_no_other(tmp_path: Path) -> None:
    made = planned(tmp_path, redis=SMALL + AUTH, web=SMALL + READS)
    assert vault_policy(made["web"]) == vault_policy(made["redis"])
    assert "secret/data/shop/redis/auth" in vault_policy(made["web"])
    notes = injector_annotations(made["web"])
    assert notes["vault.hashicorp.com/agent-inject-secret-cache"] == "secret/data/shop/redis/auth"
    assert notes["vault.hashicorp.com/agent-inject-file-cache"] == "cache"
    assert (
        "PASSWORD={{ .Data.data.password }}\nUSER={{ .Data.data.user }}"
        in notes["vault.hashicorp.com/agent-inject-template-cache"]
    )


def test_an_agreement_that_nobody_uses_gives_nothing(tmp_path: Path) -> None:
    made = planned(tmp_path, redis=SMALL + AUTH, web=SMALL)
    assert not made["web"].secrets


def test_the_operator_copies_it_from_the_owners_path() -> None:
    shared = SecretArgs("cache", "cache", {}, (), "x", 0, (), ServiceRef("bank", "redis"), "auth")
    args = service(secrets=[shared])
    assert external_secret(args, shared)["spec"]["dataFrom"] == [{"extract": {"key": "bank/redis/auth"}}]


def service(name: str = "web", **changes: Any) -> SecureServiceArgs:
    good: dict[str, Any] = {"name": name, "namespace": "shop", "team": "t", "image": "r.example.org/x:v1", "port": 80}
    return SecureServiceArgs(**good, platform=platform(**changes.pop("platform", {})), **changes)


@pytest.mark.parametrize("owner", [ServiceRef("shop", "*"), ServiceRef("*", "redis"), ServiceRef("shop/x", "redis")])
def test_a_broad_owner_is_refused_in_code_too(owner: ServiceRef) -> None:
    with pytest.raises(FieldError, match="it would grant more than one name"):
        service(secrets=[SecretArgs("cache", "cache", {}, (), "x", 0, (), owner, "auth")])


def created(made: dict[str, SecureServiceArgs]) -> Any:
    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[Provider("cluster")])
        owner = SecureService("shop.redis", made["redis"], opts)
        SecureService("shop.web", made["web"], opts, [owner])

    return record(program)


def test_it_is_kept_once_and_its_readers_pods_wait_for_it(tmp_path: Path) -> None:
    recording = created(planned(tmp_path, redis=SMALL + AUTH, web=SMALL + READS))
    kept = recording.one("SecretV2")
    assert (kept.name, kept.inputs["name"]) == ("shop.redis.auth", "shop/redis/auth")
    assert len(recording.of("RandomPassword")) == 1
    assert kept.urn in recording.one("Deployment", "shop.web").dependencies


def test_without_vault_both_have_the_same_value(tmp_path: Path) -> None:
    recording = created(planned(tmp_path, "local", redis=SMALL + AUTH, web=SMALL + READS))
    files = {made.name: made.inputs["stringData"] for made in recording.of("Secret")}
    assert files == {
        "shop.redis": {"auth": "PASSWORD=generated-shop.redis.auth.password\nUSER=app"},
        "shop.web": {"cache": "PASSWORD=generated-shop.redis.auth.password\nUSER=app"},
    }


def test_without_vault_the_owner_has_to_be_named(tmp_path: Path) -> None:
    made = planned(tmp_path, "local", redis=SMALL + AUTH, web=SMALL + READS)["web"]
    with pytest.raises(FieldError, match=r"shop\.web\.secrets: its owner is not among owners, found 'shop/redis/auth'"):
        record(lambda: SecureService("shop.web", made))
