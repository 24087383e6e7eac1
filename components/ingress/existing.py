"""What certificates and routes rely on in a cert-manager and a Gateway API that others installed.

Each check stands for a value of `cert_manager_values`, or for a field of the Gateway API that the stack's routes have.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.kube.charts import GATEWAY_API_CRDS
from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok, warns
from components.kube.installed import (
    account_line,
    aggregation_line,
    container_of,
    controller,
    flags,
    release_line,
    served_line,
    validating_hooks,
    version_line,
    version_of,
)
from components.kube.names import CERT_MANAGER_ACCOUNT, CERT_MANAGER_API, GATEWAY_API
from components.kube.parts import Manifest, part, parts

OLDEST = "1.20"
"""The oldest release line that cert-manager itself still mends."""

_COMPONENT = "app.kubernetes.io/component"
_INSTALL = "install it in {0}, or name its ingress.certManager.namespace, or ingress.certManager.mode: helm"
_APPROVER = "certificaterequests-approver"
_APPROVALS = "/apis/policy.cert-manager.io/v1alpha1/certificaterequestpolicies"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_BUNDLE = "gateway.networking.k8s.io/bundle-version"
_ROUTE_KINDS = ("Gateway", "GatewayClass", "GRPCRoute", "HTTPRoute")


def existing_cert_manager(cluster: Cluster, namespace: str, gateway_api: bool) -> Iterator[Line]:
    """The lines about a cert-manager that is there already, in a namespace. Raises `UnreadableError`.

    With `gateway_api` it answers challenges of an ACME server through a Gateway.
    """
    kinds = ("Certificate", "CertificateRequest", "ClusterIssuer", "Issuer")
    yield served_line(
        cluster, "kinds of cert-manager", CERT_MANAGER_API, kinds, f"upgrade cert-manager to {OLDEST}, with its CRDs"
    )
    for component in ("controller", "webhook", "cainjector"):
        labels = {"app.kubernetes.io/name": "cert-manager" if component == "controller" else component}
        about = f"cert-manager's {component}"
        labels |= {_COMPONENT: component}
        there, line = controller(cluster, about, namespace, labels, _INSTALL.format(namespace))
        yield line
        if there and component == "controller":
            yield version_line("version of cert-manager", "cert-manager", version_of(there), OLDEST)
            yield from _controller(cluster, there, namespace, gateway_api)
    yield _webhook(cluster, namespace)
    groups = ["cert-manager.io", "acme.cert-manager.io"]
    yield aggregation_line(cluster, "roles of cert-manager", groups, "global.rbac.aggregateClusterRoles: false")


def _controller(cluster: Cluster, there: Manifest, namespace: str, gateway_api: bool) -> Iterator[Line]:
    why = "policies and the login to Vault know"
    yield account_line("account of cert-manager", there, CERT_MANAGER_ACCOUNT, why, "serviceAccount.name")
    given = flags(container_of(there))
    if "config" in given:
        found = f"it reads {given['config']}, whose settings no check here sees"
        yield warns("settings of cert-manager", found, "set enableGatewayAPI, controllers and its namespace by flags")
    if gateway_api and "config" not in given:
        about = "Gateway API in cert-manager"
        on = given.get("enable-gateway-api") == "true"
        fix = "set config.enableGatewayAPI, or extraArgs: [--enable-gateway-api]"
        yield ok(about, "enabled") if on else fails(about, "off: it answers no challenge through the Gateway", fix)
    own = given.get("cluster-resource-namespace", "$(POD_NAMESPACE)")
    about = "namespace of ClusterIssuers' secrets"
    if own in ("$(POD_NAMESPACE)", namespace):
        yield ok(about, namespace)
    else:
        yield fails(about, f"{own}: the issuers' keys are elsewhere", f"set clusterResourceNamespace: {namespace}")
    yield _approver(cluster, given)


def _approver(cluster: Cluster, given: Mapping[str, str]) -> Line:
    about = "approver of certificate requests"
    chosen = [each.strip() for each in given.get("controllers", "*").split(",")]
    if f"-{_APPROVER}" not in chosen and ({"*", _APPROVER} & {*chosen} or all(each.startswith("-") for each in chosen)):
        return ok(about, "cert-manager approves them itself")
    if names := sorted(each["name"] for each in cluster.metadata(_APPROVALS)):
        found = f"requests wait for approver-policy, which has {', '.join(names)}"
        return warns(about, found, "see that one of them approves the stack's issuers and hosts")
    fix = "set disableAutoApproval: false, or write a CertificateRequestPolicy for the stack's issuers and hosts"
    return fails(about, "requests wait for an approver, and nobody has a policy for them", fix)


def _webhook(cluster: Cluster, namespace: str) -> Line:
    about = "webhook of cert-manager"
    hooks = validating_hooks(cluster, namespace)
    if not hooks:
        found = f"no validating webhook leads to namespace {namespace}"
        return fails(about, found, _INSTALL.format(namespace))
    if any(hook.get("failurePolicy") == "Ignore" for hook in hooks):
        return fails(about, "it fails open: what it would refuse is taken", "set failurePolicy of its webhook to Fail")
    return ok(about, "it fails closed")


def existing_gateway_api(cluster: Cluster, used: Sequence[tuple[str, ...]]) -> Iterator[Line]:
    """The lines about definitions of the Gateway API that are there already. Raises `UnreadableError`.

    `used` has the fields that the stack's routes have beyond the oldest version: the kind, and the path in a rule.
    """
    install = f"install {GATEWAY_API_CRDS.url}, or ingress.gatewayApi.mode: apply"
    yield served_line(cluster, "kinds of the Gateway API", GATEWAY_API, _ROUTE_KINDS, install)
    route = cluster.found(f"{_DEFINITIONS}/httproutes.gateway.networking.k8s.io") or {}
    version, tested = str(part(route, "metadata", "annotations").get(_BUNDLE, "")), GATEWAY_API_CRDS.version
    about = "version of the Gateway API"
    if (release_line(version) or (0, 0)) > (release_line(tested) or (0, 0)):
        fix = "see that istiod's release notes name it"
        yield warns(about, f"{version} is newer than {tested}, and istiod may ignore fields of it", fix)
    else:
        yield ok(about, version or "of its provider's own")
    for kind, *path in used:
        definition = route if kind == "HTTPRoute" else cluster.found(f"{_DEFINITIONS}/{kind.lower()}s.{_GROUP}") or {}
        about = f"{kind}.spec.rules.{'.'.join(path)}"
        if _has(definition, path):
            yield ok(about, "known")
        else:
            yield fails(about, "the cluster's definition lacks it, and a route of the stack needs it", install)


_GROUP = "gateway.networking.k8s.io"


def _has(definition: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether version v1 of a definition knows a field in the rules of a route; lists are passed through."""
    versions = parts(definition, "spec", "versions")
    (served, *_) = [each for each in versions if each.get("name") == "v1"] or [{}]
    here = part(served, "schema", "openAPIV3Schema", "properties", "spec", "properties", "rules")
    for key in path:
        while "items" in here:
            here = part(here, "items")
        here = part(here, "properties", key)
        if not here:
            return False
    return True
