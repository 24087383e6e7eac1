"""Attack 2: look for secrets in the environment, in the pod's manifest and in Kubernetes Secrets."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from components.service.file.sharing import SharedSecret, shared_by
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, blocked, not_measured, succeeded, together
from zt.attack.kubernetes_api import Kubernetes, by_rights
from zt.attack.session import Session, key
from zt.cluster.manifest import Manifest, containers, part, parts

_SHORTEST = 8


def secret_values(session: Session) -> frozenset[str]:
    """The generated values of the service's secrets. They are searched for and never shown."""
    vault, service = session.vault, session.service
    if vault is None or not service.secrets:
        return frozenset()
    generated: set[str] = set()
    shared, owners = shared_by(service), {spec.ref: spec for spec in session.declared.services}
    for name, spec in service.secrets.items():
        place = shared.get(name, SharedSecret(service.ref, name))
        kept = owners[place.owner].secrets[place.name] if name in shared else spec
        data: dict[str, Any] = (
            vault.call("GET", f"{session.declared.kv_mount}/data/{place}", session.vault_token).data.get("data") or {}
        )
        generated |= {value for field in kept.generate if isinstance(value := data.get(field), str)}
    return frozenset(value for value in generated if len(value) >= _SHORTEST)


def _environment(session: Session) -> Evidence:
    values = secret_values(session)
    pods = session.pods_of(session.service)
    return together([_look_into(pod, values) for pod in pods], "no pod of the service runs")


def _look_into(pod: Manifest, values: frozenset[str]) -> Evidence:
    name, number = pod["metadata"]["name"], 0
    for container in containers(pod):
        entries = parts(container, "env")
        number += len(entries)
        taken = [entry["name"] for entry in entries if "secretKeyRef" in part(entry, "valueFrom")]
        taken += [source["secretRef"]["name"] for source in parts(container, "envFrom") if "secretRef" in source]
        if taken:
            return succeeded(f"pod {name}, container {container['name']}: {', '.join(taken)} from a Kubernetes Secret")
    manifest = json.dumps(pod)
    if any(json.dumps(value)[1:-1] in manifest for value in values):
        return succeeded(f"pod {name}: its manifest shows a value of the service's secrets")
    return blocked(f"pod {name}: {number} variables, none of a Secret; {len(values)} secret values not in its manifest")


def _secrets_of(who: Kubernetes, session: Session) -> Evidence:
    namespace = session.service.namespace
    collection = f"/api/v1/namespaces/{namespace}/secrets"
    paths = (collection, f"{collection}/{session.service.name}", "/api/v1/secrets")
    return together([by_rights(who.call("GET", path), path) for path in paths], "nothing was asked for")


def _own_account(session: Session) -> Evidence:
    return _secrets_of(session.attacker, session)


def _default_account(session: Session) -> Evidence:
    return _secrets_of(session.admin.as_token(session.token(session.service.namespace, "default")), session)


def _at_rest(session: Session) -> Evidence:
    """What a reader of Secrets would see. The compromised pod may not read them, so the caller's rights are used."""
    values = secret_values(session)
    if not values:
        return not_measured("the service has no secret in a Vault of this stack")
    answer = session.admin.call("GET", f"/api/v1/namespaces/{session.service.namespace}/secrets")
    if not answer.ok:
        return not_measured(f"{answer.status} {answer.message}")
    secrets = sorted(item["metadata"]["name"] for item in answer.items if values & set(_decoded(item)))
    if secrets:
        return succeeded(f"Secret {', '.join(secrets)} holds a value of {key(session.service)}")
    return blocked(f"{len(answer.items)} Kubernetes Secrets in the namespace, none holds one of {len(values)} values")


def _decoded(secret: Manifest) -> Iterator[str]:
    for value in part(secret, "data").values():
        try:
            yield base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue


_RIGHTS = Control("identity", "SecureService: a service account without rights")
_IN_VAULT = Control("vault", "SecureService: secrets in Vault, shown as files", ("disallow-secrets-in-environment",))

ATTEMPTS = (
    Attempt(
        "environment", 2, "Look for secrets in the environment and manifests of {service}.", _IN_VAULT, _environment
    ),
    Attempt("secrets-at-rest", 2, "Look for them among the namespace's Kubernetes Secrets.", _IN_VAULT, _at_rest),
    Attempt("read-secrets", 2, "Read Kubernetes Secrets with the token of {service}.", _RIGHTS, _own_account),
    Attempt(
        "read-secrets-as-default",
        2,
        "Read Kubernetes Secrets with the token of the namespace's default service account.",
        _RIGHTS,
        _default_account,
    ),
)
