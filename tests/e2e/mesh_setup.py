"""What the tests of the data plane set up: the stack, somebody who intrudes, a certificate of his own making."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e import pods
from tests.e2e.gateway_routes import write_services
from tests.e2e.mesh_pods import Mesh
from tests.e2e.plane import Plane, copy_program
from tests.support.waiting import eventually

SHOP = "shop"
INTRUDER = "intruder"
API_PORT, PEER_PORT, ADMIN_PORT = 8080, 7946, 9001
REQUESTS_A_MINUTE = 100
GATEWAY_NAMESPACE = "istio-ingress"
_TTL = "20s"


def mesh_on(plane: Plane, checkout: Path) -> Mesh:
    """Production, with certificates of the platform's own CA: Let's Encrypt cannot be reached from here."""
    own = Plane(plane.state, copy_program(checkout))
    configure(own, "posture", {"issuer": {"value": "ca", "reason": "no way to Let's Encrypt"}})
    with (own.checkout / "services" / "api.yaml").open("a") as service:
        service.write(f"rateLimit: {{requests: {REQUESTS_A_MINUTE}, per: minute}}\n")
        service.write(f"peers: [{PEER_PORT}, {API_PORT}, {ADMIN_PORT}]\n")
        service.write(f"ports: {{admin: {{port: {ADMIN_PORT}, protocol: tcp}}}}\ncallers: ['redis:admin']\n")
    with (own.checkout / "services" / "redis.yaml").open("a") as service:
        service.write("calls: ['api:admin']\n")
    write_services(own.checkout / "services")
    own.run("up", "--stack", "production", "--data-plane", timeout=3600)
    return Mesh(own)


def trust_of(mesh: Mesh, host: str) -> ssl.SSLContext:
    """What a client trusts that knows the platform's root certificate, once the public host has its own."""

    def issued() -> str:
        found = mesh.plane.core.list_namespaced_secret(GATEWAY_NAMESPACE).items
        secrets = {item.metadata.name: item.data for item in found}
        return base64.b64decode(secrets.get(f"{host}-tls", {}).get("ca.crt", "")).decode()

    return ssl.create_default_context(cadata=eventually(issued, f"cert-manager issues a certificate for {host}"))


def gateway(mesh: Mesh) -> str:
    """The address of a pod of the gateway."""
    return mesh.address_of_pod("gateway.networking.k8s.io/gateway-name=public", GATEWAY_NAMESPACE)


def configure(plane: Plane, section: str, content: object) -> None:
    """Write a section of the stack file."""
    stack = plane.checkout / "Pulumi.production.yaml"
    file = yaml.safe_load(stack.read_text())
    file["config"][f"zero-trust:{section}"] = content
    stack.write_text(yaml.safe_dump(file))


def intrude(mesh: Mesh) -> None:
    mesh.plane.core.create_namespaced_pod(SHOP, intruding_pod())
    eventually(lambda: is_ready(mesh, f"{SHOP}.{INTRUDER}"), "the intruder's proxy is ready")


def intruding_pod() -> dict[str, object]:
    """A pod that every rule admits, in the mesh, with an identity of its own and certificates that end soon."""
    made = pods.pod(INTRUDER)
    made["metadata"]["labels"] |= {"app": INTRUDER, "sidecar.istio.io/inject": "true"}
    made["metadata"]["annotations"] = {"proxy.istio.io/config": f'{{"proxyMetadata": {{"SECRET_TTL": "{_TTL}"}}}}'}
    made["spec"]["serviceAccountName"] = INTRUDER
    return made


def is_ready(mesh: Mesh, name: str) -> bool:
    try:
        mesh.workload(name)
    except AssertionError:
        return False
    return True


def self_made(directory: Path, identity: str) -> ssl.SSLContext:
    """A client with a certificate that names another's identity and that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "self-made.pem"
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*plain) + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    context.load_cert_chain(file)
    return context
