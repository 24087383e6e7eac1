"""The cases of `zt diff` that change the platform: rules, registries, the mesh, the gateway and Vault."""

from typing import Any

from components.kube.charts import ISTIOD, VAULT_IMAGE
from components.schema.public import CIPHER_SUITES
from tests.unit.zt.changes.files import SMALL, Case, Files, in_tier, posture, with_text, without

KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8nXRh950IZbRj8Ra/N9sbqOPZrfM
5/KAQN0/KjHcorm/J5yctVd7iEcnessRQjU917hmKO6JWVGHpDguIyakZA==
-----END PUBLIC KEY-----
"""
_WORKFLOW = {"name": "ci", "issuer": "https://token.example.org", "subject": "https://git.example.org/shop/ci@main"}
_IDENTITY = "https://git.example.org/shop/ci@main of https://token.example.org, logged at https://rekor.sigstore.dev"
_VAULT: dict[str, Any] = {
    "mode": "helm",
    "address": "https://vault.example.org:8200",
    "seal": {"awskms": {"region": "eu-central-1", "kmsKeyId": "alias/vault"}},
    "auditPaths": ["/vault/audit/audit.log", "stdout"],
}
_UNKNOWN_TRUST = {"mode": "external", "address": "https://vault.example.net:8200", "cidrs": ["10.0.8.0/24"]}
_FIREWALL = f"registry.example.org/platform/waf@sha256:{'a' * 64}"
_SIGNER = "sign/public-hosts of https://vault.vault.svc:8200"
_INGRESS: dict[str, Any] = {
    "kind": "ingress",
    "className": "nginx",
    "controller": {"namespace": "nginx", "serviceAccount": "nginx"},
    "headers": "none",
    "maxRequestBytes": "none",
}


def _gateway(**keys: Any) -> Files:
    return Files(stack={"ingress": {"acmeEmail": "platform@example.org", "replicas": 2, **keys}})


def _stack(**keys: Any) -> Files:
    return Files(stack=keys)


_AGENT = f"quay.io/acme/agent:{VAULT_IMAGE.rpartition(':')[2]}"


def _vault(**keys: Any) -> Files:
    return Files(stack={"vault": {**_VAULT, **keys}})


_TIMED = {"reason": "the nodes need it", "owner": "platform", "granted": "2026-01-01", "expires": "2026-03-01"}
_EXCEPTION = {**_TIMED, "rule": "disallow-host-path", "namespace": "monitoring", "serviceAccount": "node-exporter"}


def _kyverno(**keys: Any) -> Files:
    return _stack(kyverno={"replicas": 3, **keys})


_TEAM: dict[str, Any] = {"namespaces": ["payments"], "hosts": {"payments": ["pay.example.org"]}}
_DEPLOYED_BY: dict[str, Any] = {"users": ["ci:payments"], "groups": ["payments-ops"]}
_APPROVED: dict[str, Any] = {"egress": ["api.example.com"], "networks": ["203.0.113.0/24"], "patch": ["checkout"]}

PLATFORM_CASES = [
    Case(
        "a namespace that no rule looks at",
        ["weaker: no rule looks at namespace calico-system any more, until 2026-03-01"],
        _kyverno(excludedNamespaces={"calico-system": _TIMED}),
    ),
    Case(
        "a namespace for longer",
        ["weaker: no rule looks at namespace calico-system until 2026-04-01, and not 2026-03-01"],
        _kyverno(excludedNamespaces={"calico-system": {**_TIMED, "expires": "2026-04-01"}}),
        _kyverno(excludedNamespaces={"calico-system": _TIMED}),
    ),
    Case(
        "a namespace less",
        ["stronger: the rules now look at namespace calico-system"],
        SMALL,
        _kyverno(excludedNamespaces={"calico-system": _TIMED}),
    ),
    Case(
        "an exception of what no service file makes",
        ["weaker: monitoring/node-exporter is now excepted from critical rule disallow-host-path, until 2026-03-01"],
        _kyverno(exceptions=[_EXCEPTION]),
    ),
    Case(
        "its end",
        ["stronger: monitoring/node-exporter is no longer excepted from critical rule disallow-host-path"],
        SMALL,
        _kyverno(exceptions=[_EXCEPTION]),
    ),
    Case(
        "a team with a stack of its own",
        [
            "weaker: team payments now deploys in namespace payments",
            "weaker: team payments now is deployed by the group payments-ops",
            "weaker: team payments now is deployed by the user ci:payments",
            "weaker: team payments now may have the public host pay.example.org",
            "weaker: team payments now may let its services reach api.example.com outside the cluster",
            "weaker: team payments now may let its services reach the network 203.0.113.0/24",
            "weaker: team payments now may patch the pods of checkout",
        ],
        _stack(teams={"payments": {**_TEAM, "approved": _APPROVED, "deployedBy": _DEPLOYED_BY}}),
    ),
    Case(
        "a registry",
        ["weaker: images may now come from registry.example.net"],
        _stack(registries=["registry.example.org", "registry.example.net"]),
    ),
    Case(
        "a path of a registry",
        ["stronger: images may no longer come from registry.example.org, except registry.example.org/shop"],
        _stack(registries=["registry.example.org/shop"]),
    ),
    Case(
        "an image of the platform",
        [
            f"weaker: agentImages of important rule require-probes now has {_AGENT}",
            f"weaker: agentImages of critical rule restrict-image-registries now has {_AGENT}",
        ],
        _stack(platformImages=["docker.io/istio/proxyv2", "docker.io/hashicorp/vault", "quay.io/acme/agent"]),
    ),
    Case(
        "a rule that asks for more",
        [
            "stronger: labels of best-practice rule require-labels now has owner",
            "stronger: minimum of best-practice rule require-replicas goes from 2 to 3",
        ],
        _stack(
            kyverno={
                "replicas": 3,
                "parameters": {
                    "require-labels": {
                        "labels": ["team", "app.kubernetes.io/component", "app.kubernetes.io/version", "owner"]
                    },
                    "require-replicas": {"minimum": 3},
                },
            }
        ),
    ),
    Case(
        "a phase",
        ["stronger: important rule disallow-latest-tag goes from Audit to Deny"],
        _stack(phases={"disallow-latest-tag": "enforce"}),
    ),
    Case(
        "a phase back",
        ["weaker: important rule disallow-latest-tag goes from Deny to Warn"],
        _stack(phases={"disallow-latest-tag": "warn"}),
        _stack(phases={"disallow-latest-tag": "enforce"}),
    ),
    Case(
        "a tier off",
        [
            f"weaker: mutate rule {rule} goes from on to off"
            for rule in (
                "default-container-security-context",
                "default-labels",
                "default-pod-security-context",
                "default-resources",
            )
        ],
        Files(stack=posture(mutate=False)),
    ),
    Case(
        "a rule less",
        ["weaker: critical rule disallow-host-ports is gone, and was at Deny"],
        Files(rules=without("disallow-host-ports")),
    ),
    Case(
        "a rule more",
        ["stronger: critical rule disallow-host-ports is new, and at Deny"],
        SMALL,
        Files(rules=without("disallow-host-ports")),
    ),
    Case(
        "a rule of another tier",
        ["weaker: best-practice rule disallow-host-ports goes from Deny to Audit"],
        Files(rules=in_tier("disallow-host-ports", "best-practice")),
    ),
    Case(
        "another tier and the same action",
        ["neutral: important rule require-probes is now best-practice, and stays at Audit"],
        Files(rules=in_tier("require-probes", "best-practice")),
    ),
    Case(
        "the text of a rule",
        ["weaker: the text of critical rule disallow-host-ports changed"],
        Files(rules=with_text("disallow-host-ports", "No ports of the node.")),
    ),
    Case(
        "signatures",
        [
            "stronger: images rule verify-image-signatures goes from off to Deny",
        ],
        _stack(kyverno={"replicas": 3, "imageSignatures": [{"name": "pipeline", "publicKey": KEY}]}),
    ),
    Case(
        "a signer",
        [
            f"weaker: a signature of ci ({_IDENTITY}) now lets an image in",
        ],
        _stack(kyverno={"replicas": 3, "imageSignatures": [{"name": "pipeline", "publicKey": KEY}, _WORKFLOW]}),
        _stack(kyverno={"replicas": 3, "imageSignatures": [{"name": "key", "publicKey": KEY}]}),
    ),
    Case(
        "mTLS",
        ["weaker: mTLS goes from STRICT to PERMISSIVE"],
        Files(stack=posture(mtls="PERMISSIVE")),
    ),
    Case(
        "the mesh",
        [
            "weaker: the number of istiod replicas goes from 2 to 1",
            "weaker: the source of the images of Istio goes from its own registry to mirror.example.org/io",
            "weaker: the trust domain goes from cluster.local to example.org",
            *(
                f"weaker: meshImages of {rule} now has mirror.example.org/io/proxyv2:{ISTIOD.version}"
                for rule in (
                    "critical rule disallow-proxy-user",
                    "important rule require-probes",
                    "critical rule restrict-image-registries",
                )
            ),
        ],
        _stack(mesh={"replicas": 1, "hub": "mirror.example.org/io"}, trustDomain="example.org"),
    ),
    Case(
        "the issuer",
        [
            "weaker: the time in seconds that a browser keeps to TLS of api goes from 31536000 to 300",
            "weaker: the TLS issuer goes from letsencrypt-prod to ca",
        ],
        Files(stack=posture(issuer="ca")),
    ),
    Case(
        "another ACME server",
        ["weaker: the server that issues certificates goes from its own to https://acme.example.org/dir"],
        _gateway(acmeServer={"directory": "https://acme.example.org/dir"}),
    ),
    Case(
        "another role of Vault",
        [
            f"weaker: the issuer in Vault goes from pki/{_SIGNER} to inner/{_SIGNER}",
        ],
        Files(stack=posture(issuer="vault") | {"ingress": {"vault": {"mount": "inner"}}}),
        Files(stack=posture(issuer="vault") | {"ingress": {}}),
    ),
    Case(
        "TLS 1.3 alone",
        [
            "stronger: the lowest TLS version goes from 1.2 to 1.3",
            f"neutral: the ciphers of TLS 1.2 goes from {', '.join(CIPHER_SUITES)} to ECDHE-ECDSA-AES256-GCM-SHA384",
        ],
        _gateway(tls={"minVersion": "1.3", "ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"]}),
    ),
    Case(
        "a firewall",
        [f"stronger: the firewall at the gateway goes from off to {_FIREWALL}: Include @crs-setup-conf"],
        _gateway(waf={"image": _FIREWALL, "directives": ["Include @crs-setup-conf"]}),
    ),
    Case(
        "the limits of every host",
        [
            "weaker: the largest request in bytes of api goes from 1048576 to unlimited",
            "stronger: the number of requests in an hour of api goes from 360000 to 600",
        ],
        _gateway(rateLimit={"requests": 10, "per": "minute"}, maxRequestBytes="none"),
    ),
    Case(
        "the headers of every host",
        [
            "weaker: the headers at the gateway of api goes from X-Frame-Options: DENY to none",
        ],
        _gateway(headers="none"),
        _gateway(headers={"X-Frame-Options": "DENY"}),
    ),
    Case(
        "an annotation of an Ingress",
        ["weaker: the annotations at the gateway of api goes from limit: 360000 to limit: 100"],
        _gateway(**_INGRESS, annotations={"rateLimit": {"limit": "{requests}"}}),
        _gateway(**_INGRESS, annotations={"rateLimit": {"limit": "360000"}}),
    ),
    Case(
        "another gateway",
        [
            "weaker: the identity of the gateway goes from istio-ingress to edge",
            "weaker: no rule looks at namespace edge any more",
        ],
        _stack(ingress={"acmeEmail": "platform@example.org", "replicas": 2, "gatewayNamespace": "edge"}),
    ),
    Case(
        "another gateway",
        [
            "weaker: the largest request in bytes of api goes from 1048576 to unlimited",
            "weaker: the number of requests in an hour of api goes from 360000 to unlimited",
            "weaker: the identity of the gateway goes from istio-ingress to nginx/nginx",
            "weaker: the kind of gateway goes from gateway-api to ingress",
            "weaker: the number of cert-manager replicas goes from 2 to 1",
        ],
        _gateway(**(_INGRESS | {"rateLimit": "none", "replicas": 1})),
    ),
    Case(
        "the nodes carry the mesh",
        [
            "weaker: the data plane of the mesh goes from sidecar to ambient",
            "weaker: what the proxy of a service knows goes from what the service declares to the whole mesh",
            "stronger: every service may no longer reach istio-system/istiod:15012",
            "stronger: podsReachIstiod of generate rule allow-platform goes from true to false",
        ],
        _stack(mesh={"replicas": 2, "dataPlane": "ambient"}),
    ),
    Case(
        "Kyverno's replicas",
        ["weaker: the number of Kyverno replicas goes from 3 to 1"],
        _stack(kyverno={"replicas": 1}),
    ),
    Case(
        "a fixed day",
        ["weaker: the day that exceptions are judged on goes from the day of the commit to 2026-01-01"],
        _stack(asOf="2026-01-01"),
    ),
    Case(
        "the webhook",
        ["weaker: the injector's webhook goes from fails closed to fails open"],
        Files(stack=posture(injectionFailClosed=False)),
    ),
    Case(
        "no injection",
        ["weaker: the injection of secrets goes from on to off"],
        Files(stack=posture(injection=False)),
    ),
    Case(
        "no Vault",
        [
            "weaker: Vault goes from on to off",
            "weaker: the injection of secrets goes from on to off",
            "weaker: Vault no longer writes its audit log to /vault/audit/audit.log",
            "weaker: Vault no longer writes its audit log to stdout",
            "weaker: the place of the secrets of api goes from Vault to a Kubernetes Secret",
            "stronger: every service may no longer reach vault/app.kubernetes.io/name=vault,component=server:8200",
            "stronger: api can no longer read secret/data/shop/api/smtp",
        ],
        Files(stack=posture(vault=False)),
    ),
    Case(
        "a smaller Vault",
        [
            "weaker: the number of Vault replicas goes from 3 to 1",
            "weaker: Vault no longer writes its audit log to stdout",
        ],
        Files(stack=posture(vaultReplicas=1, auditDevices=1)),
    ),
    Case(
        "the care of Vault",
        [
            "weaker: check-and-set for Vault's secrets goes from on to off",
            "weaker: keeping Vault's data on destroy goes from on to off",
            "neutral: the age in seconds at which Vault deletes a version goes from 0 to 3600",
            "neutral: the distribution of Vault goes from vault to openbao",
            "neutral: the number of versions that Vault keeps of a secret goes from 10 to 3",
        ],
        _vault(
            distribution="openbao",
            retainData=False,
            secrets={"keepVersions": 3, "checkAndSet": False, "deleteAfter": "1h"},
        ),
        _vault(),
    ),
    Case(
        "the trust of Vault",
        [
            "weaker: the API server that reviews tokens for Vault goes from https://kubernetes.default.svc to https://k.example.org",
            "weaker: the deployer's role in Vault goes from platform-deployer to admin",
            "weaker: the seal key of Vault goes from kms_key_id=alias/vault, region=eu-central-1 to current_key_id=k1",
            "weaker: the seal of Vault goes from awskms to static",
            "stronger: the deployer's login to Vault goes from environment to cert",
            "neutral: the distribution of Vault goes from vault to openbao",
        ],
        _vault(
            kubernetesHost="https://k.example.org",
            distribution="openbao",
            seal={"static": {"currentKeyId": "k1", "keySecret": "vault-seal"}},
            login={"method": "cert", "certFile": "/c.pem", "keyFile": "/k.pem", "role": "admin"},
        ),
        _vault(),
    ),
    Case(
        "another Vault",
        [
            "weaker: api may now reach 10.0.8.0/24:8200",
            "weaker: the authority behind Vault's certificate goes from the program's own to public",
            "weaker: the place of Vault goes from this cluster to https://vault.example.net:8200",
            "weaker: vaultNetworks of generate rule allow-platform now has 10.0.8.0/24",
            "stronger: every service may no longer reach vault/app.kubernetes.io/name=vault,component=server:8200",
        ],
        _vault(**_UNKNOWN_TRUST),
        _vault(),
    ),
]
