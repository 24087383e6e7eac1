"""Issuers of end users' tokens: their public keys, and tokens that they signed (RFC 7519)."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


@dataclass(frozen=True)
class TokenIssuer:
    """An issuer with a key of its own."""

    address: str
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def jwt(self, **changes: Any) -> dict[str, Any]:
        """The issuer as a service file has it, with its keys."""
        numbers = self.key.public_key().public_numbers()
        public = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": _text(numbers.n), "e": _text(numbers.e)}
        return {"issuer": self.address, "audiences": ["shop"], "jwks": {"keys": [public]}, **changes}

    def token(self, **claims: Any) -> str:
        """A token for the audience `shop`, good for an hour."""
        header = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        content = {"iss": self.address, "sub": "ann", "aud": "shop", "exp": int(time.time()) + 3600, **claims}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, content))
        return f"{signed}.{_encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def authorization(self, **claims: Any) -> dict[str, str]:
        """The header with such a token."""
        return {"Authorization": f"Bearer {self.token(**claims)}"}


def _text(number: int) -> str:
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
