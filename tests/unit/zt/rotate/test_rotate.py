"""`zt rotate`: which fields may be rotated, check-and-set on what Vault has, and no value in what is printed."""

import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from components.schema.problem import ConfigError
from components.service.file.service import ServiceSpec
from components.service.kept_secrets import GENERATED_LENGTH
from tests.unit.service.test_directory import SMALL
from zt.cli import app
from zt.cluster.vault import Access, ConflictError, VaultError
from zt.rotate.command import ALPHABET, LENGTH, generate_value, targets

SERVICE = """\
namespace: shop
team: commerce
image: registry.example.org/shop/api:v1
port: 8080
secrets:
  database:
    values: {host: db, username: api}
    generate: [password]
  keys:
    generate: [cookie, signing]
  mail:
    generate: [password]
  public:
    values: {region: eu}
"""
PASSWORD, COOKIE = "shop/api/database", "shop/api/keys"

Run = Callable[..., Result]


class Store:
    """A KV v2 engine as the operator sees it. `conflicts` writes of somebody else come between."""

    def __init__(self, conflicts: int = 0, **metadata: Mapping[str, Any]) -> None:
        self.metadata: dict[str, dict[str, Any]] = {
            path: {"current_version": 1, "versions": {"1": {"deletion_time": "", "destroyed": False}}}
            for path in (PASSWORD, COOKIE, "shop/api/mail")
        } | {f"shop/api/{name}": dict(found) for name, found in metadata.items()}
        self.conflicts = conflicts
        self.written: list[tuple[str, dict[str, str]]] = []
        self.access: Access | None = None
        self.where = "https://vault.example.org:8200"

    @contextmanager
    def connect(self, access: Access) -> Iterator["Store"]:
        self.access = access
        yield self

    def read(self, path: str) -> dict[str, Any] | None:
        found = self.metadata.get(path.removeprefix("secret/metadata/"))
        return {"data": dict(found)} if found else None

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        found = self.metadata[path.removeprefix("secret/data/")]
        if self.conflicts:
            self.conflicts -= 1
            self._next(found)
        if body["options"]["cas"] != found["current_version"]:
            raise ConflictError("check-and-set parameter did not match the current version")
        self._next(found)
        self.written.append((path, body["data"]))
        return {"data": {"version": found["current_version"]}}

    def _next(self, found: dict[str, Any]) -> None:
        found["current_version"] += 1
        found["versions"] = {str(found["current_version"]): {"deletion_time": "", "destroyed": False}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "api.yaml").write_text(SERVICE)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def run(*arguments: str, store: object = None) -> Result:
        command = ["rotate", *arguments, "--project", str(project)]
        connect = (store or Store()).connect  # pyright: ignore[reportAttributeAccessIssue]
        return CliRunner().invoke(app, command, obj=connect, catch_exceptions=False)

    return run


def test_a_value_is_made_as_the_program_makes_the_first_one() -> None:
    assert GENERATED_LENGTH == LENGTH
    assert set(ALPHABET) == {*string.ascii_letters, *string.digits}
    made = {generate_value() for _ in range(200)}
    assert len(made) == 200
    assert all(len(value) == LENGTH and value.isalnum() and value.isascii() for value in made)


class TestOneField:
    def test_it_alone_is_written_over_the_version_that_was_there(self, run: Run) -> None:
        store = Store()
        done = run("shop/api", "password", "--secret", "database", store=store)
        assert done.exit_code == 0
        assert [(path, list(fields)) for path, fields in store.written] == [
            ("secret/data/shop/api/database", ["password"])
        ]
        assert done.stdout.startswith("secret/shop/api/database: password went from version 1 to 2\n")
        assert "within 5 minutes, without a restart" in done.stdout

    def test_no_value_is_printed(self, run: Run) -> None:
        store = Store()
        done = run("api", "--all", store=store)
        assert len(store.written) == 3
        assert not [value for _, fields in store.written for value in fields.values() if value in done.output]

    def test_a_name_that_two_secrets_have_needs_the_secret(self, run: Run) -> None:
        store = Store()
        done = run("api", "password", store=store)
        assert (done.exit_code, store.written) == (2, [])
        assert done.stderr == (
            "error: zt rotate: KEY: several secrets have it: name one with --secret, found 'password'; "
            "legal: database, mail\n"
        )

    def test_each_run_makes_a_version(self, run: Run) -> None:
        store = Store()
        for _ in range(3):
            run("api", "cookie", store=store)
        assert [path for path, _ in store.written] == ["secret/data/shop/api/keys"] * 3
        assert len({fields["cookie"] for _, fields in store.written}) == 3

    def test_a_dry_run_writes_nothing(self, run: Run) -> None:
        store = Store()
        done = run("api", "cookie", "--dry-run", store=store)
        assert done.stdout == "secret/shop/api/keys: cookie would go from version 1 to 2\n"
        assert (done.exit_code, store.written) == (0, [])

    def test_the_login_is_handed_on(self, run: Run) -> None:
        store = Store()
        run("api", "cookie", "--login", "kubernetes", store=store)
        assert store.access == Access("kubernetes", embedded=False)


class TestAll:
    def test_one_version_for_each_secret(self, run: Run) -> None:
        store = Store()
        done = run("api", "--all", store=store)
        assert {path: sorted(fields) for path, fields in store.written} == {
            "secret/data/shop/api/database": ["password"],
            "secret/data/shop/api/keys": ["cookie", "signing"],
            "secret/data/shop/api/mail": ["password"],
        }
        assert "secret/shop/api/keys: cookie, signing went from version 1 to 2" in done.stdout

    def test_of_one_secret(self, run: Run) -> None:
        store = Store()
        run("api", "--all", "--secret", "keys", store=store)
        assert [path for path, _ in store.written] == ["secret/data/shop/api/keys"]

    def test_what_was_rotated_before_a_failure_is_told(self, run: Run) -> None:
        done = run("api", "--all", store=Store(keys={"current_version": 0}))
        assert done.exit_code == 3
        assert done.stdout == "secret/shop/api/database: password went from version 1 to 2\n"
        assert "secret/shop/api/keys: Vault at https://vault.example.org:8200 has no such secret" in done.stderr


class TestRefused:
    def test_a_secret_of_another_service_is_rotated_there(self, run: Run, project: Path) -> None:
        (project / "services" / "web.yaml").write_text(f"{SMALL}secrets: {{cache: {{from: redis/auth}}}}\n")
        shared = "secrets: {auth: {generate: [password], readers: [web]}}\n"
        (project / "services" / "redis.yaml").write_text(SMALL + shared)
        done = run("web", "--all", "--secret", "cache")
        assert done.exit_code == 2
        assert "--secret: another service's, which is rotated there, found 'cache'; legal: redis/auth" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["api", "host"], "KEY: stands under values in the service file, and is changed there, found 'host'; "),
            (["api", "tea"], "KEY: no generated field, found 'tea'; legal: cookie, password, signing"),
            (["api", "cookie", "--secret", "mail"], "KEY: no generated field, found 'cookie'; legal: password"),
            (["api", "password", "--secret", "tea"], "--secret: the service has no such secret, found 'tea'; legal: d"),
            (["api", "--all", "--secret", "public"], "SERVICE: none of its fields is generated"),
            (["tea", "password"], "SERVICE: no service file declares it, found 'tea'; legal: shop/api"),
            (["shop/tea", "password"], "SERVICE: no service file declares it, found 'shop/tea'; legal: shop/api"),
        ],
    )
    def test_an_argument(self, run: Run, arguments: list[str], told: str) -> None:
        store = Store()
        done = run(*arguments, store=store)
        assert (done.exit_code, done.stdout, store.access) == (2, "", None)
        assert told in done.stderr

    @pytest.mark.parametrize("arguments", [["api"], ["api", "password", "--all"]])
    def test_neither_a_key_nor_all_or_both(self, run: Run, arguments: list[str]) -> None:
        assert run(*arguments).exit_code == 2

    def test_a_service_file_that_is_wrong(self, project: Path, run: Run) -> None:
        (project / "services" / "api.yaml").write_text("namespace: shop\n")
        done = run("api", "password")
        assert done.exit_code == 2
        assert "services/api.yaml" in done.stderr


class TestVaultDoesNot:
    def test_one_write_that_comes_between_is_tried_again(self, run: Run) -> None:
        store = Store(conflicts=1)
        done = run("api", "cookie", store=store)
        assert done.exit_code == 0
        assert "from version 2 to 3" in done.stdout
        assert len(store.written) == 1

    def test_a_second_one_is_an_error(self, run: Run) -> None:
        done = run("api", "cookie", store=Store(conflicts=2))
        assert done.exit_code == 3
        assert done.stderr == (
            "error: secret/shop/api/keys: somebody else writes it at this moment; run the command again\n"
        )

    @pytest.mark.parametrize(
        ("metadata", "told"),
        [
            (
                {"current_version": 0, "versions": {}},
                "Vault at https://vault.example.org:8200 has no such secret; `pulumi up` writes its first version",
            ),
            (
                {"current_version": 3, "versions": {"3": {"destroyed": True, "deletion_time": ""}}},
                "version 3, the latest, is destroyed",
            ),
            (
                {"current_version": 2, "versions": {"2": {"deletion_time": "2020-11-25T03:59:12.313573206Z"}}},
                "version 2, the latest, is deleted",
            ),
        ],
    )
    def test_there_is_no_version_to_keep_the_other_fields_of(
        self, run: Run, metadata: Mapping[str, Any], told: str
    ) -> None:
        store = Store(keys=metadata)
        done = run("api", "cookie", store=store)
        assert (done.exit_code, store.written) == (3, [])
        assert done.stderr.startswith(f"error: secret/shop/api/keys: {told}")
        assert done.stderr.count("\n") == 1

    def test_a_version_that_will_be_deleted_one_day_is_there(self, run: Run) -> None:
        kept = {"current_version": 2, "versions": {"2": {"deletion_time": "2999-01-01T00:00:00Z"}}}
        assert run("api", "cookie", store=Store(keys=kept)).exit_code == 0

    def test_a_vault_that_cannot_be_used(self, run: Run) -> None:
        class Away:
            def connect(self, _access: Access) -> object:
                raise VaultError("Vault at https://vault.example.org:8200 is sealed: unseal it first")

        done = run("api", "cookie", store=Away())
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr == "error: Vault at https://vault.example.org:8200 is sealed: unseal it first\n"


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(names, st.lists(names, min_size=1, max_size=4, unique=True), min_size=1, max_size=4), st.data())
def test_every_generated_field_can_be_rotated_and_no_other(
    generated: dict[str, list[str]], data: st.DataObject
) -> None:
    spec = ServiceSpec.model_validate(
        {
            "name": "api",
            "namespace": "shop",
            "team": "t",
            "image": "r.example.org/x:v1",
            "port": 80,
            "secrets": {
                secret.replace("_", "x"): {"generate": fields, "values": {"given": "x"}}
                for secret, fields in generated.items()
                if "given" not in fields
            },
        }
    )
    everything = (
        {(target.path, field) for target in targets(spec, None) for field in target.fields} if spec.secrets else set()
    )
    declared = {
        (f"secret/shop/api/{name}", field) for name, secret in spec.secrets.items() for field in secret.generate
    }
    assert everything == declared
    with pytest.raises(ConfigError):
        targets(spec, "given")
