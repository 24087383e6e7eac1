"""The table of the random package: names and types of pulumi_random 4.21, semantics of
hashicorp/terraform-provider-random.

Every input replaces: a value that exists never changes. Values come from the operating system (``secrets``).
"""

import base64
import binascii
import ctypes
import secrets
import threading
import uuid
from typing import cast

from .rows import Kind, Prop, ProviderError, Row, Values

_UPPER, _LOWER, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
# What upstream hashes with: bcrypt's default cost, and no more of the text than bcrypt reads.
_BCRYPT_COST, _BCRYPT_BYTES = 10, 72
_CRYPT_LOCK = threading.Lock()

_KEEPERS = Prop("keepers", Kind.MAP, replaces=True)
_CHARACTERS = (
    Prop("length", Kind.INTEGER, required=True, replaces=True),
    Prop("upper", Kind.FLAG, default=True, replaces=True),
    Prop("lower", Kind.FLAG, default=True, replaces=True),
    Prop("numeric", Kind.FLAG, default=True, replaces=True),
    Prop("number", Kind.FLAG, default=True, replaces=True),
    Prop("special", Kind.FLAG, default=True, replaces=True),
    Prop("minUpper", Kind.INTEGER, default=0, replaces=True),
    Prop("minLower", Kind.INTEGER, default=0, replaces=True),
    Prop("minNumeric", Kind.INTEGER, default=0, replaces=True),
    Prop("minSpecial", Kind.INTEGER, default=0, replaces=True),
    Prop("overrideSpecial", replaces=True),
    _KEEPERS,
)


def _one_number(inputs: dict[str, object]) -> dict[str, object]:
    """``number`` is the old name of ``numeric``: either one says both."""
    said = inputs.get("numeric", inputs.get("number"))
    return inputs if said is None else {**inputs, "numeric": said, "number": said}


def _possible(inputs: Values) -> str | None:
    length = cast("int", inputs["length"])
    least = sum(cast("int", inputs[name]) for name in ("minUpper", "minLower", "minNumeric", "minSpecial"))
    if length < max(1, least):
        return (
            f"length is {length}, and has to be at least {max(1, least)}: "
            "1, or the sum of minUpper, minLower, minNumeric and minSpecial."
        )
    if not any(inputs[name] for name in ("upper", "lower", "numeric", "special")):
        return "upper, lower, numeric and special are all false: at least one has to be true."
    return None


def _characters(inputs: Values) -> str:
    special = str(inputs.get("overrideSpecial") or _SPECIAL)
    classes = (
        (_UPPER if inputs["upper"] else "", _UPPER, inputs["minUpper"]),
        (_LOWER if inputs["lower"] else "", _LOWER, inputs["minLower"]),
        (_DIGITS if inputs["numeric"] else "", _DIGITS, inputs["minNumeric"]),
        (special if inputs["special"] else "", special, inputs["minSpecial"]),
    )
    chosen = [secrets.choice(letters) for _, letters, least in classes for _ in range(cast("int", least))]
    alphabet = "".join(letters for letters, _, _ in classes)
    chosen += [secrets.choice(alphabet) for _ in range(cast("int", inputs["length"]) - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _bcrypt(text: str) -> str:
    """Hash with the system's libcrypt: the standard library has no bcrypt that outlives Python 3.12."""
    try:
        crypt = ctypes.CDLL("libcrypt.so.1").crypt
    except OSError as error:
        raise ProviderError(
            f"random:index/randomPassword: bcryptHash needs the system library libcrypt.so.1: {error}"
        ) from error
    crypt.restype, crypt.argtypes = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_char_p]
    salt = _bcrypt_salt()
    with _CRYPT_LOCK:  # the C function answers in one static buffer
        found: bytes | None = crypt(text.encode()[:_BCRYPT_BYTES], salt)
    if not found or not found.startswith(salt[:7]):
        raise ProviderError("random:index/randomPassword: bcryptHash: the system's libcrypt doesn't know bcrypt ($2b$)")
    return found.decode()


def _bcrypt_salt() -> bytes:
    usual, own = (
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    )
    salt = base64.b64encode(secrets.token_bytes(16)).rstrip(b"=").translate(bytes.maketrans(usual, own))
    # The last of the 22 characters carries two bits only.
    return b"$2b$%02d$" % _BCRYPT_COST + salt[:-1] + secrets.choice((b".", b"O", b"e", b"u"))


def _password(inputs: Values) -> dict[str, object]:
    result = _characters(inputs)
    return {"id": "none", "result": result, "bcryptHash": _bcrypt(result)}


def _string(inputs: Values) -> dict[str, object]:
    result = _characters(inputs)
    return {"id": result, "result": result}


def _known_string(imported: str) -> dict[str, object]:
    return {"id": imported, "result": imported, "length": len(imported)}


def _known_password(imported: str) -> dict[str, object]:
    return {"id": "none", "result": imported, "length": len(imported), "bcryptHash": _bcrypt(imported)}


def _bytes(inputs: Values) -> dict[str, object]:
    return _spelled(secrets.token_bytes(cast("int", inputs["byteLength"])), str(inputs.get("prefix") or ""))


def _known_bytes(imported: str) -> dict[str, object]:
    prefix, _, text = imported.rpartition(",")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise ProviderError(
            f"{imported!r} is no id of random:index/randomId: it is URL-safe base64, or PREFIX,BASE64"
        ) from error
    return {**_spelled(raw, prefix), "byteLength": len(raw), **({"prefix": prefix} if prefix else {})}


def _spelled(raw: bytes, prefix: str) -> dict[str, object]:
    url = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {
        "id": url,
        "b64Url": prefix + url,
        "b64Std": prefix + base64.b64encode(raw).decode(),
        "hex": prefix + raw.hex(),
        "dec": prefix + str(int.from_bytes(raw, "big")),
    }


def _at_least_a_byte(inputs: Values) -> str | None:
    return (
        None
        if cast("int", inputs["byteLength"]) >= 1
        else f"byteLength is {inputs['byteLength']}, and has to be at least 1."
    )


def _uuid(_: Values) -> dict[str, object]:
    result = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    return {"id": result, "result": result}


def _known_uuid(imported: str) -> dict[str, object]:
    try:
        result = str(uuid.UUID(imported))
    except ValueError as error:
        raise ProviderError(f"{imported!r} is no id of random:index/randomUuid: it is a UUID") from error
    return {"id": result, "result": result}


PASSWORD = Row(
    "random:index/randomPassword:RandomPassword",
    "none",
    props=(*_CHARACTERS, Prop("result", output=True, secret=True), Prop("bcryptHash", output=True, secret=True)),
    derive=_one_number,
    validate=_possible,
    generate=_password,
    parse=_known_password,
)

STRING = Row(
    "random:index/randomString:RandomString",
    "{result}",
    props=(*_CHARACTERS, Prop("result", output=True)),
    derive=_one_number,
    validate=_possible,
    generate=_string,
    parse=_known_string,
)

ID = Row(
    "random:index/randomId:RandomId",
    "{b64Url}",
    props=(
        Prop("byteLength", Kind.INTEGER, required=True, replaces=True),
        Prop("prefix", replaces=True),
        _KEEPERS,
        Prop("b64Url", output=True),
        Prop("b64Std", output=True),
        Prop("hex", output=True),
        Prop("dec", output=True),
    ),
    validate=_at_least_a_byte,
    generate=_bytes,
    parse=_known_bytes,
)

UUID = Row(
    "random:index/randomUuid:RandomUuid",
    "{result}",
    props=(_KEEPERS, Prop("result", output=True)),
    generate=_uuid,
    parse=_known_uuid,
)

ROWS = (PASSWORD, STRING, ID, UUID)
