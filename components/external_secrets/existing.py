"""What copies of secrets rely on in an External Secrets Operator that others installed.

Each check stands for a value of `external_secrets_values`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok, warns
from components.kube.installed import (
    account_line,
    aggregation_line,
    controller,
    served_line,
    validating_hooks,
    version_line,
    version_of,
)
from components.kube.names import EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_API
from components.kube.parts import parts, texts, word

OLDEST = "0.16"
"""The first release line that serves `external-secrets.io/v1`."""

_NAME = "app.kubernetes.io/name"
_INSTALL = "install it in {0}, or name its vault.externalSecrets.namespace, or vault.externalSecrets.mode: helm"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_WRITES = {"create", "update", "patch", "delete", "*"}


def existing_external_secrets(cluster: Cluster, namespace: str) -> Iterator[Line]:
    """The lines about an operator that is there already, in a namespace. Raises `UnreadableError`."""
    kinds = ("ExternalSecret", "SecretStore")
    upgrade = f"upgrade the operator to {OLDEST} or newer, with its CRDs"
    yield served_line(cluster, "kinds of External Secrets", EXTERNAL_SECRETS_API, kinds, upgrade)
    for name in ("external-secrets", "external-secrets-webhook"):
        about = "External Secrets Operator" if name == "external-secrets" else "its webhook"
        there, line = controller(cluster, about, namespace, {_NAME: name}, _INSTALL.format(namespace))
        yield line
        if there and name == "external-secrets":
            yield version_line("version of External Secrets", "external-secrets", version_of(there), OLDEST)
            why = "each service's account may be used by"
            yield account_line("account of the operator", there, EXTERNAL_SECRETS_ACCOUNT, why, "serviceAccount.name")
    yield _webhook(cluster, namespace)
    groups = ["external-secrets.io", "generators.external-secrets.io"]
    yield aggregation_line(
        cluster, "roles of External Secrets", groups, "rbac.aggregateToEdit: false, rbac.aggregateToView: false"
    )
    yield _rights(cluster, namespace)


def _webhook(cluster: Cluster, namespace: str) -> Line:
    about = "validation of stores and copies"
    hooks = validating_hooks(cluster, namespace)
    if hooks and all(hook.get("failurePolicy", "Fail") == "Fail" for hook in hooks):
        return ok(about, "it fails closed")
    found = "it fails open" if hooks else f"no webhook leads to namespace {namespace}"
    return fails(about, found, "set webhook.create: true and webhook.failurePolicy: Fail")


def _rights(cluster: Cluster, namespace: str) -> Line:
    """The line about what the operator may do everywhere: the program itself grants it these for each service alone."""
    about = "rights of the operator in every namespace"
    roles = {
        word(binding, "roleRef", "name")
        for binding in cluster.objects(f"{_RBAC}/clusterrolebindings")
        if any(_is_operator(subject, namespace) for subject in parts(binding, "subjects"))
    }
    rules = [
        rule
        for role in cluster.objects(f"{_RBAC}/clusterroles")
        if role["metadata"]["name"] in roles
        for rule in parts(role, "rules")
    ]
    wide = sorted({right for rule in rules for right in _wide(rule)})
    if not wide:
        return ok(about, "no token of an account, and no write of a Secret")
    fix = (
        "set rbac.create: false, and grant what `operator_rules` in components/external_secrets/operator.py has: the "
        "stack grants the rest for each service"
    )
    return warns(about, "whoever is the operator is every service", fix, *wide)


def _is_operator(subject: Mapping[str, Any], namespace: str) -> bool:
    return (
        subject.get("kind") == "ServiceAccount"
        and subject.get("namespace") == namespace
        and subject.get("name") == EXTERNAL_SECRETS_ACCOUNT
    )


def _wide(rule: Mapping[str, Any]) -> Iterator[str]:
    if not {"", "*"} & {*texts(rule, "apiGroups")} or rule.get("resourceNames"):
        return
    for resource in texts(rule, "resources"):
        verbs = sorted({*texts(rule, "verbs")} & _WRITES)
        if verbs and resource in ("secrets", "serviceaccounts/token", "*"):
            yield f"{', '.join(verbs)} on {resource}"
