"""How the stand-in of Vault's provider is told where Vault is and who asks it."""

import pulumi
import pytest

from embedded.providers import engine, vault_config
from embedded.providers.rows import ProviderError
from embedded.providers.vault_config import connection, decode_config
from embedded.providers.wire import UNKNOWN

pytestmark = pytest.mark.unit


def sent_by_the_sdk(**settings: object) -> dict[str, object]:
    """The configuration as the SDK's Provider sends it."""
    return {
        name: value if isinstance(value, str) else pulumi.runtime.to_json(value) for name, value in settings.items()
    }


def test_a_connection_is_read_from_what_the_sdk_sends(tmp_path) -> None:
    (tmp_path / "pair.pem").write_text("")
    login = {
        "certFile": str(tmp_path / "pair.pem"),
        "keyFile": str(tmp_path / "pair.pem"),
        "name": "deployer",
        "mount": "certs",
    }
    settings = decode_config(
        sent_by_the_sdk(address="https://vault:8200/", skipChildToken=True, authLoginCert=login, maxRetries=2)
    )
    assert engine.check(vault_config.CONFIG, settings) == []
    found = connection(settings, {})
    assert (found.address, found.child_token) == ("https://vault:8200", False)
    assert found.login
    assert (found.login.path, found.login.parameters) == ("auth/certs/login", {"name": "deployer"})


def test_a_jwt_login_takes_its_token_from_the_environment() -> None:
    settings = decode_config(sent_by_the_sdk(address="https://vault:8200", authLoginJwt={"role": "ci"}))
    found = connection(settings, {"TERRAFORM_VAULT_AUTH_JWT": "a.b.c"})
    assert found.login
    assert (found.login.path, found.login.parameters) == ("auth/jwt/login", {"role": "ci", "jwt": "a.b.c"})
    with pytest.raises(ProviderError, match="TERRAFORM_VAULT_AUTH_JWT"):
        connection(settings, {})


def test_a_token_comes_from_the_environment_or_the_usual_file(tmp_path) -> None:
    settings = {"address": "https://vault:8200"}
    with pytest.raises(ProviderError, match="no login"):
        connection(settings, {"HOME": str(tmp_path)})
    (tmp_path / ".vault-token").write_text("from-file\n")
    assert connection(settings, {"HOME": str(tmp_path)}).token == "from-file"
    assert connection(settings, {"HOME": str(tmp_path), "VAULT_TOKEN": "from-env"}).token == "from-env"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"address": "vault:8200"}, "address has to be a URL"),
        ({}, "VAULT_ADDR"),
        ({"address": "https://v:1", "caCertFile": "/nonexistent/ca.pem"}, "caCertFile: there is no file"),
        ({"address": UNKNOWN}, "address isn't known yet"),
    ],
)
def test_a_connection_that_cannot_be_made_names_its_setting(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ProviderError, match=told):
        connection(settings, {"VAULT_TOKEN": "t"})


@pytest.mark.parametrize("name", ["skipTlsVerify", "namespace", "authLoginUserpass"])
def test_a_setting_that_would_weaken_or_mislead_is_refused(name: str) -> None:
    found = engine.check(vault_config.CONFIG, decode_config({"address": "https://v:1", name: "true"}))
    assert [failure.property for failure in found] == [name]
    assert engine.check(vault_config.CONFIG, decode_config({"skipTlsVerify": "false", "namespace": ""})) == []
