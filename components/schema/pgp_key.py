"""PGP public keys in Vault's format: the packets of the key in base64 (https://www.rfc-editor.org/rfc/rfc9580)."""

import base64
import binascii
import re

_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\s*\n(?:[\w-]+: .*\n)*\s*(?P<body>[A-Za-z0-9+/=\s]+?)"
    r"(?:\n=[A-Za-z0-9+/]{4})?\s*-----END PGP PUBLIC KEY BLOCK-----\s*"
)
_PUBLIC_KEY_PACKET = 6


def public_key(text: str) -> str:
    """The key in base64, from armored text or base64. Raises `ValueError` if it is no public key."""
    armored = _ARMOR.fullmatch(text.strip() + "\n")
    encoded = "".join((armored["body"] if armored else text).split())
    try:
        packets = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        packets = b""
    if not packets or _tag(packets[0]) != _PUBLIC_KEY_PACKET:
        raise ValueError("no PGP public key: write what `gpg --armor --export <id>` prints")
    return encoded


def _tag(first: int) -> int:
    """The type of the first packet, in the new format or the old one."""
    if not first & 0x80:
        return 0
    return first & 0x3F if first & 0x40 else (first >> 2) & 0x0F
