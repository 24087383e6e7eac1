"""From a Vault that nobody initialised to the deployer's login, and from every state in between; on real servers."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hvac.exceptions
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from components.kube.names import DEPLOYER
from components.schema.pgp_key import public_key
from components.vault.bootstrap import JWT_VARIABLE, BootstrapError
from components.vault.bootstrap_providers import InitialisationProvider, LoginProvider
from components.vault.deployer import CertLogin, DeployerLogin, JwtLogin, deployer_policy, login_plan
from tests.support.vault_server import Authority, Bao, free_port, running_bao

pytestmark = pytest.mark.e2e

# Made for this test; its other half was thrown away.
PGP_KEY = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawk/4BYJKwYBBAHaRw8BAQdAE2YCmGbNG9yOe2E0jMBshiU9MvptlbaKYG0t
HFg3OES0H0tleSBIb2xkZXIgPGhvbGRlckBleGFtcGxlLm9yZz6IkAQTFggAOBYh
BGcfPD6LGbANE6a2Dbz3Wb6wkqS+BQJrCT/gAhsDBQsJCAcCBhUKCQgLAgQWAgMB
Ah4BAheAAAoJELz3Wb6wkqS+QQYBAKt+GEA08+nU0zZq1E0Z/e1aMncGLAMCR5qv
hXXMsntOAQCEfhE7ok0IYD3wDVTy2n3X4DTIoJCd4dMH5RTttOa0Crg4BGsJP+AS
CisGAQQBl1UBBQEBB0BPF7c5iD1S38Y0qLX0HPIp5m0sp2AmioDwIQOkOQHWUwMB
CAeIeAQYFggAIBYhBGcfPD6LGbANE6a2Dbz3Wb6wkqS+BQJrCT/gAhsMAAoJELz3
Wb6wkqS+DusBANHERLPICiI6NzTe338C3SkrTI92F9xsqVHoqSPQ5/WHAQCmvg3Y
2jqcFh90U1qiYDo2TANN1ClQL0Md4yj5+GEDBA==
=vq1u
-----END PGP PUBLIC KEY BLOCK-----
"""
PGP_SUBKEY = "4f3f74d2477b833c"
KEYS = {"shares": 2, "threshold": 2, "pgp_keys": []}


@dataclass(frozen=True)
class Setup:
    """A server of its own, and the properties that the program would give both resources."""

    bao: Bao
    place: Mapping[str, Any]
    login: Mapping[str, Any]

    def initialise(self, **changes: Any) -> dict[str, Any]:
        outs = InitialisationProvider().create({**self.place, **KEYS, **changes}).outs
        assert outs is not None
        return outs

    def make_login(self, root_token: str, **changes: Any) -> dict[str, Any]:
        outs = LoginProvider().create({**self.login, "root_token": root_token, **changes}).outs
        assert outs is not None
        return outs

    def deployer(self) -> Any:
        client = hvac.Client(
            url=self.bao.address, verify=self.bao.ca_file, cert=(self.login["cert_file"], self.login["key_file"])
        )
        client.auth.cert.login(name=DEPLOYER)
        return client

    def as_token(self, token: str) -> Any:
        return hvac.Client(url=self.bao.address, verify=self.bao.ca_file, token=token)

    def token_beside(self, root_token: str, *paths: str) -> Any:
        """A token that outlives the root token, with every right at some paths."""
        root, name = self.as_token(root_token), "root-watcher"
        rules = "".join(f'path "{path}" {{ capabilities = ["read", "update", "list", "sudo"] }}\n' for path in paths)
        root.sys.create_or_update_acl_policy(name, rules)
        made = root.auth.token.create_orphan(policies=[name], no_default_policy=True)
        return self.as_token(made["auth"]["client_token"])

    def lives(self, token: str) -> bool:
        try:
            self.as_token(token).auth.token.lookup_self()
        except hvac.exceptions.Forbidden:
            return False
        return True


def properties(bao: Bao, login: DeployerLogin, certificate: tuple[str, str] = ("", "")) -> Setup:
    place = {"address": bao.address, "ca_cert_file": bao.ca_file, "patience": 10.0}
    plan = asdict(login_plan(login, DEPLOYER))
    wanted = {**plan, "writes": json.dumps(plan["writes"]), "policy": deployer_policy(), "role": DEPLOYER}
    return Setup(bao, place, {**place, **wanted, "cert_file": certificate[0], "key_file": certificate[1]})


def certificate_login(bao: Bao) -> Setup:
    certificate, key = bao.authority.issue(DEPLOYER, ExtendedKeyUsageOID.CLIENT_AUTH)
    login = CertLogin(bao.authority.certificate.read_text(), DEPLOYER)
    return properties(bao, login, (str(certificate), str(key)))


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Setup]:
    """Nobody has initialised it."""
    with running_bao(tmp_path, initialised=False) as bao:
        yield certificate_login(bao)


class TestFromNothing:
    def test_it_ends_with_a_deployer_and_without_a_root_token(self, new: Setup) -> None:
        made = new.initialise()
        assert len(made["recovery_keys"]) == 2
        assert new.lives(made["root_token"])
        login = new.make_login(made["root_token"])
        assert not new.lives(made["root_token"])
        assert made["root_token"] not in json.dumps(login)
        found = new.deployer().auth.token.lookup_self()["data"]
        assert (found["policies"], found["ttl"] <= 1200) == ([DEPLOYER], True)
        assert not LoginProvider().diff("", login, {**new.login, "root_token": made["root_token"]}).changes
        assert InitialisationProvider().read("it", made).id == "it"

    def test_no_root_token_is_left(self, new: Setup) -> None:
        made = new.initialise()
        watcher = new.token_beside(made["root_token"], "auth/token/accessors", "auth/token/lookup-accessor")
        assert "root" in str(policies(watcher))
        new.make_login(made["root_token"])
        assert policies(watcher) == [["root-watcher"]]

    def test_each_recovery_key_is_for_its_holder_alone(self, new: Setup) -> None:
        key = public_key(PGP_KEY)
        keys = new.initialise(shares=1, threshold=1, pgp_keys=[key])["recovery_keys"]
        packets = base64.b64decode(keys[0])
        # A session key packet of version 3 (RFC 9580, 5.1) names the key that opens it.
        assert packets[0] & 0x80
        assert PGP_SUBKEY in packets[:20].hex()


def policies(watcher: Any) -> list[list[str]]:
    """The policies of every token that there is."""
    accessors = watcher.list("auth/token/accessors")["data"]["keys"]
    return [watcher.auth.token.lookup_accessor(accessor)["data"]["policies"] for accessor in accessors]


class TestHalfWay:
    def test_initialised_but_no_login_was_made(self, new: Setup) -> None:
        made = new.initialise()
        new.make_login(made["root_token"])
        assert new.deployer()

    def test_the_login_was_made_and_the_root_token_not_revoked(self, new: Setup) -> None:
        made = new.initialise()
        new.as_token(made["root_token"]).sys.enable_auth_method("cert")
        new.make_login(made["root_token"])
        assert not new.lives(made["root_token"])
        assert new.deployer()

    def test_all_was_done_and_not_remembered(self, new: Setup) -> None:
        made = new.initialise()
        new.make_login(made["root_token"])
        new.make_login(made["root_token"])
        again = new.initialise()
        assert (again["root_token"], again["recovery_keys"]) == ("", [])
        new.make_login(again["root_token"])

    def test_the_root_token_was_lost_before_there_was_a_login(self, new: Setup) -> None:
        new.initialise()
        with pytest.raises(BootstrapError, match="no root token of it is known here, and the deployer cannot log in"):
            new.make_login(new.initialise()["root_token"])

    def test_the_root_token_lives_until_the_login_works(self, new: Setup, tmp_path: Path) -> None:
        made = new.initialise()
        other = tmp_path / "other"
        other.mkdir()
        certificate, key = Authority(other).issue(DEPLOYER, ExtendedKeyUsageOID.CLIENT_AUTH)
        wrong = {"cert_file": str(certificate), "key_file": str(key)}
        with pytest.raises(BootstrapError, match=r"cannot log in at auth/cert.*The root token lives until it can"):
            new.make_login(made["root_token"], **wrong)
        assert new.lives(made["root_token"])
        new.make_login(made["root_token"])
        assert not new.lives(made["root_token"])

    def test_a_wiped_vault_is_a_new_one(self, new: Setup, tmp_path: Path) -> None:
        made = new.initialise()
        login = new.make_login(made["root_token"])
        wiped = tmp_path / "wiped"
        wiped.mkdir()
        with running_bao(wiped, initialised=False) as bao:
            there = certificate_login(bao)
            assert not InitialisationProvider().read("it", {**made, **there.place}).id
            again = there.initialise()
            news = {**there.login, "root_token": again["root_token"]}
            assert LoginProvider().diff("", login, news).changes
            LoginProvider().update("", login, news)
            assert not there.lives(again["root_token"])


class TestTrouble:
    def test_a_sealed_one(self, new: Setup) -> None:
        made = new.initialise()
        new.as_token(made["root_token"]).sys.seal()
        for attempt in (lambda: new.initialise(patience=0), lambda: new.make_login(made["root_token"], patience=0)):
            with pytest.raises(BootstrapError, match=rf"^Vault at {new.bao.address} is sealed: unseal it first"):
                attempt()

    def test_one_that_does_not_answer(self, new: Setup) -> None:
        new.bao.stop()
        with pytest.raises(BootstrapError, match=rf"^Vault at {new.bao.address} does not answer: no connection"):
            new.initialise(patience=0)
        assert InitialisationProvider().read("it", dict(new.place)).id == "it"

    def test_one_whose_certificate_is_not_trusted(self, new: Setup, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        with pytest.raises(BootstrapError, match=r"certificate is not trusted: vault\.caCertFile"):
            new.initialise(patience=0, ca_cert_file=str(Authority(other).certificate))

    def test_a_policy_that_only_an_operator_may_change(self, new: Setup) -> None:
        made = new.initialise()
        operator = new.token_beside(made["root_token"], f"sys/policies/acl/{DEPLOYER}")
        login = new.make_login(made["root_token"])
        more = {**new.login, "root_token": made["root_token"], "policy": f"{deployer_policy()}\n# more"}
        assert LoginProvider().diff("", login, more).changes
        with pytest.raises(BootstrapError, match=r"the policy platform-deployer .* is not the program's"):
            LoginProvider().update("", login, more)
        operator.sys.create_or_update_acl_policy(DEPLOYER, more["policy"])
        assert LoginProvider().update("", login, more).outs


class Issuer:
    """An OpenID issuer with TLS on loopback, as a CI system's is."""

    def __init__(self, authority: Authority) -> None:
        certificate, key = authority.issue("issuer", ExtendedKeyUsageOID.SERVER_AUTH)
        self.address = f"https://127.0.0.1:{free_port()}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        point = {"x": encoded(numbers.x.to_bytes(32, "big")), "y": encoded(numbers.y.to_bytes(32, "big"))}
        documents: Mapping[str, object] = {
            "/.well-known/openid-configuration": {"issuer": self.address, "jwks_uri": f"{self.address}/keys"},
            "/keys": {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", **point}]},
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(documents[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object, **__: object) -> None:
                """Nothing: what is asked is no part of the test."""

        self.server = ThreadingHTTPServer(("127.0.0.1", int(self.address.rsplit(":", 1)[1])), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, subject: str, audience: str = "vault") -> str:
        now = int(time.time())
        claims = {"iss": self.address, "sub": subject, "aud": audience, "iat": now, "exp": now + 60}
        parts = ({"alg": "ES256", "kid": "one"}, claims)
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_a_pipeline_logs_in_with_the_token_of_its_issuer(new: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(new.bao.authority)
    subject = "repo:example/platform:ref:refs/heads/main"
    login = JwtLogin(issuer.address, "vault", subject, new.bao.authority.certificate.read_text())
    ci = properties(new.bao, login)
    root_token = ci.initialise()["root_token"]
    try:
        for token in ("", issuer.token("repo:example/other"), issuer.token(subject, "another")):
            monkeypatch.setenv(JWT_VARIABLE, token)
            with pytest.raises(BootstrapError, match=r"cannot log in at auth/jwt"):
                ci.make_login(root_token)
        monkeypatch.setenv(JWT_VARIABLE, issuer.token(subject))
        ci.make_login(root_token)
        assert not ci.lives(root_token)
    finally:
        issuer.server.shutdown()
        issuer.server.server_close()
