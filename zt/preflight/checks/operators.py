"""Other people's operators: two of a kind in a cluster fight about the same objects, and Helm takes over none.

They are found by definitions, webhook configurations and workloads without the marks of this stack.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zt.cluster.manifest import Manifest, part, parts
from zt.preflight.line import Check, Line, Theme, fails, ok
from zt.preflight.ownership import is_own, release_of
from zt.preflight.session import Session

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WEBHOOKS = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
)
_WORKLOADS = ("/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets")
_MOST_DETAILS = 6


@dataclass(frozen=True)
class Operator:
    """What shows that an operator is there, and the chart of this stack that brings its own.

    `groups` are those of its definitions; `webhooks` and `workloads` begin the names of its objects.
    """

    name: str
    charts: tuple[str, ...]
    groups: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    instead: str = ""
    """What the stack can do in place of its removal."""


OPERATORS = (
    Operator(
        "Kyverno",
        ("kyverno",),
        ("kyverno.io", "policies.kyverno.io", "reports.kyverno.io", "wgpolicyk8s.io"),
        ("kyverno-",),
        ("kyverno",),
    ),
    Operator(
        "Istio",
        ("base",),
        ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"),
        ("istio-", "istiod-"),
        ("istiod", "istio-cni", "ztunnel"),
    ),
    Operator(
        "cert-manager",
        ("cert-manager",),
        ("cert-manager.io", "acme.cert-manager.io"),
        ("cert-manager-",),
        ("cert-manager",),
    ),
    Operator(
        "External Secrets",
        ("external-secrets",),
        ("external-secrets.io", "generators.external-secrets.io"),
        ("secretstore-validate", "externalsecret-validate"),
        ("external-secrets",),
        "vault.delivery: injector",
    ),
)
_GATEWAY_API = Operator(
    "Gateway API",
    (),
    ("gateway.networking.k8s.io",),
    instead="ingress.kind: ingress, or its removal where the provider brings it (GKE: --gateway-api=disabled)",
)
_INJECTOR = Operator(
    "Vault's agent injector",
    (),
    webhooks=("vault-agent-injector", "openbao-agent-injector"),
    workloads=("vault-agent-injector", "openbao-agent-injector"),
    instead="vault.injector: false, if that one shall serve this stack",
)


def _operators(session: Session) -> Iterable[Line]:
    created, vault = session.created, session.planned.vault
    due = [each for each in OPERATORS if any(created.chart(chart) for chart in each.charts)]
    due += [_GATEWAY_API] if created.files else []
    due += [_INJECTOR] if vault and vault.injector else []
    for operator in due:
        about = f"{operator.name} of others"
        foreign = list(_foreign(session, operator))
        if not foreign:
            yield ok(about, "none")
            continue
        remove = f"remove it: {_removal(session, operator)}"
        instead = f"; or in {session.file}: {operator.instead}" if operator.instead else ""
        more = [f"and {len(foreign) - _MOST_DETAILS} more"] if len(foreign) > _MOST_DETAILS else []
        found = f"{len(foreign)} object{'' if len(foreign) == 1 else 's'} without the marks of this stack"
        yield fails(about, found, f"{remove}{instead}", *(text for text, _ in foreign[:_MOST_DETAILS]), *more)


def _removal(session: Session, operator: Operator) -> str:
    """The commands that remove what is there: of a release by Helm, or else of its definitions."""
    releases = sorted({release_of(metadata) for _, metadata in _foreign(session, operator)} - {("", "")})
    if releases:
        return "; ".join(f"helm uninstall {name} --namespace {namespace}" for name, namespace in releases)
    names = [text.replace(" ", "/", 1) for text, metadata in _foreign(session, operator) if "namespace" not in metadata]
    return f"kubectl delete {' '.join(names[:_MOST_DETAILS])}" if names else "delete its workloads"


def _foreign(session: Session, operator: Operator) -> Iterator[tuple[str, Manifest]]:
    """The objects of an operator that are not this stack's, each as a text, with its metadata."""
    for metadata in session.cluster.metadata(_DEFINITIONS):
        group = metadata["name"].partition(".")[2]
        if group in operator.groups and not is_own(metadata, session.created, session.stack.manager):
            yield f"crd {metadata['name']}", metadata
    for path in _WORKLOADS:
        for metadata in session.cluster.metadata(path):
            if metadata["name"].startswith(operator.workloads or ("\0",)) and not _own_workload(session, metadata):
                kind = path.rpartition("/")[2].removesuffix("s")
                yield f"{kind} {metadata['namespace']}/{metadata['name']}", metadata
    for path in _WEBHOOKS:
        for configuration in session.cluster.objects(path):
            metadata = configuration["metadata"]
            if metadata["name"].startswith(operator.webhooks or ("\0",)) and not _own_webhook(session, configuration):
                yield f"{path.rpartition('/')[2].removesuffix('s')} {metadata['name']}", metadata


def _own_workload(session: Session, metadata: Manifest) -> bool:
    # A service of the stack may have any name.
    services = {(service.namespace, service.name) for service in session.planned.services}
    return (
        is_own(metadata, session.created, session.stack.manager)
        or (metadata["namespace"], metadata["name"]) in services
    )


def _own_webhook(session: Session, configuration: Manifest) -> bool:
    """Whether a webhook is this stack's. Kyverno makes its own while it runs: they call the release's namespace."""
    if is_own(configuration["metadata"], session.created, session.stack.manager):
        return True
    if "webhook.kyverno.io/managed-by" not in part(configuration, "metadata", "labels"):
        return False
    kyverno = session.created.chart("kyverno")
    services = [part(webhook, "clientConfig", "service") for webhook in parts(configuration, "webhooks")]
    return kyverno is not None and all(not service or service["namespace"] == kyverno.namespace for service in services)


THEME = Theme("operators", (Check("operators", "operators of others", _operators, lambda s: bool(s.created.releases)),))
