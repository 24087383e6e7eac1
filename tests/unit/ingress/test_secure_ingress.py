"""The issuers, the Gateway with its listeners and certificates, and their order."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config.posture import SCALE
from components.ingress import issuers
from components.ingress.hardening import FirewallArgs, HostLimits
from components.ingress.issuers import AcmeIssuer, CaIssuer, Issuer, VaultIssuer
from components.ingress.secure_ingress import (
    SecureIngress,
    SecureIngressArgs,
    certificate,
    gateway,
    gateway_allow,
    redirect,
)
from tests.support.monitor import Recording, record

pytestmark = pytest.mark.unit

HOSTS = ("api.example.org", "shop.example.org")
PROD = AcmeIssuer("letsencrypt-prod", "ops@example.org")
VAULT = VaultIssuer("https://vault.vault.svc:8200")


def args(**changes: Any) -> SecureIngressArgs:
    given: dict[str, Any] = {
        "issuer": PROD,
        "hosts": HOSTS,
        "owners": dict.fromkeys(HOSTS, "shop"),
    }
    return SecureIngressArgs(**(given | changes))


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"kind": "nginx"}, "kind: .*'nginx'; legal: gateway-api, ingress"),
            ({"kind": "ingress"}, "ingress_class"),
            ({"hosts": ("*.example.org",)}, "hosts\\[0\\]: a wildcard host .* found '\\*.example.org'"),
            ({"hosts": ("https://api.example.org",)}, "not a host name"),
            ({"hosts": ("API.example.org",)}, "not a host name"),
            ({"hosts": ("localhost",)}, "not a host name"),
            ({"hosts": ("api.example.org\n",)}, "not a host name"),
            ({"hosts": (HOSTS[0], HOSTS[0])}, "hosts: it stands there twice"),
            ({"hosts": tuple(f"h{number}.example.org" for number in range(64))}, "hosts: a Gateway has 64 listeners"),
            ({"owners": {HOSTS[0]: "shop"}}, f"owners: none may attach a route to {HOSTS[1]}"),
            ({"tls_version": "1.1"}, "tls_version: .*'1.1'; legal: 1.2, 1.3"),
            ({"limits": (HostLimits("other.example.org", 5),)}, "limits: not among hosts, found 'other.example.org'"),
        ],
    )
    def test_a_wrong_argument_is_refused_by_its_name(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            args(**changes)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: AcmeIssuer("letsencrypt", "ops@example.org"), "issuer: .*'letsencrypt'; legal: letsencrypt-prod"),
            (lambda: AcmeIssuer("letsencrypt-prod", ""), "email"),
            (lambda: VaultIssuer("http://vault:8200"), "server: not an address .* found 'http://vault:8200'"),
        ],
    )
    def test_a_wrong_issuer_is_refused_by_its_field(self, make: Callable[[], Issuer], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make()

    def test_every_issuer_of_the_posture_table_is_made(self) -> None:
        acme = [AcmeIssuer(name, "ops@example.org") for name in issuers.ACME_SERVERS]
        assert set(SCALE["issuer"]) == {"none", *(issuer.name for issuer in (*acme, CaIssuer(), VAULT))}


class TestIssuers:
    @pytest.mark.parametrize("issuer", list(issuers.ACME_SERVERS))
    def test_lets_encrypt_answers_its_challenge_on_the_http_listener(self, issuer: str) -> None:
        (made,) = issuers.manifests(AcmeIssuer(issuer, "ops@example.org"), ("public", "istio-ingress"), None)
        assert made["metadata"]["name"] == issuer
        acme = made["spec"]["acme"]
        assert ("staging" in acme["server"]) == ("staging" in issuer)
        assert acme["email"] == "ops@example.org"
        (parent,) = acme["solvers"][0]["http01"]["gatewayHTTPRoute"]["parentRefs"]
        assert (parent["name"], parent["namespace"], parent["sectionName"]) == ("public", "istio-ingress", "http")

    def test_without_a_gateway_the_challenge_is_answered_through_an_ingress(self) -> None:
        (made,) = issuers.manifests(PROD, None, "haproxy")
        assert made["spec"]["acme"]["solvers"] == [
            {
                "http01": {
                    "ingress": {
                        "ingressClassName": "haproxy",
                        "podTemplate": {
                            "metadata": {
                                "labels": {"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}
                            }
                        },
                        "serviceType": "ClusterIP",
                    }
                }
            }
        ]

    def test_the_own_ca_signs_with_a_root_that_signed_itself(self) -> None:
        self_signed, root, ca = issuers.manifests(CaIssuer(), None, None)
        assert root["spec"]["issuerRef"]["name"] == self_signed["metadata"]["name"]
        assert root["spec"]["isCA"] is True
        assert root["metadata"]["namespace"] == "cert-manager"
        assert ca["metadata"]["name"] == "ca"
        assert ca["spec"]["ca"]["secretName"] == root["spec"]["secretName"]

    def test_a_ca_that_is_there_needs_no_root_of_its_own(self) -> None:
        (made,) = issuers.manifests(CaIssuer("company-ca"), None, None)
        assert made["spec"] == {"ca": {"secretName": "company-ca"}}

    def test_another_acme_server_has_its_own_directory_and_authority(self) -> None:
        own = AcmeIssuer("letsencrypt-prod", "ops@example.org", "https://acme.example.org/dir", "PEM")
        (made,) = issuers.manifests(own, ("public", "istio-ingress"), None)
        assert made["metadata"]["name"] == "letsencrypt-prod"
        acme = made["spec"]["acme"]
        assert (acme["server"], base64.b64decode(acme["caBundle"])) == ("https://acme.example.org/dir", b"PEM")
        (public,) = issuers.manifests(PROD, ("public", "istio-ingress"), None)
        assert "caBundle" not in public["spec"]["acme"]

    def test_vault_signs_by_one_role_for_a_token_of_one_account(self) -> None:
        (made,) = issuers.manifests(VAULT, ("public", "istio-ingress"), None)
        assert made["metadata"]["name"] == "vault"
        assert made["spec"]["vault"] == {
            "server": "https://vault.vault.svc:8200",
            "path": "pki/sign/public-hosts",
            "auth": {
                "kubernetes": {
                    "mountPath": "/v1/auth/kubernetes",
                    "role": "cert-manager",
                    "serviceAccountRef": {"name": "vault-issuer"},
                }
            },
        }
        assert issuers.token_rules()[0]["resourceNames"] == ["vault-issuer"]


class TestGateway:
    def test_each_host_has_a_listener_and_the_certificate_that_is_issued_for_it(self) -> None:
        _, *https = gateway(args())["spec"]["listeners"]
        assert [listener["hostname"] for listener in https] == list(HOSTS)
        for listener in https:
            made = certificate(listener["hostname"], "letsencrypt-prod", args())
            assert listener["protocol"] == "HTTPS"
            assert listener["tls"]["mode"] == "Terminate"
            assert listener["tls"]["certificateRefs"][0]["name"] == made["spec"]["secretName"]
            assert made["spec"]["dnsNames"] == [listener["hostname"]]
            assert made["metadata"]["namespace"] == gateway(args())["metadata"]["namespace"]
            assert made["spec"]["issuerRef"]["name"] == "letsencrypt-prod"

    def test_a_certificate_is_renewed_a_third_of_its_life_before_it_ends(self) -> None:
        spec = certificate(HOSTS[0], "ca", args())["spec"]
        hours = {key: int(spec[key].partition("h")[0]) for key in ("duration", "renewBefore")}
        assert hours["renewBefore"] * 3 >= hours["duration"]

    def test_every_cipher_has_forward_secrecy_and_authenticates_its_data(self) -> None:
        listener = gateway(args())["spec"]["listeners"][1]
        ciphers = listener["tls"]["options"]["gateway.istio.io/tls-cipher-suites"].split(",")
        assert all(cipher.startswith("ECDHE-") and ("GCM" in cipher or "POLY1305" in cipher) for cipher in ciphers)

    def test_only_the_owners_namespace_attaches_to_a_host(self) -> None:
        owners = dict(zip(HOSTS, ("shop", "blog"), strict=True))
        for listener in gateway(args(owners=owners))["spec"]["listeners"][1:]:
            namespaces = listener["allowedRoutes"]["namespaces"]
            assert namespaces["from"] == "Selector"
            owner = {"kubernetes.io/metadata.name": owners[listener["hostname"]]}
            assert namespaces["selector"] == {"matchLabels": owner}

    def test_plain_http_serves_no_service_and_redirects(self) -> None:
        http = gateway(args())["spec"]["listeners"][0]
        assert (http["port"], http["protocol"]) == (80, "HTTP")
        assert http["allowedRoutes"] == {"namespaces": {"from": "Same"}}
        route = redirect(args())
        assert route["metadata"]["namespace"] == "istio-ingress"
        assert route["spec"]["parentRefs"] == [{"name": "public", "sectionName": "http"}]
        assert route["spec"]["rules"][0]["filters"][0]["requestRedirect"]["scheme"] == "https"

    def test_the_mesh_lets_anybody_reach_the_gateways_ports_and_no_other_workload(self) -> None:
        allow = gateway_allow(args(gateway_namespace="edge"))
        assert allow["metadata"]["namespace"] == "edge"
        assert allow["spec"]["selector"]["matchLabels"] == {"gateway.networking.k8s.io/gateway-name": "public"}
        assert allow["spec"]["rules"] == [{"to": [{"operation": {"ports": ["80", "443"]}}]}]

    @given(st.lists(st.from_regex(r"[ab](-[ab]|\.[ab]){1,4}\.org", fullmatch=True), unique=True, max_size=20))
    def test_listener_names_are_unique(self, hosts: list[str]) -> None:
        listeners = gateway(args(hosts=tuple(hosts), owners=dict.fromkeys(hosts, "shop")))["spec"]["listeners"]
        assert len({listener["name"] for listener in listeners}) == len(hosts) + 1


class TestComponent:
    def kinds(self, recording: Recording) -> list[str]:
        return [made.type.rpartition(":")[2] for made in recording.resources if made.custom]

    def test_a_gateway_follows_the_crds_the_issuer_and_its_certificates(self) -> None:
        recording = record(lambda: SecureIngress("ingress", args()))
        public = recording.one("kubernetes:gateway.networking.k8s.io/v1:Gateway")
        behind = recording.behind(public)
        assert behind >= {
            "ingress-istio-ingress",
            "ingress-clusterissuer-letsencrypt-prod",
            "ingress-certificate-api.example.org",
            "ingress-certificate-shop.example.org",
        }
        for kind in ("HTTPRoute", "AuthorizationPolicy"):
            assert public.urn in recording.one(kind).dependencies

    def test_the_component_says_where_its_gateway_is(self) -> None:
        made: list[SecureIngress] = []
        record(lambda: made.append(SecureIngress("ingress", args())))
        assert made[0].gateway == ("public", "istio-ingress")
        assert made[0].issuer_name == "letsencrypt-prod"
        assert len(made[0].ready) == 8

    def test_an_ingress_stack_has_an_issuer_and_no_gateway(self) -> None:
        made: list[SecureIngress] = []
        told = args(kind="ingress", ingress_class="haproxy")
        recording = record(lambda: made.append(SecureIngress("ingress", told)))
        assert self.kinds(recording) == ["ClusterIssuer"]
        assert made[0].gateway is None
        assert made[0].issuer_name == "letsencrypt-prod"

    def test_limits_and_tls_stand_before_the_gateway(self) -> None:
        limits = tuple(HostLimits(host, 5) for host in HOSTS)
        firewall = FirewallArgs(f"registry.example.org/waf@sha256:{'a' * 64}", ("Include @recommended-conf",))
        recording = record(lambda: SecureIngress("ingress", args(limits=limits, firewall=firewall)))
        behind = recording.behind(recording.one("kubernetes:gateway.networking.k8s.io/v1:Gateway"))
        assert behind >= {
            "ingress-envoyfilter-public-tls",
            "ingress-envoyfilter-public-limits",
            "ingress-wasmplugin-firewall",
        }

    def test_cert_manager_gets_tokens_of_the_account_that_vault_knows_and_of_no_other(self) -> None:
        recording = record(lambda: SecureIngress("ingress", args(issuer=VAULT)))
        assert self.kinds(recording).count("ServiceAccount") == 1
        issuer = recording.one("ClusterIssuer")
        assert recording.behind(issuer) >= {"ingress-vault-issuer"}
        subjects = recording.one("RoleBinding").inputs["subjects"]
        assert subjects == [{"kind": "ServiceAccount", "name": "cert-manager", "namespace": "cert-manager"}]

    def test_no_issuer_is_no_door(self) -> None:
        made: list[SecureIngress] = []
        recording = record(lambda: made.append(SecureIngress("ingress", args(issuer=None))))
        assert self.kinds(recording) == []
        assert (made[0].ready, made[0].gateway, made[0].issuer_name) == ([], None, "")

    def test_everything_belongs_to_the_component(self) -> None:
        recording = record(lambda: SecureIngress("ingress", args(issuer=CaIssuer())))
        component = recording.one("zero-trust:platform:SecureIngress")
        assert {made.parent for made in recording.resources if made.custom} == {component.urn}
