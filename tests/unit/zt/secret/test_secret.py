"""`zt secret`: values from outside go to Vault, and are in no argument, no output and no error."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.schema.problem import ConfigError
from components.service.file.directory import parse_service
from tests.unit.service.test_directory import SMALL
from zt.cli import app
from zt.cluster.vault import Access, ConflictError
from zt.secret import command

pytestmark = pytest.mark.unit

Run = Callable[..., Result]
VALUE = "sk_live_51H"
FILE = SMALL + "secrets: {stripe: {external: [api_key, hook]}, own: {generate: [x]}}\n"


class Store:
    """A KV v2 engine: versions by path, as the operator's policy lets them be seen."""

    def __init__(self, **secrets: Mapping[str, str]) -> None:
        self.versions: dict[str, list[dict[str, str]]] = {
            f"shop/api/{name}": [dict(value)] for name, value in secrets.items()
        }
        self.conflict = False
        self.where = "https://vault.example.org:8200"
        self.access: Access | None = None

    @contextmanager
    def connect(self, access: Access) -> Iterator["Store"]:
        self.access = access
        yield self

    def read(self, path: str) -> dict[str, Any] | None:
        kind, _, place = path.removeprefix("secret/").partition("/")
        versions = self.versions.get(place, [])
        if not versions:
            return None
        if kind == "subkeys":
            return {"data": {"subkeys": dict.fromkeys(versions[-1])}}
        assert kind == "metadata", "nobody reads a value"
        return {"data": {"current_version": len(versions)}}

    def write(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._new(path, body, {})

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._new(path, body, self.versions[path.removeprefix("secret/data/")][-1])

    def _new(self, path: str, body: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, Any]:
        versions = self.versions.setdefault(path.removeprefix("secret/data/"), [])
        if self.conflict or body["options"]["cas"] != len(versions):
            raise ConflictError("check-and-set parameter did not match the current version")
        versions.append({**before, **body["data"]})
        return {"data": {"version": len(versions)}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "api.yaml").write_text(FILE)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def run(*arguments: str, store: Store | None = None, given: str | bytes = "") -> Result:
        typed = ["secret", *arguments, "--project", str(project)]
        return CliRunner().invoke(app, typed, obj=(store or Store()).connect, input=given, catch_exceptions=False)

    return run


class TestSet:
    def test_one_field_is_the_whole_input(self, run: Run) -> None:
        store = Store()
        done = run("set", "api", "stripe", "--field", "api_key", store=store, given=f"{VALUE}\n")
        assert (done.exit_code, store.versions["shop/api/stripe"]) == (0, [{"api_key": VALUE}])
        assert done.stdout == (
            "shop/api/stripe: api_key in version 1\nstill missing: hook; the service's pods wait for them\n"
        )

    def test_several_fields_are_json(self, run: Run) -> None:
        store = Store()
        done = run("set", "shop/api", "stripe", store=store, given=json.dumps({"api_key": VALUE, "hook": "a\nb"}))
        assert (done.exit_code, done.stdout) == (0, "shop/api/stripe: api_key, hook in version 1\n")
        assert store.versions["shop/api/stripe"] == [{"api_key": VALUE, "hook": "a\nb"}]

    def test_the_other_fields_stay(self, run: Run) -> None:
        store = Store(stripe={"hook": "kept", "api_key": "old"})
        run("set", "api", "stripe", "--field", "api_key", store=store, given=VALUE)
        assert store.versions["shop/api/stripe"][-1] == {"hook": "kept", "api_key": VALUE}

    def test_at_a_terminal_it_asks_twice_and_shows_nothing(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[str, dict[str, Any]]] = []

        def prompt(text: str, **how: Any) -> str:
            asked.append((text, how))
            return VALUE

        class Terminal:
            @staticmethod
            def isatty() -> bool:
                return True

        monkeypatch.setattr(command.typer, "prompt", prompt)
        monkeypatch.setattr(command.sys, "stdin", Terminal)
        request = command.SetRequest("api", "stripe", (), project, Access())
        assert command.run_set(request, Store().connect) == 0
        assert [text for text, _ in asked] == ["api_key", "hook"]
        assert all(how == {"hide_input": True, "confirmation_prompt": True, "err": True} for _, how in asked)

    @pytest.mark.parametrize(
        ("arguments", "given", "told"),
        [
            (("api", "stripe", "--field", "api_key"), "", "standard input: empty: it is the value of api_key"),
            (("api", "stripe", "--field", "api_key"), "\n", "standard input: empty"),
            (("api", "stripe", "--field", "api_key"), b"\xff" + VALUE.encode(), "standard input: not text in UTF-8"),
            (("api", "stripe", "--field", "api_key"), VALUE * 50_000, "standard input: longer than"),
            (
                ("api", "stripe"),
                VALUE,
                "no JSON object with a text for each field; legal: api_key, hook",
            ),
            (
                ("api", "stripe"),
                f'{{"api_key": "{VALUE}"}}',
                "standard input: no JSON object with a text for each field",
            ),
            (("api", "stripe"), f'{{"api_key": "{VALUE}", "hook": 1}}', "no JSON object with a text for each field"),
            (("api", "stripe"), f'["{VALUE}"]', "no JSON object with a text for each field"),
            (
                ("api", "own"),
                VALUE,
                "NAME: no secret of the service with fields under external, found",
            ),
            (("api", "tea"), VALUE, "NAME: no secret of the service"),
            (("api", "stripe", "--field", "x"), VALUE, "--field: no field under external of this secret, found 'x'"),
            (("tea", "stripe"), VALUE, "SERVICE: no service file declares it"),
        ],
    )
    def test_what_is_wrong_is_said_without_the_value(
        self, run: Run, arguments: tuple[str, ...], given: str | bytes, told: str
    ) -> None:
        store = Store()
        done = run("set", *arguments, store=store, given=given)
        assert (done.exit_code, done.stdout, store.versions) == (2, "", {})
        assert told in done.stderr
        assert VALUE not in done.stderr

    def test_a_write_of_somebody_else_is_noticed(self, run: Run) -> None:
        store = Store(stripe={"hook": "kept"})
        store.conflict = True
        done = run("set", "api", "stripe", "--field", "api_key", store=store, given=VALUE)
        assert done.exit_code == 3
        assert "somebody else writes it at this moment" in done.stderr


class TestList:
    def test_what_is_missing_ends_with_1(self, run: Run) -> None:
        done = run("list", store=Store(stripe={"hook": "x"}))
        assert done.exit_code == 1
        assert done.stdout.splitlines()[1].split() == ["shop/api", "stripe", "api_key,", "hook", "api_key"]

    def test_as_data(self, run: Run) -> None:
        done = run("list", "--format", "json", store=Store(stripe={"hook": "x", "api_key": VALUE}))
        assert done.exit_code == 0
        secrets = [{"service": "shop/api", "secret": "stripe", "fields": ["api_key", "hook"], "missing": []}]
        assert json.loads(done.stdout) == {"version": 1, "secrets": secrets}

    def test_without_any_vault_is_not_asked(self, run: Run, project: Path) -> None:
        (project / "services" / "api.yaml").write_text(SMALL)
        store = Store()
        done = run("list", store=store)
        assert (done.exit_code, done.stdout) == (0, "no service file has a secret from outside\n")
        assert store.access is None


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        ("{external: [a], generate: [b]}", r"secrets\.s\.generate: its other fields come from outside"),
        ("{external: [a], values: {b: c}}", r"secrets\.s\.values: its other fields come from outside"),
        ("{external: [a], replaces: 1}", r"secrets\.s\.replaces: its other fields come from outside"),
        ("{external: [a, a]}", r"secrets\.s\.external\[1\]: it stands there twice"),
        ("{external: [A-b]}", r"secrets\.s\.external\[0\]: not a field name"),
        ("{external: [a], template: '{{ .Data.data.b }}'}", r"secrets\.s\.template: .*legal: .*\.a }}"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(secret: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(SMALL + f"secrets: {{s: {secret}}}", "x.yaml")
