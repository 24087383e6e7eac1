"""The operator's way into Vault: where it is, as whom, one clear line for each failure, and what its policy allows."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hvac.exceptions
import pytest
import requests

from components.schema.problem import ConfigError
from components.service.args.resolve import services_args
from components.service.file.service import ServiceSpec
from components.vault.operator import operator_policy
from tests.support.stacks import ROOT, platform
from zt.cluster import vault as vault_module
from zt.cluster.vault import Access, ConflictError, Vault, VaultError, check_serving, connect
from zt.project.service import ServiceName, service_name, service_spec

WHERE = "https://vault.example.org:8200"
SERVING: Mapping[str, object] = {"initialized": True, "sealed": False, "standby": True}


class Client:
    """As much of a client of hvac as is used, with one answer to everything: a value, or an error to raise."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.adapter = self

    def request(self, method: str, path: str, **more: Any) -> object:
        self.asked.append((method, path, more))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refused(kind: type[hvac.exceptions.VaultError], *errors: str) -> hvac.exceptions.VaultError:
    return kind(errors=list(errors), method="get", url=f"{WHERE}/v1/x")


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (refused(hvac.exceptions.Forbidden, "permission denied"), "refused get a/b: permission denied"),
            (refused(hvac.exceptions.VaultDown, "Vault is sealed"), "is sealed or has no active server"),
            (refused(hvac.exceptions.InternalServerError, "local node not active"), "failed at get a/b: local node"),
            (refused(hvac.exceptions.InvalidRequest, "no handler"), "refused get a/b: no handler"),
            (refused(hvac.exceptions.BadGateway), "failed at get a/b: "),
            (requests.exceptions.SSLError("self-signed"), "is not trusted: set VAULT_CACERT"),
            (requests.exceptions.ConnectTimeout("timed out"), "cannot be reached: timed out"),
            (requests.exceptions.ConnectionError(OSError(111, "refused")), "cannot be reached: "),
        ],
    )
    def test_each_is_one_line_that_names_the_vault(self, error: Exception, told: str) -> None:
        with pytest.raises(VaultError) as raised:
            Vault(Client(error), WHERE).read("a/b")
        assert told in str(raised.value)
        assert WHERE in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_write_that_came_between_is_told_apart(self) -> None:
        error = refused(hvac.exceptions.InvalidRequest, "check-and-set parameter did not match the current version")
        with pytest.raises(ConflictError):
            Vault(Client(error), WHERE).patch("secret/data/a", {})

    def test_what_is_not_there_is_nothing(self) -> None:
        vault = Vault(Client(refused(hvac.exceptions.InvalidPath)), WHERE)
        assert (vault.read("a"), vault.list("a"), vault.write("a", {})) == (None, (), None)

    def test_an_answer_without_a_body_is_empty(self) -> None:
        assert Vault(Client(requests.Response()), WHERE).write("a", {}) == {}


class TestServing:
    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            ({**SERVING, "sealed": True}, "is sealed: unseal it first"),
            ({**SERVING, "initialized": False, "sealed": True}, "is not initialised"),
            ({"status": "ok"}, "is no Vault"),
            (requests.Response(), "is no Vault"),
            (refused(hvac.exceptions.InvalidPath), "is no Vault"),
        ],
    )
    def test_a_vault_that_does_not_serve(self, answer: object, told: str) -> None:
        with pytest.raises(VaultError, match=told):
            check_serving(Client(answer), WHERE)

    def test_a_standby_hands_requests_on(self) -> None:
        check_serving(Client(SERVING), WHERE)


class TestWhere:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("VAULT_ADDR", "VAULT_CACERT", "VAULT_NAMESPACE", "VAULT_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("ZERO_TRUST_EMBEDDED_DIR", str(tmp_path / "none"))
        monkeypatch.setattr(vault_module.hvac, "Client", self.made)
        self.client: Any = Client(SERVING)

    def made(self, **given: Any) -> object:
        self.given = given
        return self.client

    @pytest.mark.parametrize("address", ["", "http://127.0.0.1:8200", "vault.example.org"])
    def test_without_tls_it_is_refused(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv("VAULT_ADDR", address)
        with pytest.raises(ConfigError, match="VAULT_ADDR: says where Vault is, over TLS"), connect(Access()):
            pass

    def test_an_authority_that_is_no_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("VAULT_ADDR", WHERE)
        monkeypatch.setenv("VAULT_CACERT", str(tmp_path / "ca.pem"))
        with pytest.raises(ConfigError, match="VAULT_CACERT: there is no such file"), connect(Access()):
            pass

    def test_no_token_anywhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULT_ADDR", WHERE)
        with pytest.raises(ConfigError, match=r"VAULT_TOKEN: no token, and none in ~/\.vault-token"), connect(Access()):
            pass

    def test_the_file_of_vault_login_and_the_variable_before_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("VAULT_ADDR", f"{WHERE}/")
        monkeypatch.setenv("VAULT_NAMESPACE", "team")
        (tmp_path / ".vault-token").write_text("from-file\n")
        with connect(Access()) as found:
            assert (found.client.token, found.client.namespace, found.where) == ("from-file", "team", WHERE)
        monkeypatch.setenv("VAULT_TOKEN", "from-variable")
        with connect(Access()) as found:
            assert found.client.token == "from-variable"

    def test_the_health_is_asked_without_a_token_and_outside_the_namespace(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VAULT_ADDR", WHERE)
        monkeypatch.setenv("VAULT_TOKEN", "secret")
        with connect(Access()):
            assert self.given["token"] == ""
            assert "namespace" not in self.given
            assert [path.partition("?")[0] for _, path, _ in self.client.asked] == ["/v1/sys/health"]

    def test_the_embedded_stack_takes_nothing_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULT_ADDR", WHERE)
        monkeypatch.setenv("VAULT_TOKEN", "of another Vault")
        missing = r"there is no .*overlay\.yaml: start the control plane"
        with pytest.raises(VaultError, match=missing), connect(Access(embedded=True)):
            pass

    def test_a_login_by_kubernetes_needs_a_cluster(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("VAULT_ADDR", WHERE)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        with pytest.raises(VaultError, match="kubeconfig"), connect(Access(login="kubernetes")):
            pass


class TestServiceNames:
    SPEC: Mapping[str, Any] = {"namespace": "shop", "team": "t", "image": "r.example.org/x:v1", "port": 80}

    def project(self, root: Path, **namespaces: str) -> Path:
        (root / "services").mkdir()
        for file, namespace in namespaces.items():
            name = file.partition("_")[0]
            text = f"name: {name}\nnamespace: {namespace}\nteam: t\nimage: r.example.org/x:v1\nport: 80\n"
            (root / "services" / f"{file}.yaml").write_text(text)
        return root

    def test_a_name_that_one_namespace_has(self) -> None:
        assert service_name(ROOT, "api") == ServiceName("shop", "api")

    def test_a_full_name_needs_no_file(self, tmp_path: Path) -> None:
        assert str(service_name(tmp_path, "shop/gone")) == "shop/gone"

    def test_a_name_that_two_have(self, tmp_path: Path) -> None:
        made = self.project(tmp_path, api_1="shop", api_2="front")
        with pytest.raises(ConfigError, match="several namespaces have one, found 'api'; legal: front/api, shop/api"):
            service_name(made, "api")
        assert service_spec(made, "front/api").namespace == "front"

    def test_a_name_that_none_has(self) -> None:
        with pytest.raises(ConfigError, match="no service file declares it, found 'tea'; legal: shop/api"):
            service_name(ROOT, "tea")

    @pytest.mark.parametrize("wrong", ["", "/", "shop/", "a/b/c", "shop/*", "../api", "Shop/api", "shop/api\n"])
    def test_what_is_no_name_reaches_no_path(self, wrong: str) -> None:
        with pytest.raises(ConfigError, match="not a service"):
            service_name(ROOT, wrong)

    def test_a_directory_that_is_no_project(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"--project: there is none of Pulumi\.yaml, services, packages in it"):
            service_name(tmp_path, "api")

    def test_vault_calls_it_as_the_program_does(self) -> None:
        spec = ServiceSpec.model_validate({**self.SPEC, "name": "api", "secrets": {"db": {"generate": ["x"]}}})
        terms = platform()
        made = services_args([spec], terms, 1)[0]
        name = ServiceName("shop", "api")
        assert (name.key, name.secret_path("db")) == (made.key, made.secret_path(made.secrets[0]))


RULES = dict(re.findall(r'path "([^"]+)" \{\n  capabilities = \[([^]]*)\]\n\}\n', operator_policy()))


class TestOperatorPolicy:
    def test_it_reads_no_secret_and_writes_none_whole(self) -> None:
        # What is not there yet may be written whole.
        assert [RULES[path] for path in RULES if path.startswith("secret/data/")] == ['"create", "patch"']
        assert [RULES[path] for path in RULES if path.startswith("secret/metadata/")] == ['"read"']

    def test_it_gives_nobody_rights(self) -> None:
        for path, capabilities in RULES.items():
            assert not path.startswith(("sys/policies", "sys/auth", "sys/mounts", "identity/", "auth/token/create"))
            if path.startswith("auth/kubernetes/"):
                assert not {"create", "update", "patch"} & set(re.findall(r"\w+", capabilities))

    def test_no_path_has_a_wildcard_for_more_than_one_name(self) -> None:
        assert not [path for path in RULES if "*" in path]

    def test_only_what_is_root_protected_has_sudo(self) -> None:
        assert {path for path in RULES if '"sudo"' in RULES[path]} == {
            "auth/token/accessors",
            "sys/leases/lookup/database/creds",
            "sys/leases/lookup/database/creds/+",
            "sys/leases/revoke-prefix/database/creds/+",
        }

    def test_it_makes_no_credentials(self) -> None:
        assert not [path for path in RULES if path.startswith("database/")]
