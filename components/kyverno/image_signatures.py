"""The rule `verify-image-signatures` with a stack's attestors and registries.

Source of the fields: https://kyverno.io/docs/policy-types/image-validating-policy/
"""

import base64
import binascii
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias, cast

from components.kube.manifest import Manifest
from components.schema.checked import check_fields
from components.schema.fields import HttpsAddress, Issuer
from components.schema.problem import FieldError

SIGNATURE_RULE = "verify-image-signatures"
PUBLIC_REKOR = "https://rekor.sigstore.dev"

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----\n(.+)\n-----END PUBLIC KEY-----\n?", re.DOTALL)
_PEM_LEGAL = "write the PEM of one public key, -----BEGIN PUBLIC KEY----- and what follows"


@dataclass(frozen=True)
class KeyAttestor:
    """A key pair of the pipeline: `public_key` is the PEM that `cosign public-key` prints.

    Raises `FieldError` for anything but one public key.
    """

    name: str
    public_key: str

    def __post_init__(self) -> None:
        check_fields(self)
        _check_name(self.name)
        if "PRIVATE KEY" in self.public_key:
            raise FieldError("public_key", f"a private key must not be here, and is no longer secret; {_PEM_LEGAL}")
        pem = _PUBLIC_KEY.fullmatch(self.public_key)
        if pem is None or not _is_der_sequence(pem[1]):
            raise FieldError("public_key", f"no PEM of a public key; {_PEM_LEGAL}")

    def cosign(self) -> Manifest:
        """Kyverno's check: a signature by the key. A transparency log would need the internet."""
        return {
            "key": {"data": self.public_key},
            "ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True},
        }


@dataclass(frozen=True)
class KeylessAttestor:
    """An identity of an OpenID issuer, such as a workflow of a repository, with a Rekor transparency log.

    Raises `FieldError` for an address that is not https, and for a subject that matches more than one identity.
    """

    name: str
    issuer: Issuer
    subject: str
    rekor_url: HttpsAddress = PUBLIC_REKOR

    def __post_init__(self) -> None:
        check_fields(self)
        _check_name(self.name)
        if not self.subject.strip() or "*" in self.subject:
            message = (
                "not one identity; write it in full, "
                "such as https://github.com/example/shop/.github/workflows/release.yaml@refs/heads/main"
            )
            raise FieldError("subject", message, self.subject)

    def cosign(self) -> Manifest:
        """Kyverno's check: a certificate of this identity, and its entry in the log."""
        return {
            "keyless": {"identities": [{"issuer": self.issuer, "subject": self.subject}]},
            "ctlog": {"url": self.rekor_url},
        }


Attestor: TypeAlias = KeyAttestor | KeylessAttestor


def signed_by(document: Manifest, attestors: Sequence[Attestor], registries: Sequence[str]) -> Manifest:
    """The rule for these attestors: an image of one of the registries must be signed by at least one of them.

    Raises `FieldError` for no attestor, two with one name, no registry, and an empty or wildcard registry.
    """
    if not attestors:
        raise FieldError("attestors", "none, so no image could be admitted; name one or more, or leave the rule off")
    names = [attestor.name for attestor in attestors]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FieldError("attestors", f"{', '.join(twice)} is there twice; give each a name of its own")
    if not registries:
        raise FieldError("registries", "none, so every image would be admitted; name one or more")
    for registry in registries:
        if not registry.strip("/") or "*" in registry:
            raise FieldError("registries", "it names no registry; write one such as registry.example.org", registry)
    policy = deepcopy(document)
    spec = cast("Manifest", policy["spec"])
    spec["attestors"] = [{"name": attestor.name, "cosign": attestor.cosign()} for attestor in attestors]
    trusted = ", ".join(f'attestors["{name}"]' for name in names)
    spec["variables"] = [{"name": "trusted", "expression": f"[{trusted}]"}]
    # With the slash registry.example.org does not match registry.example.org.evil.net.
    spec["matchImageReferences"] = [{"glob": f"{registry.rstrip('/')}/*"} for registry in registries]
    return policy


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise FieldError("name", "write lower-case letters, digits and dashes, a letter first", name)


def _is_der_sequence(text: str) -> bool:
    """Whether the base64 text is exactly one ASN.1 sequence, as every public key is."""
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return False
    if len(der) < 2 or der[0] != 0x30:
        return False
    if der[1] < 0x80:
        return len(der) == 2 + der[1]
    size = der[1] & 0x7F
    return len(der) == 2 + size + int.from_bytes(der[2 : 2 + size], "big")
