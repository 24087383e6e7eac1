"""Differences between facts that no stack of this checkout makes, and what is said of them."""

from zt.facts.model import ApiToken, DatabaseSetting, Fact, Granted, PlatformSetting, Public, ServiceSetting
from zt.facts.rules import RuleAction, RuleItem

_ON = RuleAction("r", "critical", "deny")
_LAYERS = (
    ("external-secrets", "external-secrets", "External Secrets"),
    ("mesh", "istio-system", "Istio"),
    ("kyverno", "kyverno", "Kyverno"),
    ("cert-manager", "cert-manager", "cert-manager"),
)
_PLACES = (*_LAYERS, ("mesh-root", "istio-system", "the mesh-wide rules"))
# In the order in which they are said.
_MIRRORED = sorted((*_LAYERS, ("vault", "vault", "Vault")), key=lambda place: place[2])

FACT_CASES: list[tuple[str, list[Fact], list[Fact], list[str]]] = [
    (
        "what a package's pods share with their node",
        [ServiceSetting("shop/cni", "host-namespaces", "none"), ServiceSetting("shop/cni", "objects", "digest 1")],
        [
            ServiceSetting("shop/cni", "host-namespaces", "hostIPC, hostNetwork"),
            ServiceSetting("shop/cni", "objects", "digest 2"),
        ],
        [
            "weaker: what the pods share with their node of shop/cni goes from none to hostIPC, hostNetwork",
            "neutral: what the chart brings of shop/cni goes from digest 1 to digest 2",
        ],
    ),
    (
        "an operator of others",
        [PlatformSetting("external-secrets-by", "the program")],
        [PlatformSetting("external-secrets-by", "others")],
        ["weaker: who installed External Secrets goes from the program to others"],
    ),
    (
        "layers of others in other namespaces",
        [PlatformSetting(f"{name}-namespace", own) for name, own, _ in _PLACES],
        [PlatformSetting(f"{name}-namespace", "elsewhere") for name, _, _ in _PLACES],
        [f"weaker: the namespace of {layer} goes from {own} to elsewhere" for _, own, layer in _PLACES],
    ),
    (
        "mirrors of the layers' images",
        [PlatformSetting(f"{name}-images", "its own registry") for name, _, _ in _MIRRORED],
        [PlatformSetting(f"{name}-images", "mirror.example.org/x") for name, _, _ in _MIRRORED],
        [
            f"weaker: the source of the images of {layer} goes from its own registry to mirror.example.org/x"
            for _, _, layer in _MIRRORED
        ],
    ),
    (
        "what a package is granted",
        [
            Granted("guests/book", "ClusterRole nodes", "2026-12-01"),
            Granted("guests/book", "Page first", "2026-12-01"),
            Granted("guests/book", "Page second", "2026-12-01"),
        ],
        [
            Granted("guests/book", "ClusterRole nodes", "2027-01-01"),
            Granted("guests/book", "Page second", "2026-12-01"),
            Granted("guests/book", "APIService a", "2026-12-01"),
        ],
        [
            "weaker: APIService a of the package guests/book, which reaches beyond it, is granted until 2026-12-01",
            (
                "weaker: ClusterRole nodes of the package guests/book, which reaches beyond it, is granted until "
                "2027-01-01, and not 2026-12-01"
            ),
            "stronger: Page first of the package guests/book, which reaches beyond it, is no longer granted",
        ],
    ),
    (
        "a container that is less hardened",
        [
            ServiceSetting("shop/api", "runAsNonRoot", "true"),
            ServiceSetting("shop/api", "readOnlyRootFilesystem", "true"),
            ServiceSetting("shop/api", "allowPrivilegeEscalation", "false"),
        ],
        [
            ServiceSetting("shop/api", "runAsNonRoot", "false"),
            ServiceSetting("shop/api", "readOnlyRootFilesystem", "false"),
            ServiceSetting("shop/api", "allowPrivilegeEscalation", "true"),
        ],
        [
            "weaker: allowPrivilegeEscalation of shop/api goes from false to true",
            "weaker: readOnlyRootFilesystem of shop/api goes from true to false",
            "weaker: runAsNonRoot of shop/api goes from true to false",
        ],
    ),
    (
        "a new container that is not hardened",
        [],
        [
            ServiceSetting("shop/api", "privileged", "true"),
            ServiceSetting("shop/api", "capabilities", "none"),
            ServiceSetting("shop/api", "seccomp", "Unconfined"),
            ServiceSetting("shop/api", "user", "0"),
            ServiceSetting("shop/api", "public-scheme", "http"),
            ServiceSetting("shop/api", "image", "r.io/a:1"),
        ],
        [
            "weaker: the public address of shop/api is http",
            "weaker: privileged of shop/api is true",
            "weaker: the capability drop of shop/api is none",
            "weaker: the seccomp profile of shop/api is Unconfined",
            "weaker: the user id of shop/api is 0",
        ],
    ),
    (
        "places and environments",
        [
            PlatformSetting("environment", "production"),
            PlatformSetting("vault-authority", "public"),
            PlatformSetting("service-identities", "deny"),
            PlatformSetting("a-later-layer", "one"),
            DatabaseSetting("orders", "tls", "on"),
            DatabaseSetting("orders", "engine", "postgresql"),
            ServiceSetting("a/b", "database", "orders"),
        ],
        [
            PlatformSetting("environment", "dev"),
            PlatformSetting("vault-authority", "ca.pem"),
            PlatformSetting("service-identities", "audit"),
            PlatformSetting("a-later-layer", "two"),
            DatabaseSetting("orders", "tls", "off"),
            DatabaseSetting("orders", "engine", "mariadb"),
            ServiceSetting("a/b", "database", "stock"),
        ],
        [
            "weaker: the database of a/b goes from orders to stock",
            "weaker: TLS to the server of database orders goes from on to off",
            "weaker: the engine of database orders goes from postgresql to mariadb",
            "weaker: a-later-layer goes from one to two",
            "weaker: the authority behind Vault's certificate goes from public to ca.pem",
            "weaker: the environment goes from production to dev",
            "weaker: the policy on service accounts goes from deny to audit",
        ],
    ),
    ("a token less", [ApiToken("a/b")], [], ["stronger: the pods of a/b no longer hold a token of the Kubernetes API"]),
    (
        "a list that no table has",
        [_ON, RuleItem("r", "critical", "names", "x")],
        [_ON],
        ["weaker: names of critical rule r no longer has x"],
    ),
    (
        "a path below another one",
        [Public("a/b", 80, "h.io", "/v1")],
        [Public("a/b", 80, "h.io", "/v1"), Public("a/b", 80, "h.io", "/v1/x")],
        [],
    ),
]
